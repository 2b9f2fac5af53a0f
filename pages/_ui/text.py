"""Texts of users, models and files, made safe for widgets that read Markdown."""

import re

# Everything that Markdown, LaTeX, HTML or Streamlit's directives give a meaning to.
_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+.!|~$&\"'^=-])")
# Streamlit replaces emoji shortcodes and typographic symbols *after* escapes are resolved; an invisible word joiner
# (U+2060) breaks the pattern and leaves the text as it looks.
_COLON = re.compile(r":(?=\S)")
_SYMBOLS = re.compile(r"(?<=[<>~-])(?=[->=])")
_JOINER = "\u2060"


def plain(text: object) -> str:
    """`text` so that Markdown shows exactly it, on one line."""
    line = " ".join(str(text).split())
    joined = _SYMBOLS.sub(_JOINER, _COLON.sub(":" + _JOINER, line))
    return _SPECIAL.sub(r"\\\1", joined)


def message(text: str) -> str:
    """As `plain`; what stands between backticks, such as a command, can be copied as it is."""
    parts = text.split("`")
    if len(parts) % 2 == 0:  # one without its other
        return plain(text)
    return "".join(f"`{' '.join(part.split())}`" if place % 2 else _kept(part) for place, part in enumerate(parts))


def _kept(text: str) -> str:
    """`plain`, with blanks at the ends as they are."""
    return f"{' ' * text[:1].isspace()}{plain(text)}{' ' * (text[-1:].isspace() and bool(text.strip()))}"


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters, with an ellipsis where something was cut."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def both_ends(text: str, limit: int = 160) -> str:
    """At most `limit` characters: of a longer text its beginning and its end, which is where an answer follows."""
    half = limit // 2
    return text if len(text) <= limit else f"{text[: limit - half - 1]}…{text[-half:]}"


def words(identifier: str) -> str:
    """`simple_mapping` as people write it: simple mapping."""
    return identifier.replace("_", " ")
