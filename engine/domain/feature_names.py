"""What features are called: by what a person wrote, else by an automatic label, else by their number.

An automatic label says what was measured and no more: the tokens on which a feature is most active, and the tokens that
its decoder promotes. It is one of a transcoder set's feature, whichever checkpoints are looked at: `Measured` says in
which it was measured. `engine.figures.feature_labels` has the rules by which tokens are named.
"""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Self

from pydantic import Field

from engine.domain.annotations import Annotations, FeatureName
from engine.domain.record import Record

SHORT = 24  # characters of a label in a drawing
_LONGEST_TOKEN = 16
_MOST_SHORT = 2  # tokens on either side of the arrow
_LEFT_TO_RIGHT = "\u200e"  # keeps the arrow pointing away from what is before it, whatever way the tokens run

Numbers = tuple[int, ...]  # of tokens


class Measured(Record):
    """Features that were measured together: tokens that each is most active on, tokens that it promotes.

    Tokens are places in `AutomaticLabels.tokens`. Nothing on a side: none stood out. `whole`: all features of the set
    were measured, and of those that are not here nothing stood out.
    """

    checkpoints: tuple[str, ...]  # RUN@LABEL
    n_tokens: Annotated[int, Field(ge=0)]  # that were looked at, in each checkpoint
    labels: dict[FeatureName, tuple[Numbers, Numbers]]
    whole: bool = False


class AutomaticLabels(Record):
    """The automatic labels of one transcoder set; of a feature that was measured twice the first ones hold."""

    transcoders_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{1,64}$")]
    tokens: tuple[str, ...] = ()  # as they are shown
    measured: tuple[Measured, ...] = ()

    def added(self, found: "FoundLabels") -> Self:
        """With the tokens of more features."""
        numbers = {token: number for number, token in enumerate(self.tokens)}

        def numbered(tokens: Sequence[str]) -> Numbers:
            return tuple(numbers.setdefault(token, len(numbers)) for token in tokens)

        labels = {
            name: (numbered(active), numbered(promoted))
            for name, (active, promoted) in found.tokens.items()
            if active or promoted or not found.whole
        }
        new = Measured(checkpoints=tuple(found.checkpoints), n_tokens=found.n_tokens, labels=labels, whole=found.whole)
        return self.model_copy(update={"tokens": tuple(numbers), "measured": (*self.measured, new)})

    @property
    def is_whole(self) -> bool:
        """Whether all features of the set were measured."""
        return any(part.whole for part in self.measured)

    def has(self, layer: int, index: int) -> bool:
        """Whether the feature was measured; true also where nothing stood out."""
        return self.is_whole or any(f"{layer}/{index}" in part.labels for part in self.measured)


@dataclass(frozen=True)
class FoundLabels:
    """What a measurement found. `tokens`: LAYER/INDEX -> (most active on, promoted), as they are shown."""

    checkpoints: Sequence[str]
    n_tokens: int
    tokens: Mapping[str, tuple[Sequence[str], Sequence[str]]]
    whole: bool = False


@dataclass(frozen=True)
class FeatureLabel:
    """What a feature is called.

    `text`: what a person wrote, or at most SHORT characters as `blarf → happy`: active on, promotes. `more`: the same
    with all the tokens that stand out. `measured`: in which checkpoints, on how many tokens; None for a person's.
    """

    text: str
    more: str
    measured: Measured | None = None

    @property
    def automatic(self) -> bool:
        return self.measured is not None


@dataclass(frozen=True)
class FeatureNames:
    """The one answer to what the features of a transcoder set are called; `Store.feature_names` gives it.

    `names.label(3, 566)` is None where nobody wrote anything and nothing stands out: then the number is the name.
    Drawings write `label.text` (italic where `label.automatic`), running text `engine.figures.names.feature_name`,
    which has the number too: several features may have one label.
    """

    annotations: Annotations
    automatic: AutomaticLabels
    _found: dict[str, tuple[Measured, Numbers, Numbers]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        for part in reversed(self.automatic.measured):
            self._found.update({name: (part, *tokens) for name, tokens in part.labels.items()})

    @classmethod
    def of(cls, annotations: Annotations, automatic: AutomaticLabels | None = None) -> Self:
        """Without automatic labels: what a person wrote."""
        return cls(annotations, automatic or AutomaticLabels(transcoders_hash=annotations.transcoders_hash))

    def unwritten(self) -> Self:
        """Without what a person wrote."""
        return type(self).of(Annotations(transcoders_hash=self.annotations.transcoders_hash), self.automatic)

    def record(self, features: Iterable[tuple[int, int]]) -> dict[str, dict[str, object]]:
        """LAYER/INDEX -> label and whether it is automatic, of those of the features that have one."""
        found = {(layer, index): self.label(layer, index) for layer, index in sorted(set(features))}
        return {
            f"{layer}/{index}": {"label": label.more, "automatic": label.automatic}
            for (layer, index), label in found.items()
            if label
        }

    def label(self, layer: int, index: int) -> FeatureLabel | None:
        """What a person wrote, else what was measured, else None."""
        name = f"{layer}/{index}"
        if written := self.annotations.labels.get(name):
            return FeatureLabel(written, written)
        if name not in self._found:
            return None
        measured, active, promoted = self._found[name]
        sides = [tuple(self.automatic.tokens[number] for number in side) for side in (active, promoted)]
        if not any(sides):
            return None
        return FeatureLabel(shortest(*sides), written_out(*sides), measured)


def written_out(active: Sequence[str], promoted: Sequence[str]) -> str:
    """`blarf, glad → happy`; `on blarf` and `→ happy` where nothing stands out on the other side."""
    left, right = ", ".join(active), ", ".join(promoted)
    if not right:
        return f"on {left}"
    return _in_order(f"{left} → {right}".lstrip())


def shortest(active: Sequence[str], promoted: Sequence[str]) -> str:
    """The same in SHORT characters: first tokens are left out, the last ones first, then what is left is cut."""
    for n_active, n_promoted in ((_MOST_SHORT, _MOST_SHORT), (1, _MOST_SHORT), (1, 1)):
        text = written_out(active[:n_active], promoted[:n_promoted])
        if len(text) <= SHORT:
            return text
    room = (SHORT - 3) // 2 if active and promoted else SHORT - 3
    return written_out([cut(token, room) for token in active[:1]], [cut(token, room) for token in promoted[:1]])


def cut(text: str, most: int = _LONGEST_TOKEN) -> str:
    """At most so many characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _in_order(text: str) -> str:
    """Arrows and commas between words that are written from right to left are held to the direction of the line."""
    if not any(unicodedata.bidirectional(character) in ("R", "AL", "AN") for character in text):
        return text
    for between in (" → ", ", "):
        text = text.replace(between, f"{_LEFT_TO_RIGHT}{between}{_LEFT_TO_RIGHT}")
    return text.replace("→ ", f"→ {_LEFT_TO_RIGHT}", 1) if text.startswith("→ ") else text
