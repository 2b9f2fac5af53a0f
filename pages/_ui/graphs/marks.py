"""Everything that a person did to the linked graphs: what the component reports, what a bookmark keeps."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar
from urllib.parse import quote, unquote

from engine.domain.diffs import STATUSES

Show = Literal["both", "input", "output"]
T = TypeVar("T")

_KINDS = {"f": "feature", "e": "error", "t": "token", "l": "logit", "s": "supernode", "p": "place"}
_LETTERS = {kind: letter for letter, kind in _KINDS.items()}
_SHOW: dict[str, Show] = {"i": "input", "o": "output"}
_NODE = re.compile(rf"({'|'.join(_KINDS.values())})/(-?\d{{1,9}})/(-?\d{{1,9}})/(.{{1,200}})", re.DOTALL)
_COMPONENT = re.compile(r"input|logits|a(?P<layer>\d{1,9})\.h(?P<head>\d{1,9})|m(?P<mlp>\d{1,9})")
_TEXT_LIMIT, _MOST_PINS = 8_000, 200


@dataclass(frozen=True)
class Marks:
    """Nodes are named `feature/LAYER/POSITION/INDEX`, those of component circuits `input`, `a1.h3`, `m1`, `logits`,
    places of the Map `place/LAYER/FIRST/LAST` (positions).

    As text: short, of characters that an address need not escape.
    """

    selected: str | None = None  # node id
    pins: tuple[str, ...] = ()
    edge: tuple[str, str] | None = None  # ids of source and target
    show: Show = "both"  # which edges of hovered, selected and pinned nodes
    statuses: tuple[str, ...] = ()  # overlay: edges of these alone; empty: all
    min_change: float = 0.0  # overlay: the smallest |change| drawn
    step: int | None = None  # of a time-lapse
    look: tuple[float, float, float] | None = None  # zoom, and the layout point in the middle; None: the whole graph

    def to_text(self) -> str:
        """What differs from an untouched view, e.g. `nf3.4.217_t105`; "" for that view itself."""
        parts = [f"n{_node_text(self.selected)}"] if self.selected else []
        parts += [f"p{_node_text(pin)}" for pin in self.pins]
        if self.edge:
            parts.append(f"e{_node_text(self.edge[0])}.{_node_text(self.edge[1])}")
        if self.show != "both":
            parts.append(self.show[0])
        if self.statuses:
            parts.append("s" + "".join(status[0] for status in self.statuses))
        if self.min_change:
            parts.append(f"c{round(1e4 * self.min_change)}")
        if self.step is not None:
            parts.append(f"t{self.step}")
        if self.look:
            parts.append("z" + ".".join(str(round(100 * value)) for value in self.look))
        return "_".join(parts)

    @classmethod
    def from_text(cls, text: str) -> "Marks":
        """The marks of `to_text`. Never raises: what cannot be read is left out."""
        state: dict[str, Any] = {"pins": []}
        for part in text[:_TEXT_LIMIT].split("_"):
            letter, rest = part[:1], part[1:]
            if letter == "p":
                state["pins"].append(_node_id(rest.split(".")))
            elif letter == "e":
                fields = rest.split(".")
                state["edge"] = [_node_id(fields[:3]), _node_id(fields[3:])]
            elif letter in _READERS:
                name, read = _READERS[letter]
                state[name] = read(rest)
        return cls.from_state(state)

    @classmethod
    def from_state(cls, state: object) -> "Marks":
        """What the component reports (a dict of these fields), to the precision of the text. Never raises."""
        given = state if isinstance(state, dict) else {}
        return cls(
            selected=_node(given.get("selected")),
            pins=tuple(dict.fromkeys(_all(given.get("pins"), _node)))[:_MOST_PINS],
            edge=_pair(given.get("edge")),
            show=next((show for show in _SHOW.values() if show == given.get("show")), "both"),
            statuses=tuple(status for status in STATUSES if status in _all(given.get("statuses"), _string)),
            min_change=_rounded(given.get("min_change"), 1e4) or 0.0,
            step=_step(given.get("step")),
            look=_look(given.get("look")),
        )

    def without_places(self) -> "Marks":
        """Of what the graphs know: a place of the Map is no node of theirs."""
        ends = self.edge or ()
        return replace(
            self,
            selected=None if _is_place(self.selected) else self.selected,
            pins=tuple(pin for pin in self.pins if not _is_place(pin)),
            edge=None if any(map(_is_place, ends)) else self.edge,
        )

    def state(self) -> dict[str, Any]:
        """As plain JSON, for the component."""
        return {
            "selected": self.selected,
            "pins": list(self.pins),
            "edge": list(self.edge) if self.edge else None,
            "show": self.show,
            "statuses": list(self.statuses),
            "min_change": self.min_change,
            "step": self.step,
            "look": list(self.look) if self.look else None,
        }


def _is_place(node_id: str | None) -> bool:
    return (node_id or "").startswith("place/")


def _node_text(node_id: str) -> str:
    """`feature/3/4/217` as `f3.4.217`, `a1.h3` as `h1.3.0`; a name's other characters as ~XX."""
    if component := _COMPONENT.fullmatch(node_id):
        return _component_text(node_id, component)
    kind, layer, position, rest = node_id.split("/", 3)
    name = quote(rest, safe="")
    for character in "~_.":
        name = name.replace(character, f"%{ord(character):02X}")
    return f"{_LETTERS[kind]}{layer}.{position}.{name.replace('%', '~')}"


def _component_text(name: str, found: re.Match[str]) -> str:
    if found["head"]:
        return f"h{found['layer']}.{found['head']}.0"
    return f"m{found['mlp']}.0.0" if found["mlp"] else f"{'i' if name == 'input' else 'o'}0.0.0"


def _node_id(fields: list[str]) -> str | None:
    if len(fields) != 3:
        return None
    letter, layer = fields[0][:1], fields[0][1:]
    components = {"h": f"a{layer}.h{fields[1]}", "m": f"m{layer}", "i": "input", "o": "logits"}
    if letter not in _KINDS:
        return components.get(letter)
    return f"{_KINDS[letter]}/{layer}/{fields[1]}/{unquote(fields[2].replace('~', '%'))}"


def _node(value: object) -> str | None:
    known = isinstance(value, str) and (_NODE.fullmatch(value) or _COMPONENT.fullmatch(value))
    return value if known else None  # type: ignore[return-value]


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _all(values: object, read: Callable[[object], T | None]) -> list[T]:
    found = [read(value) for value in values] if isinstance(values, list | tuple) else []
    return [value for value in found if value is not None]


def _pair(value: object) -> tuple[str, str] | None:
    ends = _all(value, _node)
    return (ends[0], ends[1]) if len(ends) == 2 else None


def _number(value: object) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known and abs(value) < 1e9 else None  # type: ignore[arg-type]


def _rounded(value: object, per_unit: float) -> float | None:
    number = _number(value)
    return None if number is None else max(0, round(per_unit * number)) / per_unit


def _step(value: object) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number >= 0 else None


def _look(value: object) -> tuple[float, float, float] | None:
    numbers = [_rounded(part, 100) for part in value] if isinstance(value, list | tuple) else []
    known = [number for number in numbers if number is not None]
    return (known[0], known[1], known[2]) if len(known) == 3 == len(numbers) and known[0] > 1 else None


def _digits(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


_READERS: dict[str, tuple[str, Callable[[str], object]]] = {
    "n": ("selected", lambda text: _node_id(text.split("."))),
    "i": ("show", lambda text: "input"),
    "o": ("show", lambda text: "output"),
    "s": ("statuses", lambda text: [status for status in STATUSES if status[0] in text]),
    "c": ("min_change", lambda text: (_digits(text) or 0) / 1e4),
    "t": ("step", _digits),
    "z": ("look", lambda text: [None if (n := _digits(part)) is None else n / 100 for part in text.split(".")]),
}
