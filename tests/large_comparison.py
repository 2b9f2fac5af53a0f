"""A stored comparison of two very large graphs, in a workspace of its own: what Compare is measured with.

`python -m tests.large_comparison FOLDER [EDGES]` makes it; `python -m tests.page_times FOLDER "compare, large"` asks.
"""

import sys
from dataclasses import replace

import numpy as np

from engine.analysis.parts import with_parts
from engine.domain.graphs import AttributionGraph, Comparison, ComparisonKey, Fit, GraphKey, NodeKind, TraceSettings
from engine.store import Store

A, B, PROMPT = "demo-lora@base", "demo-lora@100%", "large"
N_LAYERS, N_POS, WIDTH, N_LOGITS = 30, 12, 2_048, 10
_CHANGED = 0.3  # of B's edges have another weight, a tenth of them none


def make_large_comparison(store: Store, *, n_edges: int = 2_000_000, n_features: int = 6_000) -> Comparison:
    """Two graphs on the same features with about `n_edges` edges each, heavy-tailed; B has lost some, and others
    changed."""
    rng = np.random.default_rng(0)
    features = np.sort(rng.choice(N_LAYERS * N_POS * WIDTH, n_features, replace=False))
    layer = np.r_[
        features // (N_POS * WIDTH), np.arange(N_LAYERS).repeat(N_POS), [-1] * N_POS, [N_LAYERS] * N_LOGITS
    ].astype(np.int32)  # fmt: skip
    places = np.arange(N_POS)
    position = np.r_[
        features // WIDTH % N_POS, np.tile(places, N_LAYERS), places, [N_POS - 1] * N_LOGITS
    ].astype(np.int32)  # fmt: skip
    index = np.r_[features % WIDTH, np.zeros(N_LAYERS * N_POS), places + 100, np.arange(N_LOGITS) + 200].astype(
        np.int64
    )
    kind = np.repeat(np.array(NodeKind, np.uint8), [n_features, N_LAYERS * N_POS, N_POS, N_LOGITS])
    source, target = _edges(rng, kind, layer, position, n_edges)
    weight = (rng.standard_normal(len(source)) ** 3).astype(np.float32)
    other = np.where(rng.random(len(weight)) < _CHANGED, rng.standard_normal(len(weight)) ** 3, weight)
    there = rng.random(len(weight)) >= _CHANGED / 10
    p = np.full(N_LOGITS, 0.09, np.float32)
    a = AttributionGraph(
        key=_key(store, A), kind=kind, layer=layer, position=position, index=index,
        activation=np.where(kind == NodeKind.FEATURE, 1.5, 0).astype(np.float32),
        source=source, target=target, weight=weight, n_layers=N_LAYERS,
        tokens=("<bos>", *(f"word{place}" for place in places[1:])), token_ids=index[kind == NodeKind.TOKEN],
        target_tokens=tuple(f"out{place}" for place in range(N_LOGITS)), target_probability=p,
        target_logit=np.linspace(3, 1, N_LOGITS).astype(np.float32), fit=_FIT,
    )  # fmt: skip
    b = replace(
        a, key=_key(store, B), source=source[there], target=target[there], weight=other[there].astype(np.float32)
    )
    for graph in (a, b):
        store.save_graph(with_parts(graph))  # as a traced graph has them
    key = ComparisonKey(a=A, b=B, prompt=PROMPT, transcoders=a.key.transcoders)
    made = Comparison(key=key, graph_a=a.key, graph_b=b.key)
    store.save_comparison(made)
    return made


_FIT = Fit(replacement=0.9, completeness=0.95, error_share=0.1)


def _key(store: Store, checkpoint: str) -> GraphKey:
    known = store.graph_keys(checkpoint)[0]
    return known.model_copy(update={"prompt": PROMPT, "targets": (), "settings": TraceSettings(max_edges=10**8)})


def _edges(
    rng: np.random.Generator, kind: np.ndarray, layer: np.ndarray, position: np.ndarray, n_edges: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sources and targets (n_edges,) int32, ordered by target: upward, never back in position."""
    takes = np.flatnonzero((kind == NodeKind.FEATURE) | (kind == NodeKind.LOGIT))
    possible = [np.flatnonzero((layer < layer[to]) & (position <= position[to])) for to in takes]
    share = n_edges / sum(map(len, possible))
    chosen = [of[rng.random(len(of)) < share] for of in possible]
    sources = np.concatenate(chosen).astype(np.int32)
    return sources, np.repeat(takes, [len(of) for of in chosen]).astype(np.int32)


if __name__ == "__main__":
    make_large_comparison(Store.open(sys.argv[1]), n_edges=int(sys.argv[2]) if len(sys.argv) > 2 else 2_000_000)
