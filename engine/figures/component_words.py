"""The words of component circuits: what an edge became, the legends, and how far figures over few pairs go."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from engine.domain.components import FEW_PAIRS, CircuitStatus, ComponentScores
from engine.domain.numbers import plural

if TYPE_CHECKING:
    import pandas as pd

STATUS_TEXTS: dict[CircuitStatus, str] = {
    "appeared": "only in B’s circuit",
    "vanished": "only in A’s circuit",
    "flipped": "in both circuits, with opposite signs",
    "in both": "in both circuits, with the same sign",
}
_LEGEND = [["tl-circle", "attention head"], ["tl-square", "MLP"]]
_PAIR_LEGEND = [
    *_LEGEND,
    ["tl-line tl-positive", "helps the right answer"],
    ["tl-line tl-negative", "works against it"],
    ["tl-circle tl-ring-lost", "only in A"],
    ["tl-circle tl-ring-gained", "only in B"],
    ["tl-circle tl-dashed", "not in this circuit"],
]
_OVERLAY_LEGEND = [
    *_LEGEND,
    ["tl-line tl-gained", "appeared: only in B"],
    ["tl-line tl-lost", "vanished: only in A"],
    ["tl-line tl-flipped", "flipped: opposite signs"],
    ["tl-line tl-same", "in both: same sign"],
    ["tl-circle tl-dashed", "in neither"],
]
WORDING: Final[dict[str, Any]] = {
    "pair": _PAIR_LEGEND,
    "overlay": _OVERLAY_LEGEND,
    "difference": "orange: only in B · blue: only in A · violet: opposite signs",
    "warning": "⚠ right answer not ahead",
    "search": "Find: L2, h3, mlp, a1.h3",
    "search_title": "Find heads and MLPs by layer (L2), head (h3), kind (mlp) or id (a1.h3). "
    "Enter: next match. Esc: clear.",
}
_MOVED = 0.5  # of the larger effect


def n_moved(edges: "pd.DataFrame") -> int:
    """Of `edge_changes`: edges in both circuits, with the same sign, whose effect changed by half or more of the larger
    one."""
    both = edges[edges["status"] == "in both"]
    larger = np.maximum(both["effect_a"].abs(), both["effect_b"].abs())
    return int((both["change"].abs() >= _MOVED * larger).sum())


def n_pairs_of(scores: ComponentScores) -> int:
    return int(scores.n_pairs.sum())


def found_on(scores: ComponentScores) -> str:
    """`4 prompt pairs of “words”`"""
    return f"{plural(n_pairs_of(scores), 'prompt pair')} of “{scores.key.pairs}”"


def found_by(scores: ComponentScores) -> str:
    """`4 prompt pairs of “words” by EAP-IG (5 points)`"""
    return f"{found_on(scores)} by {scores.key.settings.method}"


def few_pairs(n: int) -> str:
    """What is to be said behind their number, where they are few; empty where they are enough."""
    if n >= FEW_PAIRS:
        return ""
    return (
        f"With so few, which edges, heads and MLPs matter most may be a matter of "
        f"{'this pair' if n == 1 else 'these pairs'}. Bring {FEW_PAIRS} or more."
    )
