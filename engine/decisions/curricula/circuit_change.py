"""Sample constraint types more often, the further their circuit change is above the noise floor."""

from collections.abc import Sequence

from engine.decisions.curricula.shares import shares
from engine.domain.decisions import Capture, DecisionSettings, TypeReading


def weights(captures: Sequence[Capture], settings: DecisionSettings) -> dict[str, float]:
    """Proportional to how far the change in `measure` is above its noise floor, in the newest look there is.

    A type of which that cannot be told (a single prompt, or a replacement model that fits badly) counts as the mean
    of the others. Empty where it can be told of none.
    """
    readings = [one.reading for one in captures if one.reading is not None]
    found = {one.constraint_type: _need(one, settings) for one in (readings[-1].types if readings else ())}
    known = [need for need in found.values() if need is not None]
    if not known:
        return {}
    mean = sum(known) / len(known)
    needs = {name: mean if need is None else need for name, need in found.items()}
    return shares(needs, least_share=settings.least_share)


def _need(reading: TypeReading, settings: DecisionSettings) -> float | None:
    change = reading.change.get(settings.measure)
    if change is None or change.edge is None or reading.fit < settings.min_fit:
        return None
    return max(0.0, change.value - change.edge)
