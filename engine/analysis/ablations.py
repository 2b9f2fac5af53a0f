"""What switching features off did to the right answers of several prompts, as means with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.analysis.resampling import bootstrap_counts, interval
from engine.domain.measures import Estimate
from engine.domain.series import CausalCheck

N_BOOT = 1000


@dataclass(frozen=True)
class Ablation:
    """One prompt's circuit switched off, and as many other features instead."""

    n_features: int  # of the circuit, switched off together
    n_others: int  # of the others in each draw: as many, or all there are where these are fewer
    p_before: float  # probability of the right answer
    p_after: float
    p_after_others: tuple[float, ...]  # one a draw


def causal_summary(step: int, constraint_type: str, ablations: Sequence[Ablation], *, seed: int = 0) -> CausalCheck:
    """Means over the prompts, with the 95% percentile bootstrap over prompts; one prompt is its own interval.

    `random_drop` is the mean over draws first. Raises ValueError without any prompt.
    """
    if not ablations:
        raise ValueError("There is no prompt to sum up.")
    before = np.array([one.p_before for one in ablations])
    drop = before - [one.p_after for one in ablations]
    random_drop = before - [float(np.mean(one.p_after_others)) for one in ablations]
    return CausalCheck(
        step=step,
        constraint_type=constraint_type,
        n_prompts=len(ablations),
        n_features=float(np.mean([one.n_features for one in ablations])),
        n_others=float(np.mean([one.n_others for one in ablations])),
        p_before=float(before.mean()),
        drop=_mean(drop, seed),
        random_drop=_mean(random_drop, seed),
        n_draws=min(len(one.p_after_others) for one in ablations),
    )


def _mean(values: np.ndarray, seed: int) -> Estimate:
    value = float(values.mean())
    low, high = interval(value, values @ bootstrap_counts(len(values), N_BOOT, seed) / len(values))
    return Estimate(value=value, low=low, high=high)
