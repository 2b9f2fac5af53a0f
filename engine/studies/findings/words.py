"""Figures in sentences."""

from collections.abc import Sequence

from engine.domain.decisions import CURRICULUM_INFOS, STOPPING_INFOS
from engine.domain.methods import METHOD_INFOS
from engine.domain.studies import FindingFigure

POLICIES = {
    "loss_plateau": "loss is flat",
    "probe_plateau": "probes are flat",
    "circuit_saturation": "circuits have formed",
    "under_learned": "what is not yet known",
    "circuit_change": "where circuits still move",
}
ALL_METHODS = "all methods"


def number(value: float, digits: int = 2) -> str:
    """Rounded, with a true minus sign; never a negative zero."""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def interval(figure: FindingFigure, digits: int = 2, *, unit: str = "") -> str:
    """Such as “31 steps (95 % interval 20 to 42, n = 30)”."""
    if figure.value is None:
        return "an unknown amount (nothing to compare)"
    value = f"{number(figure.value, digits)}{unit and ' '}{unit}"
    if figure.low is None or figure.high is None:
        return f"{value} (n = {figure.n}: no interval)"
    return f"{value} (95 % interval {number(figure.low, digits)} to {number(figure.high, digits)}, n = {figure.n})"


def changes(figure: FindingFigure, what: str) -> str:
    """A difference of scores: “raises …”, “lowers …”, or by nothing."""
    if figure.value is None:
        return f"leaves it open what happens to {what}"
    if number(abs(figure.value)) == "0.00":
        return f"changes {what} by {interval(figure)}"
    return (
        f"raises {what} by {interval(figure)}" if figure.value > 0 else f"lowers {what} by {interval(turned(figure))}"
    )


def saves(figure: FindingFigure, unit: str, digits: int = 0) -> str:
    """What is saved; a negative saving is a cost."""
    if figure.value is None or figure.value >= 0:
        return f"saves {interval(figure, digits, unit=unit)}"
    return f"costs {interval(turned(figure), digits, unit=f'{unit} more')}"


def coefficient(figure: FindingFigure) -> str:
    """A rank correlation with its interval; where there is none, why."""
    return "unknown (one of the two never varies)" if figure.value is None else interval(figure)


def turned(figure: FindingFigure) -> FindingFigure:
    """The same figure counted the other way."""
    ends = {"low": figure.high, "high": figure.low}
    turn = {name: None if end is None else -end for name, end in ends.items()}
    return figure.model_copy(update={"value": None if figure.value is None else -figure.value, **turn})


def percent(share: float | None) -> str:
    return f"{100 * (share or 0.0):.0f} %"


def method(name: str) -> str:
    """A method as its form shows it."""
    return METHOD_INFOS[name].title if name in METHOD_INFOS else name.replace("_", " ")


def policy(name: str) -> str:
    """A stopping rule or curriculum, short."""
    infos = STOPPING_INFOS | CURRICULUM_INFOS
    return POLICIES.get(name) or (infos[name].title if name in infos else name.replace("_", " "))


def listed(parts: Sequence[str]) -> str:
    """Such as “a, b and c”."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def constraint_type(name: str) -> str:
    return name.replace("_", " ")
