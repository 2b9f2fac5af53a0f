"""How far what a graph predicts for changed features agrees with what was measured, over everything that was tried.

One output of one intervention says nothing: of many, some are right by chance.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from engine.domain.interventions import Intervention
from engine.domain.numbers import decimal, percent, plural

ENOUGH = 10  # interventions, below which nothing is said of when to trust: outputs of one go together
LARGE = 0.25  # the share of outputs whose predictions are called large
_MOSTLY, _CLOSE = 0.75, 0.9  # signs right among the large ones; rank correlation
_ALIKE = (0.8, 1.25)  # predicted over measured size


@dataclass(frozen=True)
class Agreement:
    """Of changes of logits, predicted and measured; figures that do not exist are NaN."""

    n_tried: int  # interventions
    n: int  # their outputs, all together
    rank_correlation: float  # Spearman's, of signed changes
    size: float  # sum of the predicted sizes over the sum of the measured ones
    signs: float  # share that went the way that was predicted
    signs_of_large: float  # the same of the quarter whose predictions are largest


def agreement(tried: Iterable[Intervention]) -> Agreement | None:
    """Over all outputs of all interventions that changed something; None where there is none.

    Predictions from edges that were cut for storage do not count: they say nothing about the graph.
    """
    kept = [one for one in tried if one.uncut and one.changed and one.key.factor != 1]
    if not kept:
        return None
    predicted = np.concatenate([one.predicted for one in kept])
    measured = np.concatenate([np.subtract(one.logit_after, one.logit_before) for one in kept])
    return _agreement(predicted, measured, len(kept))


def _agreement(predicted: np.ndarray, measured: np.ndarray, n_tried: int) -> Agreement:
    """predicted, measured: (n,)"""
    ranks = pd.DataFrame({"predicted": predicted, "measured": measured}).rank()
    varied = bool((ranks.nunique() > 1).all())
    moved = float(np.abs(measured).sum())
    right = np.sign(predicted) == np.sign(measured)
    large = np.argsort(-np.abs(predicted), kind="stable")[: math.ceil(LARGE * len(predicted))]
    return Agreement(
        n_tried=n_tried,
        n=len(predicted),
        rank_correlation=float(np.corrcoef(ranks.to_numpy().T)[0, 1]) if varied else math.nan,
        size=float(np.abs(predicted).sum()) / moved if moved else math.nan,
        signs=float(right.mean()),
        signs_of_large=float(right[large].mean()),
    )


def agreement_words(found: Agreement) -> str:
    """The figures, as the second half of a sentence."""
    return (
        f"over all {plural(found.n, 'output')} of {plural(found.n_tried, 'change')} the rank correlation is "
        f"{decimal(found.rank_correlation)}, {percent(found.signs)} go the way that was predicted, and predictions are "
        f"{decimal(found.size, 1)} times as large as what was measured."
    )


def trust_words(found: Agreement) -> str:
    """When to trust a prediction, in one sentence that follows from the figures."""
    large = f"{percent(found.signs_of_large)} of the largest quarter"
    if found.n_tried < ENOUGH:
        return "These are too few to say when to trust a prediction."
    if found.signs_of_large < _MOSTLY:
        return f"Trust none without measuring: only {large} go the way that was predicted."
    if found.rank_correlation >= _CLOSE and _ALIKE[0] <= found.size <= _ALIKE[1]:
        return f"Trust them, in direction and size: {large} go the way that was predicted."
    return f"Trust the direction of a large prediction ({large} go that way), not its size, and no small one."
