"""Every time a circuit came to rest in a run, and whether it moved again: before a word is learned all is quiet."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.analysis.saturation import saturation
from engine.domain.decisions import Capture, DecisionSettings
from engine.domain.measures import Change


@dataclass(frozen=True)
class Rest:
    """One constraint type found saturated (`engine.analysis.saturation`) at one capture."""

    step: int
    reason: str
    moved_at: int | None  # the next capture at which its circuit changed by more than the noise; None: none does


@dataclass(frozen=True)
class Rests:
    """All rests of one constraint type, ascending."""

    found: tuple[Rest, ...]
    lacks: str  # what the newest captures lack to be saturated; empty where the last rest lasts

    @property
    def lasting(self) -> Rest | None:
        """The rest from which the circuit did not move again, as far as the captures go."""
        return self.found[-1] if self.found and self.found[-1].moved_at is None else None


def rests(captures: Sequence[Capture], settings: DecisionSettings) -> dict[str, Rests]:
    """By constraint type, of all that the captures name; captures ascending by step, the base first."""
    return {name: _of_type(name, captures, settings) for name in saturation(captures, settings)}


def _of_type(constraint_type: str, captures: Sequence[Capture], settings: DecisionSettings) -> Rests:
    found: list[Rest] = []
    rest_of: Sequence[Capture] = captures
    while True:
        said = saturation(rest_of, settings).get(constraint_type)
        if said is None or said.step is None:
            return Rests(tuple(found), _lacks(constraint_type, captures, settings) or (said.reason if said else ""))
        later = next(
            (
                place
                for place, capture in enumerate(captures)
                if capture.step > said.step and _moved(constraint_type, capture, settings)
            ),
            None,
        )
        found.append(Rest(said.step, said.reason, None if later is None else captures[later].step))
        if later is None:
            return Rests(tuple(found), "")
        # What moved again is what the next quiet window is laid beside; that it has formed at all is known before.
        formed = [one for one in captures[:later] if _surely_changed(constraint_type, one, settings)]
        rest_of = [*formed[:1], *captures[later:]]


def _lacks(constraint_type: str, captures: Sequence[Capture], settings: DecisionSettings) -> str:
    """Where it moved so late that it cannot have come to rest; else empty."""
    moved = [place for place, capture in enumerate(captures) if _moved(constraint_type, capture, settings)]
    needed = settings.patience + 1  # the one at which it moved is what the others are laid beside
    n = len(captures) - moved[-1] if moved else needed
    if n >= needed:
        return ""
    there = "is 1 capture" if n == 1 else f"are {n} captures"
    return f"Since it last moved, at step {captures[moved[-1]].step}, there {there} of the {needed} that are needed."


def _moved(constraint_type: str, capture: Capture, settings: DecisionSettings) -> bool:
    change = _change(constraint_type, capture, settings)
    return change is not None and change.edge is not None and change.value > change.edge


def _surely_changed(constraint_type: str, capture: Capture, settings: DecisionSettings) -> bool:
    look = capture.look.of(constraint_type) if capture.look else None
    change = _change(constraint_type, capture, settings)
    return look is not None and look.fit >= settings.min_fit and change is not None and change.said == "change"


def _change(constraint_type: str, capture: Capture, settings: DecisionSettings) -> Change | None:
    look = capture.look.of(constraint_type) if capture.look else None
    return look.change.get(settings.measure) if look else None
