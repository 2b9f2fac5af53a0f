"""Attribution graphs and comparisons of a workspace."""

from engine.analysis.pairs import completed
from engine.domain.errors import NotFound
from engine.domain.graphs import AttributionGraph, Comparison, ComparisonKey, GraphKey, GraphPair, PairMeasures
from engine.store.catalogue import read_comparison
from engine.store.files import write_text
from engine.store.graph_files import read_graph, write_graph
from engine.store.layout import main_file
from engine.store.pair_files import read_pair_measures, write_pair_measures
from engine.store.shelves import Shelves


class GraphShelf(Shelves):
    """`graphs/HASH.safetensors`, `comparisons/HASH.json`, `pairs/HASH.safetensors`; named by what made them."""

    def save_graph(self, graph: AttributionGraph) -> None:
        """Raises StorageFailed; ValueError where the graph contradicts itself."""
        write_graph(self.workspace / main_file("graph", graph.key.hash), graph)
        self._note("graph", graph.key.hash)

    def graph(self, key: GraphKey) -> AttributionGraph:
        """Raises NotFound, Damaged."""
        path = self._find("graph", key.hash)
        if path is None:
            raise NotFound("graph", f"{key.checkpoint}: {key.prompt}")
        return read_graph(path)

    def graph_named(self, name: str) -> AttributionGraph:
        """The graph whose key has this hash. Raises NotFound, Damaged."""
        path = self._find("graph", name)
        if path is None:
            raise NotFound("graph", name)
        return read_graph(path)

    def has_graph(self, key: GraphKey) -> bool:
        """Whether the file is there; reading it may still find it damaged."""
        return self._find("graph", key.hash) is not None

    def graph_keys(self, checkpoint: str | None = None) -> list[GraphKey]:
        """What made the stored graphs, by checkpoint and prompt; of one RUN@LABEL where it is given."""
        keys = [key for _, key in self._records("graph", GraphKey, parent=checkpoint)]
        return sorted(keys, key=lambda key: (key.checkpoint, key.prompt, key.hash))

    def save_pair_measures(self, measures: PairMeasures) -> None:
        """Raises StorageFailed."""
        write_pair_measures(self.workspace / main_file("pair", measures.pair.hash), measures)
        self._note("pair", measures.pair.hash)

    def pair_measures(self, a: GraphKey, b: GraphKey) -> PairMeasures | None:
        """Of two graphs, in either order; None where they were not traced as a pair. Raises Damaged."""
        path = self._find("pair", GraphPair.of(a, b).hash)
        return None if path is None else read_pair_measures(path)

    def graph_pair(self, a: GraphKey, b: GraphKey) -> tuple[AttributionGraph, AttributionGraph]:
        """Both graphs, each with the edges that the other keeps and with its gradients, where these are stored.

        Raises NotFound, Damaged.
        """
        graphs, measures = (self.graph(a), self.graph(b)), self.pair_measures(a, b)
        return graphs if measures is None else completed(*graphs, measures)

    def graph_pairs(self) -> list[GraphPair]:
        """Those of which there are measures."""
        return [pair for _, pair in self._records("pair", GraphPair)]

    def save_comparison(self, comparison: Comparison) -> None:
        """Replaces one of the same key. Raises StorageFailed."""
        write_text(self.workspace / main_file("comparison", comparison.key.hash), comparison.to_json())
        self._note("comparison", comparison.key.hash)

    def comparison(self, a: str, b: str, prompt: str, transcoders: str = "") -> Comparison | None:
        """The newest stored pair of these sides whose graphs are both there; by any transcoder set where none is
        named. Raises Damaged."""
        if transcoders:
            key = ComparisonKey(a=a, b=b, prompt=prompt, transcoders=transcoders)
            path = self._find("comparison", key.hash)
            found = [read_comparison(path)] if path else []
        else:
            found = [known for known in self._newest(a) if (known.key.b, known.key.prompt) == (b, prompt)]
        whole = (known for known in found if self.has_graph(known.graph_a) and self.has_graph(known.graph_b))
        return next(whole, None)

    def comparisons(self) -> list[Comparison]:
        """Newest first, the bundled ones last."""
        return self._newest()

    def comparisons_of(self, a: str, b: str) -> list[Comparison]:
        """Of these two checkpoints, whichever is A; newest first, the bundled ones last."""
        return [known for known in self._newest(a, b) if {known.key.a, known.key.b} == {a, b}]

    def _newest(self, *parents: str) -> list[Comparison]:
        """Of these checkpoints as A; of any where none is named."""
        of: list[str | None] = [*dict.fromkeys(parents)] or [None]
        pairs = [pair for parent in of for pair in self._records("comparison", Comparison, parent=parent)]
        pairs.sort(key=lambda pair: (pair[0].bundled, 0 if pair[0].bundled else -pair[0].stamp, pair[1].key.to_json()))
        return [comparison for _, comparison in pairs]
