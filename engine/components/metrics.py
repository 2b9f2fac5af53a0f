"""The edge measures: what is read at the last token of a prompt. One function a measure, by its name in
`engine.domain.edge_measures.EDGE_MEASURES`."""

from collections.abc import Callable
from typing import Final

import torch
import torch.nn.functional as F

from engine.components.pairs import TokenPairs
from engine.domain.edge_measures import Metric

# logits (n, d_vocab) at the last token, pairs, logits of the clean runs (n, d_vocab) -> (n,)
Measure = Callable[[torch.Tensor, TokenPairs, torch.Tensor], torch.Tensor]


def values(logits: torch.Tensor, pairs: TokenPairs, metric: Metric, clean: torch.Tensor) -> torch.Tensor:
    """(n,) float32: one figure a pair, differentiable in `logits`.

    logits: (n, d_vocab) at the last token; clean: those of the clean runs.
    """
    return MEASURES[metric](logits, pairs, clean)


def _logit_diff(logits: torch.Tensor, pairs: TokenPairs, clean: torch.Tensor) -> torch.Tensor:
    """The right answer's logit minus the corrupted prompt's answer's."""
    both = torch.stack([pairs.answers, pairs.corrupted_answers], dim=1).to(logits.device)
    right, other = logits.float().gather(1, both).unbind(1)
    return right - other


def _kl(logits: torch.Tensor, pairs: TokenPairs, clean: torch.Tensor) -> torch.Tensor:
    """KL(clean ‖ these) in nats."""
    target, log_p = clean.float().log_softmax(-1), logits.float().log_softmax(-1)
    return F.kl_div(log_p, target, reduction="none", log_target=True).sum(-1)


MEASURES: Final[dict[str, Measure]] = {"logit_diff": _logit_diff, "kl": _kl}
