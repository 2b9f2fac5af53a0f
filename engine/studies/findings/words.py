"""Figures in sentences."""

from engine.domain.decisions import CURRICULUM_INFOS, STOPPING_INFOS
from engine.domain.methods import METHOD_INFOS
from engine.domain.numbers import decimal
from engine.domain.studies import FindingFigure

POLICIES = {
    "loss_plateau": "flat loss",
    "probe_plateau": "flat probe scores",
    "circuit_saturation": "settled circuits",
    "under_learned": "by probe scores",
    "circuit_change": "by circuit change",
}
ALL_METHODS = "all methods"
# Of every finding that rests on circuit change.
COARSE = (
    "Circuit change is a coarse measure: with 80% of a circuit’s edges replaced, 0 of 60 comparisons were called a "
    "change. When and where answers moved is told by the study of measures."
)
N_WORDS = 5  # new words of a constraint type in the made-up world


def interval(figure: FindingFigure, digits: int = 2, *, unit: str = "") -> str:
    """Such as “31 steps (20 to 42, n = 30)”."""
    if figure.value is None:
        return "unknown (nothing to compare)"
    value = f"{decimal(figure.value, digits)}{unit and ' '}{unit}"
    if figure.low is None or figure.high is None:
        return f"{value} (n = {figure.n}, too few for an interval)"
    return f"{value} ({decimal(figure.low, digits)} to {decimal(figure.high, digits)}, n = {figure.n})"


def saves(figure: FindingFigure, unit: str, digits: int = 0) -> str:
    """What is saved; a negative saving is a cost."""
    if figure.value is not None and figure.value < 0:
        return f"costs {interval(turned(figure), digits, unit=unit)}"
    return f"saves {interval(figure, digits, unit=unit)}"


def coefficient(figure: FindingFigure) -> str:
    """A rank correlation with its interval; where there is none, why."""
    return "unknown (one of the two never varies)" if figure.value is None else interval(figure)


def turned(figure: FindingFigure) -> FindingFigure:
    """The same figure counted the other way."""
    ends = {"low": figure.high, "high": figure.low}
    turn = {name: None if end is None else -end for name, end in ends.items()}
    return figure.model_copy(update={"value": None if figure.value is None else -figure.value, **turn})


def method(name: str) -> str:
    """A method as its form shows it."""
    return METHOD_INFOS[name].title if name in METHOD_INFOS else name.replace("_", " ")


def policy(name: str) -> str:
    """A stopping rule or curriculum, short."""
    infos = STOPPING_INFOS | CURRICULUM_INFOS
    return POLICIES.get(name) or (infos[name].title if name in infos else name.replace("_", " "))


def constraint_type(name: str) -> str:
    return name.replace("_", " ")


def same_words(n_corpora: int) -> str:
    """What seeds do not vary."""
    sets = "one set" if n_corpora == 1 else f"{n_corpora} sets"
    return (
        f"All runs share {sets} of new words, {N_WORDS} per type. Intervals are over runs: they hold for these words "
        "and say nothing about others."
    )
