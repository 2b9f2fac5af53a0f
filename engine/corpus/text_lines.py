"""The lines of a corpus file, whatever it was saved as: UTF-8 or UTF-16, with or without a mark, any ends of lines."""

from engine.domain.errors import BadLine

MAX_BYTES = 20_000_000
MAX_LINES = 100_000
NumberedText = tuple[int, str]  # line number (from 1) and the line without its end
_MARKS = {  # how a file begins that is no UTF-8; the longer ones first
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_BEGINNING = 64  # bytes by which a file without a mark is told


def text_lines(raw: bytes) -> tuple[list[NumberedText], list[BadLine]]:
    """Every line, and those that cannot be read. Of a file of another encoding than it seems to have, line 1."""
    encoding = _encoding(raw)
    if encoding == "utf-8":
        return _utf8_lines(raw.removeprefix(b"\xef\xbb\xbf"))  # the mark that spreadsheets write
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        reason = f"is not {encoding.upper()} (byte {error.start + 1}), although the file begins so. Save it as UTF-8"
        return [], [BadLine(1, reason)]
    return list(enumerate(text.split("\n" if "\n" in text else "\r"), start=1)), []


def _encoding(raw: bytes) -> str:
    for mark, encoding in _MARKS.items():
        if raw.startswith(mark):
            return encoding
    # Most files begin with signs of ASCII, of which UTF-16 writes every other byte as zero.
    even, odd = raw[0:_BEGINNING:2], raw[1:_BEGINNING:2]
    if len(odd) > 1 and 2 * odd.count(0) > len(odd) and 0 not in even[:1]:
        return "utf-16-le"
    if len(even) > 1 and 2 * even.count(0) > len(even) and 0 not in odd[:1]:
        return "utf-16-be"
    return "utf-8"


def _utf8_lines(raw: bytes) -> tuple[list[NumberedText], list[BadLine]]:
    # Not splitlines(): it also cuts at characters that are legal within a JSON string.
    rows = raw.split(b"\n" if b"\n" in raw else b"\r")
    lines, bad = [], []
    for number, row in enumerate(rows, start=1):
        try:
            lines.append((number, row.decode("utf-8")))
        except UnicodeDecodeError as error:
            byte = f"byte {row[error.start]:#04x} in column {error.start + 1}"
            bad.append(BadLine(number, f"is not UTF-8 ({byte}). Save the file as UTF-8"))
    return lines, bad
