"""Edge scores of a training batch: what the loss would lose to first order if an edge carried its mean.

Circuit-tuning (arXiv 2502.06106) finds its circuit with these before a step: |mean⟨a_u - mean(a_u), ∂loss/∂in_v⟩|.
"""

import numpy as np
import torch
import torch.nn.functional as F
from transformers import PreTrainedModel

from engine.components.contraction import Changes, Sensitivity
from engine.components.model import ComponentModel
from engine.components.tape import Tape, taped

IGNORED = -100  # a label that the loss leaves out, as in transformers


def mean_ablation_scores(
    model: PreTrainedModel, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor
) -> np.ndarray:
    """(n_inputs, n_sources) float32, at least 0; 0 where there is no edge, and everywhere where no label is left.

    All (n, n_pos): labels as transformers wants them (not shifted, -100 left out). The mean over examples of the sum
    over positions, in size; a source's mean is that over the batch's real tokens. One forward pass and a backward pass
    without weights, in eval mode; no gradient is left anywhere.
    """
    parts = ComponentModel(model)
    real = attention_mask.bool()
    padded = None if bool(real.all()) else attention_mask
    with parts.prepared(), torch.enable_grad(), taped(parts) as tape:
        logits = parts.logits(input_ids, padded)
        loss = F.cross_entropy(
            logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten(), ignore_index=IGNORED, reduction="sum"
        )
        gradients = tape.gradients(loss)
    sensitivity = Sensitivity(parts, None)
    sensitivity.add(tape, gradients)
    total = sensitivity.meet(_from_mean(tape, real), torch.arange(len(input_ids), device=input_ids.device))
    n_labels = max(1, int((labels[:, 1:] != IGNORED).sum()))
    scores: np.ndarray = (total / (n_labels * len(input_ids))).abs().float().cpu().numpy()
    return scores


def _from_mean(tape: Tape, real: torch.Tensor) -> Changes:
    def centred(written: torch.Tensor) -> torch.Tensor:
        return written.float() - written[real].float().mean(dim=0)

    return Changes(centred(tape.embedded), [centred(z) for z in tape.heads], [centred(mlp) for mlp in tape.mlps])
