"""Stop when every constraint type has settled: no circuit change above the noise floor, and its probes flat."""

from collections.abc import Sequence

from engine.analysis.saturation import saturation
from engine.domain.decisions import Capture, DecisionSettings, TypeScore, Verdict
from engine.domain.measures import DRIFT_CAVEAT
from engine.domain.numbers import step_name
from engine.domain.words import listed, spoken


def decide(captures: Sequence[Capture], settings: DecisionSettings) -> Verdict:
    """Stops once each type has settled at some capture (`engine.analysis.saturation` has the rule).

    Captures after the newest look do not count: while training, looks come one capture late. Types without probes of
    `probe_kind` are not followed.
    """
    captures = _readings_in(captures)
    followed = {score.constraint_type for one in captures for score in one.scores if _counts(score, settings)}
    if not captures:
        return Verdict(stop=False, reason="No circuits have been traced yet.")
    if not followed:
        return Verdict(stop=False, reason=f"There are no scores of {settings.probe_kind} probes to follow.")
    found = {name: one for name, one in saturation(captures, settings).items() if name in followed}
    saturated = tuple(name for name, one in found.items() if one.step is not None)
    if len(saturated) < len(found):
        name, why = next((name, one.reason) for name, one in found.items() if one.step is None)
        reason = f"{spoken(name).capitalize()} has not settled: {why[:1].lower()}{why[1:]}"
        return Verdict(stop=False, reason=reason, saturated=saturated)
    figures = listed(
        [
            f"{spoken(name)} since {step_name(one.since or 0)} (found at {step_name(one.step or 0)})"
            for name, one in found.items()
        ]
    )
    reason = f"No circuit changed by more than the noise floor any more: {figures}. {DRIFT_CAVEAT}"
    return Verdict(stop=True, reason=reason, saturated=saturated)


def _readings_in(captures: Sequence[Capture]) -> Sequence[Capture]:
    """Up to the newest capture whose circuits were traced."""
    looked = [k for k, one in enumerate(captures) if one.reading is not None]
    return captures[: looked[-1] + 1] if looked else ()


def _counts(score: TypeScore, settings: DecisionSettings) -> bool:
    return score.probe_kind == settings.probe_kind and score.n > 0
