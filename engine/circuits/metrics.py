"""What is read at the last token of a prompt."""

import torch
import torch.nn.functional as F

from engine.circuits.pairs import TokenPairs
from engine.domain.components import Metric


def values(logits: torch.Tensor, pairs: TokenPairs, metric: Metric, clean: torch.Tensor) -> torch.Tensor:
    """(n,) float32: one figure a pair, differentiable in `logits`.

    logits: (n, d_vocab) at the last token; clean: those of the clean runs, which only “kl” reads. logit_diff: the right
    answer's logit minus the corrupted one's. kl: KL(clean ‖ these) in nats.
    """
    if metric == "logit_diff":
        both = torch.stack([pairs.answers, pairs.corrupted_answers], dim=1).to(logits.device)
        right, other = logits.float().gather(1, both).unbind(1)
        return right - other
    target, log_p = clean.float().log_softmax(-1), logits.float().log_softmax(-1)
    return F.kl_div(log_p, target, reduction="none", log_target=True).sum(-1)
