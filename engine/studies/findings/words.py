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


def interval(figure: FindingFigure, digits: int = 2) -> str:
    """Such as “0.31 (95 % interval 0.20 to 0.42, n = 30)”."""
    if figure.value is None:
        return "not measured"
    if figure.low is None or figure.high is None:
        return f"{number(figure.value, digits)} (n = {figure.n}: no interval)"
    ends = f"{number(figure.low, digits)} to {number(figure.high, digits)}"
    return f"{number(figure.value, digits)} (95 % interval {ends}, n = {figure.n})"


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
