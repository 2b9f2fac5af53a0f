"""Every time a circuit settled in a run, and whether it changed again: before a word is learned nothing changes."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.analysis.saturation import change_at, saturation
from engine.domain.decisions import Capture, DecisionSettings
from engine.domain.numbers import plural, step_name


@dataclass(frozen=True)
class Settled:
    """One constraint type found settled (`engine.analysis.saturation`) at one capture."""

    step: int
    since: int  # the first capture of those without a change above the noise floor
    reason: str
    changed_at: int | None  # the next capture at which its circuit changed by more than the floor; None: none does


@dataclass(frozen=True)
class Settling:
    """Each time that one constraint type settled, ascending."""

    times: tuple[Settled, ...]
    lacks: str  # what the newest captures lack; empty where the last time lasts

    @property
    def lasting(self) -> Settled | None:
        """The time after which the circuit did not change again, as far as the captures go."""
        return self.times[-1] if self.times and self.times[-1].changed_at is None else None


def settling(captures: Sequence[Capture], settings: DecisionSettings) -> dict[str, Settling]:
    """By constraint type, of all that the captures name; captures ascending by step, the base first."""
    return {name: _of_type(name, captures, settings) for name in saturation(captures, settings)}


def _of_type(constraint_type: str, captures: Sequence[Capture], settings: DecisionSettings) -> Settling:
    times: list[Settled] = []
    judged: Sequence[Capture] = captures
    while True:
        found = saturation(judged, settings).get(constraint_type)
        if found is None or found.step is None or found.since is None:
            lacks = _too_late(constraint_type, captures, settings) or (found.reason if found else "")
            return Settling(tuple(times), lacks)
        later = next(
            (
                place
                for place, capture in enumerate(captures)
                if capture.step > found.step and _changed(constraint_type, capture, settings)
            ),
            None,
        )
        changed_at = None if later is None else captures[later].step
        times.append(Settled(found.step, found.since, found.reason, changed_at))
        if later is None:
            return Settling(tuple(times), "")
        # What changed again is what the next captures are compared with; that it has formed at all is known before.
        formed = [one for one in captures[:later] if _surely_changed(constraint_type, one, settings)]
        judged = [*formed[:1], *captures[later:]]


def _too_late(constraint_type: str, captures: Sequence[Capture], settings: DecisionSettings) -> str:
    """Where it changed so late that it cannot have settled; else empty."""
    changed = [place for place, capture in enumerate(captures) if _changed(constraint_type, capture, settings)]
    if not changed:
        return ""
    since = len(captures) - 1 - changed[-1]
    if since >= settings.patience:
        return ""
    last = step_name(captures[changed[-1]].step)
    return (
        f"The change of its circuit was last above the noise floor at {last}. "
        f"{plural(settings.patience, 'checkpoint')} after that {'is' if settings.patience == 1 else 'are'} needed, and "
        f"there {'is' if since == 1 else 'are'} {since or 'none'}."
    )


def _changed(constraint_type: str, capture: Capture, settings: DecisionSettings) -> bool:
    change = change_at(constraint_type, capture, settings)
    return change is not None and change.edge is not None and change.value > change.edge


def _surely_changed(constraint_type: str, capture: Capture, settings: DecisionSettings) -> bool:
    reading = capture.reading.of(constraint_type) if capture.reading else None
    change = change_at(constraint_type, capture, settings)
    return reading is not None and reading.fit >= settings.min_fit and change is not None and change.said == "change"
