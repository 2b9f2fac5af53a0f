"""Stop when every constraint type is saturated: its circuit quiet within the noise, and its probes flat."""

from collections.abc import Sequence

from engine.analysis.saturation import saturation
from engine.decisions.words import listed, spoken
from engine.domain.decisions import Capture, DecisionSettings, TypeScore, Verdict


def decide(captures: Sequence[Capture], settings: DecisionSettings) -> Verdict:
    """Stops once each type has been saturated at some capture (`engine.analysis.saturation` has the rule).

    Captures after the newest look do not count: while training, looks come one capture late. Types without probes of
    `probe_kind` are not followed.
    """
    captures = _looked_at(captures)
    followed = {score.constraint_type for one in captures for score in one.scores if _counts(score, settings)}
    if not captures:
        return Verdict(stop=False, reason="No circuits have been traced yet.")
    if not followed:
        return Verdict(stop=False, reason=f"There are no scores of {settings.probe_kind} probes to follow.")
    found = {name: one for name, one in saturation(captures, settings).items() if name in followed}
    saturated = tuple(name for name, one in found.items() if one.step is not None)
    if len(saturated) < len(found):
        name, reason = next((name, one.reason) for name, one in found.items() if one.step is None)
        said = f"{spoken(name).capitalize()} is not saturated: {reason[:1].lower()}{reason[1:]}"
        return Verdict(stop=False, reason=said, saturated=saturated)
    figures = listed(
        [f"{spoken(name)} at step {one.step}, quiet since step {one.since}" for name, one in found.items()]
    )
    return Verdict(stop=True, reason=f"The circuits have formed: {figures}.", saturated=saturated)


def _looked_at(captures: Sequence[Capture]) -> Sequence[Capture]:
    """Up to the newest capture whose circuits were traced."""
    looked = [k for k, one in enumerate(captures) if one.look is not None]
    return captures[: looked[-1] + 1] if looked else ()


def _counts(score: TypeScore, settings: DecisionSettings) -> bool:
    return score.probe_kind == settings.probe_kind and score.n > 0
