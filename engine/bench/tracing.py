"""Tracing a demo prompt, against circuit-tracer's `attribute` on its TransformerLens backend and the same transcoders.

Our side includes what turns its dense matrix into an `AttributionGraph` with its scores. Both graphs are laid beside
each other: a fast answer that is another one counts for nothing.
"""

import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.bench.row import BenchRow, at_most, faster
from engine.bench.setting import PROMPT, TRANSCODERS, Setting
from engine.bench.timing import medians
from engine.domain.graphs import AttributionGraph, GraphKey, NodeKind

if TYPE_CHECKING:
    import torch

ROUNDS = 7
TOLERANCE = 1e-5  # of the largest |weight|
BATCHES = (32, 64, 128)  # of which circuit-tracer's best is taken; its default is 512


def measure(setting: Setting) -> list[BenchRow]:
    """Milliseconds a prompt on both sides, at circuit-tracer's best batch and its own; how far edges are apart."""
    from circuit_tracer import attribute

    from engine.attribution.trace import trace_graph
    from engine.bench.sides import CHECKPOINT, open_sides
    from engine.models.base import encode

    sides = open_sides(setting)
    theirs = sides.lens()
    key = GraphKey(
        checkpoint=CHECKPOINT, checkpoint_hash="", prompt=PROMPT, transcoders=TRANSCODERS, transcoders_hash=""
    )
    tokens = encode(sides.ours.loaded, PROMPT)[0]
    graphs: dict[str, Any] = {}

    def trace() -> None:
        graphs["ours"] = trace_graph(sides.ours, key=key, merged=sides.merged)

    def attribute_with(**batch: int) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Full backward hook is firing")  # meant so there
            graphs["theirs"] = attribute(tokens, theirs, **batch)

    best = (partial(attribute_with, batch_size=size) for size in BATCHES)
    ours, defaults, *batches = medians((trace, attribute_with, *best), rounds=ROUNDS)
    apart = largest_difference(graphs["ours"], *dense_of(graphs["theirs"]))
    return [
        faster("trace a demo prompt", 1e3 * ours, "ms", than=1e3 * min(batches), times=5),
        faster("trace a demo prompt, against defaults", 1e3 * ours, "ms", than=1e3 * defaults, times=20),
        at_most("largest difference of an edge between the two graphs", apart, "of the largest", limit=TOLERANCE),
    ]


def largest_difference(graph: AttributionGraph, dense: np.ndarray, features: np.ndarray, logits: np.ndarray) -> float:
    """max |ours - theirs| over max |theirs|; infinite where the two have other nodes.

    dense: (n_nodes, n_nodes) with targets as rows, nodes ordered features, errors, tokens, logits. features:
    (n_features, 3) layer, position, index of its first rows. logits: (n_logits,) token ids of its last rows.
    """
    is_feature, is_logit = graph.kind == NodeKind.FEATURE, graph.kind == NodeKind.LOGIT
    own = np.stack([graph.layer, graph.position, graph.index], axis=1)[is_feature]
    if dense.shape != (graph.n_nodes, graph.n_nodes) or len(own) != len(features):
        return float("inf")
    order, own_order = np.lexsort(features.T), np.lexsort(own.T)
    if (own[own_order] != features[order]).any() or (graph.index[is_logit] != logits).any():
        return float("inf")
    place = np.arange(graph.n_nodes)  # our row -> theirs; errors, tokens and logits stand where they stand
    place[own_order] = order
    ours = np.zeros_like(dense)
    ours[place[graph.target], place[graph.source]] = graph.weight
    return float(np.abs(ours - dense).max() / np.abs(dense).max())


def dense_of(graph: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """circuit-tracer's graph as `largest_difference` takes it."""
    matrix: torch.Tensor = graph.adjacency_matrix
    features: torch.Tensor = graph.active_features[graph.selected_features]
    logits = np.array([target.vocab_idx for target in graph.logit_targets])
    return matrix.detach().float().cpu().numpy(), features.cpu().numpy(), logits
