"""Texts of users, models and files, made safe for widgets that read Markdown."""

import re

# Everything that Markdown, LaTeX, HTML or Streamlit's directives give a meaning to.
_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+.!|~$&\"'^=-])")
# Streamlit replaces emoji shortcodes and typographic symbols *after* escapes are resolved; an invisible word joiner
# (U+2060) breaks the pattern and leaves the text as it looks.
_COLON = re.compile(r":(?=\S)")
_SYMBOLS = re.compile(r"(?<=[<>~-])(?=[->=])")
_JOINER = "\u2060"
# The two lines of a small curve chart, in its colours and marks.
CURVE_LEGEND = ":gray-badge[● paraphrase] :red-badge[■ inference]"


def plain(text: object) -> str:
    """`text` so that Markdown shows exactly it, on one line."""
    line = " ".join(str(text).split())
    joined = _SYMBOLS.sub(_JOINER, _COLON.sub(":" + _JOINER, line))
    return _SPECIAL.sub(r"\\\1", joined)


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters, with an ellipsis where something was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def words(identifier: str) -> str:
    """`simple_mapping` as people write it: simple mapping."""
    return identifier.replace("_", " ")


def percent(label: str) -> str:
    """A checkpoint label as people write it: `25%` is 25 %, `step75` is step 75."""
    return label.replace("%", " %").replace("step", "step ")


def duration(seconds: float) -> str:
    """Rounded as one says it: 8 s, 3 min, 2 h."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
