"""Probe results of many checkpoints as learning curves."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from engine.domain.corpus import PROBE_KINDS, Probe
from engine.domain.decisions import TypeScore
from engine.domain.errors import InputError
from engine.domain.runs import LOSS_SMOOTHING, ProbeResults

SCORE_COLUMNS = (
    "step",
    "constraint_type",
    "probe_kind",
    "n",
    "accuracy",
    "low",
    "high",
    "mean_p",
    "mean_rank",
    "logit_diff",
)
_Z = 1.959963984540054  # the 97.5% quantile of the normal distribution: a two-sided interval of 95%


def wilson(n_correct: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's 95% score interval of a proportion (Wilson 1927); `n` at least 1. Both ends within 0 and 1."""
    p = n_correct / n
    centre = (p + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * np.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)


def probe_scores(probes: Sequence[Probe], results_by_step: Mapping[int, ProbeResults]) -> pd.DataFrame:
    """One row a step, constraint type and probe kind, ascending by step, in the order of the probes.

    Columns: step, constraint_type, probe_kind, n (probes), accuracy with `low` and `high` of Wilson's 95% interval,
    mean_p (probability of the right answer), mean_rank (1 is best), logit_diff (mean, to the best foil).
    Raises InputError where results belong to probes that are not given.
    """
    frames = [_rows(probes, step, results) for step, results in sorted(results_by_step.items())]
    rows = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    if rows.empty:
        return pd.DataFrame(columns=list(SCORE_COLUMNS))
    groups = rows.groupby(["step", "constraint_type", "probe_kind"], sort=False, observed=True)
    scores = groups.agg(
        n=("correct", "size"),
        accuracy=("correct", "mean"),
        mean_p=("p", "mean"),
        mean_rank=("rank", "mean"),
        logit_diff=("logit_diff", "mean"),
    ).reset_index()
    n = scores["n"].to_numpy(dtype=float)
    scores["low"], scores["high"] = wilson(scores["accuracy"].to_numpy() * n, n)
    return scores[list(SCORE_COLUMNS)]


def type_scores(probes: Sequence[Probe], results: ProbeResults) -> tuple[TypeScore, ...]:
    """One checkpoint's probes by constraint type and kind, in the order of the probes. Raises as `probe_scores`."""
    groups = _rows(probes, 0, results).groupby(["constraint_type", "probe_kind"], sort=False, observed=True)
    return tuple(
        TypeScore(
            constraint_type=str(constraint_type),
            probe_kind=str(kind),
            n=len(rows),
            n_correct=int(rows["correct"].sum()),
            mean_p=float(rows["p"].mean()),
        )
        for (constraint_type, kind), rows in groups
    )


def kind_accuracies(probes: Sequence[Probe], step: int, results: ProbeResults) -> dict[str, float]:
    """Accuracy of one checkpoint by probe kind: the mean of that of its constraint types. Raises as `probe_scores`.

    The same as the mean of `probe_scores`, without a table: a page asks it of hundreds of runs.
    """
    by_id = _by_id(probes, step, results)
    right: dict[tuple[str, str], list[bool]] = {}
    for name, is_right in zip(results.probe_id, results.correct, strict=True):
        right.setdefault((by_id[name].kind, by_id[name].constraint_type), []).append(is_right)
    shares: dict[str, list[float]] = {}
    for (kind, _), found in right.items():
        shares.setdefault(kind, []).append(sum(found) / len(found))
    return {kind: sum(found) / len(found) for kind, found in shares.items()}


def _rows(probes: Sequence[Probe], step: int, results: ProbeResults) -> pd.DataFrame:
    by_id = _by_id(probes, step, results)
    return pd.DataFrame(
        {
            "step": step,
            "constraint_type": [by_id[name].constraint_type for name in results.probe_id],
            "probe_kind": [by_id[name].kind for name in results.probe_id],
            "correct": np.asarray(results.correct, dtype=float),
            "p": results.p,
            "rank": results.rank,
            "logit_diff": results.logit_diff,
        }
    )


def _by_id(probes: Sequence[Probe], step: int, results: ProbeResults) -> dict[str, Probe]:
    by_id = {probe.id: probe for probe in probes}
    unknown = [name for name in results.probe_id if name not in by_id]
    if unknown:
        raise InputError(
            f"The results of step {step} name {len(unknown)} probe(s) that the corpus does not have, first "
            f"“{unknown[0]}”. They were measured on another corpus: probe the run again with its own."
        )
    return by_id


def smoothed(losses: Sequence[float], smoothing: float = LOSS_SMOOTHING) -> np.ndarray:
    """(n,) exponential mean that begins at the first loss: `smoothing` of the mean so far, the rest of the new loss."""
    return pd.Series(losses, dtype=float).ewm(alpha=1 - smoothing, adjust=False).mean().to_numpy()


def accuracies(scores: pd.DataFrame) -> dict[str, tuple[float, int]]:
    """By probe kind: the share of probes that are right and their number, over all constraint types and rows."""
    groups = scores.assign(right=scores["accuracy"] * scores["n"]).groupby("probe_kind", sort=False)
    return {str(kind): (float(rows["right"].sum() / rows["n"].sum()), int(rows["n"].sum())) for kind, rows in groups}


def telling_kinds(tables: Iterable[pd.DataFrame], most: int = 2) -> tuple[str, ...]:
    """Of the probe kinds that were measured in any of these, those that tell most, in the order of all kinds."""
    measured = {kind for scores in tables for kind in ([] if scores.empty else scores["probe_kind"])}
    ranked = sorted(measured, key=lambda kind: PROBE_KINDS[kind].picker_rank)
    return tuple(kind for kind in PROBE_KINDS if kind in ranked[:most])


def mean_accuracy(scores: pd.DataFrame, kinds: Sequence[str]) -> pd.DataFrame:
    """step, probe_kind, accuracy: the mean over constraint types, of the probe kinds `kinds`; n: the probes of all."""
    chosen = scores[scores["probe_kind"].isin(kinds)]
    groups = chosen.groupby(["step", "probe_kind"], sort=False, as_index=False)
    return groups.agg(accuracy=("accuracy", "mean"), n=("n", "sum"))


def best_step(scores: pd.DataFrame) -> int | None:
    """The step with the best paraphrase accuracy, that of the worst constraint type; of equals, the earliest.

    None where no step has paraphrase probes, and where that is never above 0.
    """
    paraphrase = scores[scores["probe_kind"] == "paraphrase"]
    if paraphrase.empty:
        return None
    worst = paraphrase.groupby("step")["accuracy"].min()
    if not worst.max() > 0:
        return None
    return int(worst.index[int(worst.to_numpy().argmax())])


def as_good(scores: pd.DataFrame, best: int) -> tuple[int, ...]:
    """The other steps that may be as good as `best_step`, ascending: the 95% intervals of their worst constraint types
    overlap with its own."""
    paraphrase = scores[scores["probe_kind"] == "paraphrase"].reset_index(drop=True)
    worst = paraphrase.loc[paraphrase.groupby("step")["accuracy"].idxmin()].set_index("step")
    low = worst["low"][best]
    return tuple(int(step) for step in worst.index[worst["high"] >= low] if step != best)
