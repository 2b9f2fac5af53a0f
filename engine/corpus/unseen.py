"""Characters that nobody sees: two texts that look alike must be the same text."""

import re
import unicodedata
from collections.abc import Iterable, Sequence

from engine.corpus.text_lines import NumberedText
from engine.domain.errors import BadLine

# What may be unseen; all else is passed over at once. Controls, soft hyphen, marks of direction, joiners, fillers,
# separators of lines, variation selectors, tags.
_SUSPECT = (
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U000e0000-\U000e0fff"
)
_MAYBE = re.compile(f"[{_SUSPECT}]|\\\\u")
_UNIT = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|.", re.DOTALL)
_IS_SUSPECT = re.compile(f"[{_SUSPECT}]")
_JOINERS = "\u200c\u200d"  # stand between letters of Persian or Hindi, and within emoji
_NAMES = {"\x00": "NUL", "\ufeff": "BYTE ORDER MARK"}


def unseen(lines: Iterable[NumberedText], *, escapes: bool) -> list[BadLine]:
    """The first such character of each line. `escapes`: of JSON, where one may be written out, as \\u200b."""
    bad = []
    for number, line in lines:
        if not _MAYBE.search(line):
            continue
        units = _units(line) if escapes else [(column, sign) for column, sign in enumerate(line, start=1)]
        for place, (column, sign) in enumerate(units):
            if _IS_SUSPECT.match(sign) and not _belongs(units, place):
                bad.append(BadLine(number, f"has the invisible character {_named(sign)} in column {column}. Delete it"))
                break
    return bad


def mixed_forms(lines: Sequence[NumberedText], *, escapes: bool) -> list[BadLine]:
    """Lines with letters and their accents apart, where the same file has others composed: é and é look alike."""
    read = [(number, _units(line) if escapes and "\\u" in line else line) for number, line in lines]
    texts = [(n, line if isinstance(line, str) else "".join(sign for _, sign in line)) for n, line in read]
    if not any(not unicodedata.is_normalized("NFD", text) for _, text in texts):
        return []
    bad = []
    for (number, text), (_, line) in zip(texts, read, strict=True):
        if unicodedata.is_normalized("NFC", text):
            continue
        composed = unicodedata.normalize("NFC", text)
        place = next((at for at, (one, other) in enumerate(zip(text, composed, strict=False)) if one != other), 0)
        column = place + 1 if isinstance(line, str) else line[place][0]
        reason = (
            f"has “{composed[place]}” as a letter and its mark apart in column {column}, and the file has others whole"
        )
        bad.append(BadLine(number, f"{reason}. Save it in one form (Unicode NFC)"))
    return bad


def _units(line: str) -> list[tuple[int, str]]:
    """Column (from 1) and character of each, of JSON: an escape is the character that it stands for."""
    found = []
    for match in _UNIT.finditer(line):
        written = match[0]
        sign = written
        if written.startswith("\\u"):
            codes = bytes.fromhex(written.replace("\\u", ""))
            sign = codes.decode("utf-16-be", "replace")
        found.append((match.start() + 1, sign[:1] if len(sign) > 1 and not written.startswith("\\u") else sign))
    return found


def _belongs(units: Sequence[tuple[int, str]], place: int) -> bool:
    """Joiners between letters of scripts that need them, or in an emoji; selectors behind a sign that has variants."""
    sign = units[place][1]
    before = units[place - 1][1] if place else ""
    after = units[place + 1][1] if place + 1 < len(units) else ""
    if sign in _JOINERS:
        return all(one > "\u0590" and not one.isspace() for one in (before or " ", after or " "))
    if "\ufe00" <= sign <= "\ufe0f" or sign >= "\U000e0100":
        return after == "\u20e3" or (before > "\x7f" and not _IS_SUSPECT.match(before))
    return False


def _named(sign: str) -> str:
    name = _NAMES.get(sign) or unicodedata.name(sign, "")
    return f"U+{ord(sign):04X}" + (f" ({name})" if name else "")
