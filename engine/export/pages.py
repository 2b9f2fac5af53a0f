"""Templates to whole HTML files. Every value is escaped by the template engine; nothing refers to another file."""

import base64
import hashlib
import json
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from engine.domain.numbers import signed
from engine.export.texts import printable

ASSETS = Path(__file__).parents[2] / "assets" / "export"


@cache
def environment() -> Environment:
    """Templates of assets/export; what XML forbids is made visible in every text."""
    made = Environment(
        loader=FileSystemLoader(ASSETS, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    made.filters["signed"] = _signed
    return made


def _signed(value: float) -> str:
    return signed(value, 3)


def asset(name: str) -> Markup:
    """A file of assets/export as it is: our own CSS and JavaScript."""
    return Markup((ASSETS / name).read_text(encoding="utf-8"))  # noqa: S704 - our own file, no user's text


def inline_json(data: object) -> Markup:
    """JSON for a `<script type="application/json">`: no text in it can end the element or begin a comment."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - it holds no character that HTML gives a meaning to


def content_policy(*scripts: str) -> str:
    """A Content-Security-Policy under which these scripts run, no other does, and nothing is fetched."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"
