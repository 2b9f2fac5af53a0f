"""What each node adds to each logit: the graph's edges, followed from the logits down.

Let A[t, s] be the effect of s on t, v[t] a feature's activation or a logit. Of a logit the part x[s] that runs through
s is A[logit, s] plus the sum over features t above it of x[t] · A[t, s] / v[t]: a target hands its part on as its
sources made it. What they did not make, v[t] - Σ A[t, s], comes from constants.
"""

import numpy as np
import torch

from engine.attribution.dense import DenseGraph, blocks
from engine.domain.graphs import LogitParts


def logit_parts(
    dense: DenseGraph, activations: torch.Tensor, logits: torch.Tensor, left_out: torch.Tensor, position: np.ndarray
) -> LogitParts:
    """activations (n_features,), logits (n_logits,), left_out and position (n_nodes,), as the rows of `dense` stand."""
    rows, device = dense.rows, dense.rows.device
    n, n_pos = len(rows), int(position.max()) + 1
    values = torch.zeros(n, device=device)
    values[: len(activations)], values[dense.logits] = activations.float(), logits.float()
    at = torch.as_tensor(position, device=device).long()
    positions = rows.new_zeros(n_pos, n).scatter_(0, at[None], 1).T  # (n, n_pos), 1 where a node stands
    part = rows[dense.logits].double()  # (n_logits, n)
    constant = torch.zeros(n, device=device)
    moved = torch.zeros(len(logits), n_pos, n_pos, dtype=torch.float64, device=device)
    for layer in (dense.logits, *reversed(dense.layers)):
        for some in blocks(layer, n):
            effects = rows[some]
            constant[some] = values[some] - left_out[some] - effects.sum(1)
            by_position = (effects @ positions).double()
            if layer is dense.logits:
                own = torch.arange(some.start - layer.start, some.stop - layer.start, device=device)
                moved[own, at[some]] += by_position
                continue
            handed = part[:, some] / values[some]  # of a unit of the target
            part += (handed.float() @ effects).double()
            moved += (handed[:, None] * positions[some].T) @ by_position
    part[:, dense.logits] = 0
    return LogitParts(
        part=part.float().cpu().numpy(),
        constant=constant.cpu().numpy(),
        left_out=left_out.float().cpu().numpy(),
        moved=moved.float().cpu().numpy(),
    )
