"""Text on its way into a file: characters that XML forbids, and names that every file system takes."""

import re

# Neither XML 1.0 nor HTML takes these: control characters but tab and newline, surrogates, non-characters. A
# carriage return is allowed, but readers turn it into a newline.
_FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_CONTROL_PICTURES = 0x2400  # ␀ stands for NUL, and so on
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_NAME_LIMIT = 100  # characters; with a suffix far below the 255 bytes of any file system


def printable(text: str) -> str:
    """`text` with every character that XML 1.0 forbids made visible: NUL becomes ␀, an unpaired surrogate �."""
    return _FORBIDDEN.sub(_picture, text)


def _picture(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(_CONTROL_PICTURES + code) if code < 0x20 else "\ufffd"


def file_name(name: str, suffix: str) -> str:
    """A file's name made of any text, in ASCII: `demo-lora@100%` becomes `demo-lora-100pct`. `suffix`: with
    its dot."""
    safe = _UNSAFE.sub("-", name.replace("%", "pct ")).strip("-._")[:_NAME_LIMIT].rstrip("-._")
    return (safe or "export") + suffix
