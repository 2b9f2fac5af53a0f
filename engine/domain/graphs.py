"""The attribution graph.

Nodes are active transcoder features, reconstruction errors, input tokens and output logits; an edge is the direct
linear effect of its source on its target (Ameisen et al. 2025, as computed by circuit-tracer).

A node's identity is (kind, layer, position, index): never a row number, and never circuit-tracer's string id, which
collides. `index` is the feature index, the token id for tokens and logits, and 0 for errors. `layer` is -1 for
tokens and n_layers for logits. Written `feature/LAYER/POSITION/INDEX`.
"""

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

import numpy as np
from pydantic import Field

from engine.domain.record import Record


class NodeKind(IntEnum):
    FEATURE = 0
    ERROR = 1
    TOKEN = 2
    LOGIT = 3


class Fit(Record):
    """How much of the computation runs through features rather than errors (circuit-tracer's definitions)."""

    replacement: float  # replacement score, 0 to 1
    completeness: float  # completeness score, 0 to 1
    error_share: float  # share of all node influence that sits in error nodes, 0 to 1
    unexplained_variance: float | None = None  # mean over layers, on this prompt


FIT_LIMIT = 0.8  # below this replacement score a graph carries a plain warning


class TraceSettings(Record):
    """How a graph is traced. What is not kept here cannot be shown without tracing again."""

    max_feature_nodes: Annotated[int, Field(ge=1)] | None = None  # None: all active features
    n_logits: Annotated[int, Field(ge=1, le=100)] = 10  # top output tokens, where no targets are given
    batch_size: Annotated[int, Field(ge=1)] = 64  # circuit-tracer's default of 512 is 3x slower on a CPU
    max_edges: Annotated[int, Field(ge=1)] = 400_000  # those that contribute most are kept; the demo has 100,000


class PruneSettings(Record):
    """Cumulative influence kept; circuit-tracer's defaults."""

    node_threshold: Annotated[float, Field(gt=0, le=1)] = 0.8
    edge_threshold: Annotated[float, Field(gt=0, le=1)] = 0.98


class GraphKey(Record):
    """What made a graph. Equal keys mean equal graphs, so the hash names the stored file."""

    checkpoint: str  # RUN@LABEL, canonical
    checkpoint_hash: str  # of the adapter weights and the base: a run made again under its old name differs
    prompt: str  # without BOS
    transcoders: str  # name of the set
    transcoders_hash: str
    targets: tuple[int, ...] = ()  # token ids traced to; empty: the top `settings.n_logits`
    settings: TraceSettings = TraceSettings()

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:20]


@dataclass(frozen=True, eq=False)
class LogitParts:
    """What each node and each constant adds to a logit, of the graph before any edge was cut; signed and exact.

    A node's part of a logit is what runs through it. Inputs, errors and constants are where it comes from: the parts of
    tokens and errors, plus the part of the constants, are the logit. Constants are biases of transcoders, attention and
    norms, and what the first position holds, which has no features.
    """

    part: np.ndarray  # (n_logits, n_nodes) float32; 0 for logits
    constant: np.ndarray  # (n_nodes,) float32: what of a feature's activation or a logit no node explains; else 0
    left_out: np.ndarray  # (n_nodes,) float32: what of it came from active features that are no nodes
    moved: np.ndarray  # (n_logits, n_pos, n_pos) float32: part that came to a position from a position, in all layers


@dataclass(frozen=True, eq=False)
class Uncut:
    """What a graph was before any of its edges was cut for storage: measures start from this, not from what is left."""

    n_edges: int
    inputs: np.ndarray  # (n_nodes,) float32: the summed |weight| of the edges into each node
    influence: np.ndarray  # (n_nodes,) float32, on the output, as `engine.analysis.pruning.Flow.influence`
    kept_nodes: np.ndarray  # (n_nodes,) bool: what the default pruning keeps
    kept_edges: np.ndarray  # (n_edges left,) bool


@dataclass(frozen=True, eq=False)
class FeatureGradients:
    """What a unit more of a feature does to each output's logit in one checkpoint, by the model's own gradients.

    Unlike `LogitParts`, attention, norms and MLPs react. The features are those of both graphs of a pair: one that is
    silent here may be active in the other.
    """

    features: np.ndarray  # (n, 3) layer, position, index
    per_unit: np.ndarray  # (n_logits, n) float32, the outputs in the order of the graph's


@dataclass(frozen=True, eq=False)
class AttributionGraph:
    """Arrays over n_nodes and n_edges; edges run source -> target, both are row numbers of the node arrays.

    Nodes are ordered features, errors, tokens, logits.
    """

    key: GraphKey
    kind: np.ndarray  # (n_nodes,) uint8, NodeKind
    layer: np.ndarray  # (n_nodes,) int32
    position: np.ndarray  # (n_nodes,) int32
    index: np.ndarray  # (n_nodes,) int64
    activation: np.ndarray  # (n_nodes,) float32; 0 where the kind has none
    source: np.ndarray  # (n_edges,) int32
    target: np.ndarray  # (n_edges,) int32
    weight: np.ndarray  # (n_edges,) float32, signed, never 0
    n_layers: int
    tokens: tuple[str, ...]  # (n_pos,) with BOS first
    token_ids: np.ndarray  # (n_pos,) int64
    target_tokens: tuple[str, ...]  # (n_logits,) in the order of the logit nodes
    target_probability: np.ndarray  # (n_logits,) float32, the model's own probabilities
    target_logit: np.ndarray  # (n_logits,) float32, minus the mean logit (what the direct effects add up to)
    fit: Fit
    parts: LogitParts | None = None  # None: traced before they were kept, or a mean of graphs
    uncut: Uncut | None = None  # None: traced before it was kept, or it has all of its edges
    gradients: FeatureGradients | None = None  # None: not read as one of a pair, or of one traced before they were kept
    is_whole: bool = True  # every edge that a reader may ask for is here: that it has no others can be relied on

    @property
    def n_nodes(self) -> int:
        return len(self.kind)

    @property
    def n_edges(self) -> int:
        return len(self.weight)

    @property
    def is_measured_whole(self) -> bool:
        """Whether its measures are those of the graph before any edge was cut."""
        return self.is_whole or self.uncut is not None

    def node_id(self, row: int) -> str:
        """`kind/LAYER/POSITION/INDEX`, unique within a graph and equal across graphs for the same node."""
        kind = NodeKind(int(self.kind[row])).name.lower()
        return f"{kind}/{self.layer[row]}/{self.position[row]}/{self.index[row]}"

    def node_ids(self) -> list[str]:
        return [self.node_id(row) for row in range(self.n_nodes)]

    def node_tokens(self) -> list[str]:
        """(n_nodes,) the output token of a logit, the prompt token at the position of any other node."""
        outputs = iter(self.target_tokens)
        return [
            next(outputs) if kind == NodeKind.LOGIT else self.tokens[position]
            for kind, position in zip(self.kind.tolist(), self.position.tolist(), strict=True)
        ]


class ComparisonKey(Record):
    """Names a stored pair of graphs that were traced to the same output targets."""

    a: str  # RUN@LABEL, canonical
    b: str
    prompt: str
    transcoders: str

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:20]


class Comparison(Record):
    """A stored pair: which graphs belong to which side. Both were traced to the same targets."""

    key: ComparisonKey
    graph_a: GraphKey
    graph_b: GraphKey


class GraphPair(Record):
    """Two graphs on one prompt, in the order of their hashes: which of them is A is a matter of who compares them."""

    first: GraphKey
    second: GraphKey

    @classmethod
    def of(cls, a: GraphKey, b: GraphKey) -> "GraphPair":
        first, second = sorted((a, b), key=lambda key: key.hash)
        return cls(first=first, second=second)

    @property
    def hash(self) -> str:
        return hashlib.sha256(f"{self.first.hash} {self.second.hash}".encode()).hexdigest()[:20]


@dataclass(frozen=True, eq=False)
class PairMeasures:
    """What each graph of a pair has for what the other one has: for edges, and for features.

    Edges are those that the other graph keeps and it does not, though it has both ends, in the other graph's order; 0
    where it has no such edge. Of a graph that is whole none are needed.
    """

    pair: GraphPair
    of_first: np.ndarray  # (n,) float32 weights
    of_second: np.ndarray
    # (n_logits, n) float32, `FeatureGradients.per_unit` of `engine.analysis.pairs.features_of`; None: not kept then
    gradients_of_first: np.ndarray | None = None
    gradients_of_second: np.ndarray | None = None
