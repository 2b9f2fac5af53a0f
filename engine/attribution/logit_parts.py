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
    part = torch.zeros(len(logits), n, dtype=torch.float64, device=device)
    part[:, dense.logits] = torch.eye(len(logits), dtype=torch.float64, device=device)
    units = values.clone()
    units[dense.logits] = 1  # a logit's own edges are its parts
    by_position = torch.zeros(n, n_pos, dtype=torch.float64, device=device)  # what each node gets from each position
    moved = torch.zeros(len(logits), n_pos, n_pos, dtype=torch.float64, device=device)
    for layer in (dense.logits, *reversed(dense.layers)):
        for some in blocks(layer, n):
            handed = part[:, some] / units[some]  # of a unit of the target
            for columns in dense.read_by(layer):
                weights = rows[some, columns]
                by_position[some] += (weights @ positions[columns]).double()
                part[:, columns] += (handed.float() @ weights).double()
            moved += (handed[:, None] * positions[some].T) @ by_position[some]
    constant = values - left_out - by_position.sum(1).float()
    part[:, dense.logits] = 0
    return LogitParts(
        part=part.float().cpu().numpy(),
        constant=constant.cpu().numpy(),
        left_out=left_out.float().cpu().numpy(),
        moved=moved.float().cpu().numpy(),
    )
