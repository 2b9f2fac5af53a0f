"""Every colour of a figure, once. Checked by tests for contrast on the light and the dark background.

Sign (PRGn) and difference (orange, blue) never share a colour, so that a negative weight never reads as a removed
edge. All pairs stay apart for readers with deuteranopia or protanopia; lines also differ by marker.
"""

from typing import Final

POSITIVE, NEGATIVE = "#1b7837", "#762a83"
GAINED, LOST, FLIPPED, SAME = "#d9730d", "#2563a8", "#7b4bb3", "#7b8794"

# What the graph component draws with, by theme.
GRAPH: Final[dict[str, dict[str, str]]] = {
    "light": {
        "positive": POSITIVE,
        "negative": NEGATIVE,
        "gained": GAINED,
        "lost": LOST,
        "flipped": FLIPPED,
        "same": SAME,
        "outline": "#1f2933",
        "ghost": "#c3cad3",
        "grid": "#e6e9ee",
        "text": "#1f2933",
        "muted": "#5f6c7b",
        "ring": "#c2185b",
        "answer": POSITIVE,
        "other": "#9aa5b1",
        "found": "#8a6100",
        "marker": "#ffd84d",
    },
    "dark": {
        "positive": "#6fca83",
        "negative": "#cf9ddb",
        "gained": "#f5a04a",
        "lost": "#74aef5",
        "flipped": "#b79cf0",
        "same": "#8a96a3",
        "outline": "#e4e9ef",
        "ghost": "#4a5563",
        "grid": "#2c3541",
        "text": "#eef2f6",
        "muted": "#a3afbd",
        "ring": "#ff6fa8",
        "answer": "#6fca83",
        "other": "#7c8896",
        "found": "#ffe27a",
        "marker": "#b08900",
    },
}

# Soft halos behind the members of a group (Okabe and Ito 2008, told apart with any colour vision); drawn translucent.
GROUPS: Final = ("#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#0072b2", "#d55e00")

# Of charts, which have one set for both themes: 3:1 against white and against #0e1117.
STATUS: Final[dict[str, str]] = {
    "appeared": GAINED,
    "strengthened": GAINED,
    "vanished": "#3f7fc4",
    "weakened": "#3f7fc4",
    "flipped": "#8f63c7",
    "unchanged": SAME,
    "not kept": SAME,
    "in both": SAME,
}
# Of runs: twelve that stay apart for readers with and without deuteranopia or protanopia, as far as twelve can.
RUNS: Final = (
    "#5060c8", "#e87008", "#287810", "#c80080", "#5098c0", "#d81000", "#8830f8", "#60a040", "#f848b8", "#087078",
    "#c07088", "#b868e8",
)  # fmt: skip
LOSS = "#64748b"
CURSOR = "#8a94a0"
# Of circuit change: its curve, the band of noise (drawn translucent), a step with a low replacement score, the mark of
# saturation.
CIRCUIT, NOISE, LOW_FIT, SATURATED = "#8f63c7", "#8a94a0", "#d9730d", "#1f9488"
# Of activation: bars, and the text marker behind a token, drawn with up to half its strength on either theme.
ACTIVATION, MARKER = "#a87a14", (234, 179, 8)
# Of series that mean nothing by their colour (checkpoints, methods): told apart by shape too.
SERIES: Final = (
    "#8f63c7", "#1f9488", "#d6296b", "#a87a14", "#3f7fc4", "#4d8f3a", "#d9730d", "#64748b", "#8a6d5b",
)  # fmt: skip
_STAR = "M0,-1L0.29,-0.4L0.95,-0.31L0.48,0.15L0.59,0.81L0,0.5L-0.59,0.81L-0.48,0.15L-0.95,-0.31L-0.29,-0.4Z"
SHAPES: Final = (
    "circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "triangle-right", "triangle-left", _STAR,
)  # fmt: skip
