"""One measured figure beside what was promised."""

from engine.domain.record import Record


class BenchRow(Record):
    """`value` in `unit`; where something else was measured beside it, `reference` in the same unit and their ratio."""

    name: str
    value: float
    unit: str
    reference: float | None = None  # the other side, measured in the same run
    ratio: float | None = None
    target: str  # in words: "≥ 50×", "≤ 3 s"
    met: bool


def faster(name: str, value: float, unit: str, *, than: float, times: float) -> BenchRow:
    """Ours takes `value`, the other side `than`: the promise is at least `times` as fast."""
    ratio = than / value
    return BenchRow(
        name=name, value=value, unit=unit, reference=than, ratio=ratio, target=f"≥ {times:g}×", met=ratio >= times
    )


def not_slower(name: str, value: float, unit: str, *, than: float, times: float) -> BenchRow:
    """Ours takes `value`, the other side `than`: the promise is at most `times` as long."""
    ratio = value / than
    return BenchRow(
        name=name, value=value, unit=unit, reference=than, ratio=ratio, target=f"≤ {times:g}×", met=ratio <= times
    )


def at_most(name: str, value: float, unit: str, *, limit: float) -> BenchRow:
    """The promise is a plain limit in the same unit."""
    return BenchRow(name=name, value=value, unit=unit, target=f"≤ {limit:g} {unit}", met=value <= limit)


def at_least(name: str, value: float, unit: str, *, limit: float) -> BenchRow:
    """The promise is a plain lower limit in the same unit."""
    return BenchRow(name=name, value=value, unit=unit, target=f"≥ {limit:g} {unit}", met=value >= limit)


def plain(name: str, value: float, unit: str) -> BenchRow:
    """Nothing was promised; told so that the promise beside it can be judged."""
    return BenchRow(name=name, value=value, unit=unit, target="–", met=True)
