"""What an HTML file would run or fetch."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

# attributes whose value a browser fetches
_FETCHED = {"src", "srcset", "data", "poster", "background", "xlink:href"}


@dataclass
class Found:
    """Of one page."""

    scripts: list[str] = field(default_factory=list)  # bodies that a browser runs
    handlers: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    policy: str = ""
    text: str = ""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found, self.inside = Found(), ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.found.tags.append(tag)
        self.inside = tag
        if tag == "script" and named.get("type") is None:
            self.found.scripts.append("")
            self.inside = "run"
        if named.get("http-equiv") == "Content-Security-Policy":
            self.found.policy = named["content"] or ""
        self.found.handlers += [name for name in named if name.startswith("on")]
        fetched = [v or "" for name, v in named.items() if name in _FETCHED or (name == "href" and tag == "link")]
        self.found.addresses += [address for address in fetched if not address.startswith("data:")]

    def handle_data(self, data: str) -> None:
        if self.inside == "run":
            self.found.scripts[-1] += data
        elif self.inside not in ("script", "style"):
            self.found.text += data

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self.inside = ""


def look_into(page: str) -> Found:
    reader = _Reader()
    reader.feed(page)
    return reader.found
