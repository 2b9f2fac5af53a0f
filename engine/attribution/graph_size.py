"""What a graph takes in memory, from how many nodes it has: without torch, so that a page can tell it, too."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.domain.errors import InputError
from engine.domain.graphs import TraceSettings
from engine.domain.numbers import count, memory, plural

if TYPE_CHECKING:
    from engine.attribution.effects import Effects
    from engine.attribution.sources import Sources

_RANKED = 2  # the rows that are ranked, and their normalised copy


@dataclass(frozen=True)
class GraphSize:
    """What a prompt's graph takes, known as soon as its features are."""

    n_features: int  # active
    n_nodes: int  # features that become nodes
    n_others: int  # errors, tokens and logits
    batch_bytes: int  # of the rows that go down together
    middle: int = 0  # the layer at which rows and columns meet
    waiting_bytes: int = 0  # of the columns that wait there

    @classmethod
    def of(cls, effects: "Effects", sources: "Sources", n_logits: int, settings: TraceSettings) -> "GraphSize":
        n = min(settings.max_feature_nodes or sources.n_features, sources.n_features)
        return cls(sources.n_features, n, sources.n_columns - sources.n_features + n_logits, effects.batch_bytes)

    def meeting(self, effects: "Effects", n_logits: int, free: int) -> "GraphSize":
        """Where every feature is a node, rows and columns meet half-way, if there is room for what waits there."""
        if self.n_nodes < self.n_features:
            return self
        middle = effects.middle(n_logits, free - self.n_bytes)
        return replace(self, middle=middle.layer, waiting_bytes=middle.n_bytes)

    @property
    def n_bytes(self) -> int:
        """At the peak, while rows are made; float32."""
        return self._bytes(self.n_nodes)

    def _bytes(self, n_nodes: int) -> int:
        numbers = (n_nodes + self.n_others) ** 2
        if n_nodes < self.n_features:
            numbers += _RANKED * n_nodes * (self.n_features + self.n_others)
        return 4 * numbers + self.batch_bytes + self.waiting_bytes

    def most_nodes(self, n_bytes: int) -> int:
        """The largest number of features whose graph takes no more; 0 where not even one fits."""
        low, high = 0, self.n_features - 1
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._bytes(middle) <= n_bytes else (low, middle - 1)
        return low

    def refuse_larger_than(self, free: int) -> None:
        """Raises InputError where the graph takes more than these bytes, with a number of features that does not."""
        if self.n_bytes <= free:
            return
        most = self.most_nodes(free)
        most -= most % 10 ** max(0, len(str(most)) - 2)  # two digits, downwards
        advice = (
            f"Trace at most {count(most)} features (--max-features {most}, or “Features at most” beside Trace), or a "
            "shorter prompt."
            if most
            else "Trace a shorter prompt."
        )
        raise InputError(
            f"This prompt wakes {plural(self.n_features, 'feature')}: a graph of {count(self.n_nodes)} of them takes "
            f"{memory(self.n_bytes)}, and {memory(free)} are free. {advice}"
        )
