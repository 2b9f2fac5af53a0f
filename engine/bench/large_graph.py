"""What a graph of a larger model costs between its tracing and its picture: 8,000 features, 8 M edges.

Its conversion from the dense matrix, and the pruning and the difference that Compare waits for. Made and
measured in a process of its own, so that the peak memory is that of these steps.
"""

import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.analysis.diff import diff_graphs
from engine.analysis.pruning import prune
from engine.bench.peak import MemorySampler
from engine.bench.row import BenchRow, at_most, plain
from engine.bench.setting import Setting
from engine.bench.timing import medians
from engine.domain.graphs import AttributionGraph, GraphKey, TraceSettings
from engine.domain.models import DEMO_MODEL
from engine.domain.numbers import count

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from engine.attribution.trace import Traced

N_LAYERS, N_POS, N_FEATURES, N_LOGITS, N_EDGES = 30, 16, 8_000, 10, 8_000_000
WIDTH = 2_048  # features of a layer, most of them silent
N_SHARED = 7_200  # features that are active in both checkpoints
ROUNDS = 3
UNCUT, CUT = TraceSettings(max_edges=10 * N_EDGES), TraceSettings()


def measure(setting: Setting) -> list[BenchRow]:
    """Seconds of the steps on all edges, each and together, and of a conversion to as many as are kept; GB at peak."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(_measured, (setting.store.base_folder(DEMO_MODEL),))
    size = f"a graph of {count(N_FEATURES)} features and {N_EDGES // 10**6} M edges"
    steps = {f"of it, {name}": found[name] for name in ("convert", "prune", "difference of two")}
    return [
        at_most(f"{size}: convert, prune, difference of two", sum(steps.values()), "s", limit=10),
        *(plain(name, taken, "s") for name, taken in steps.items()),
        plain(f"convert it to its {count(CUT.max_edges)} best edges", found["cut"], "s"),
        at_most("the same steps: peak memory beyond the graphs", found["gb"], "GB", limit=2),
    ]


def _measured(base: Path) -> dict[str, float]:
    """Median seconds by step, and GB that the process held at most beyond the dense matrix and both graphs."""
    from transformers import AutoTokenizer

    from engine.attribution.trace import graph_of

    tokenizer: PreTrainedTokenizerFast = AutoTokenizer.from_pretrained(base)

    def converted(dense: "Callable[[], Traced]", settings: TraceSettings) -> AttributionGraph:
        key = GraphKey(
            checkpoint="large@base", checkpoint_hash="", prompt="large", transcoders="large", transcoders_hash="",
            settings=settings,
        )  # fmt: skip
        return graph_of(dense(), key, tokenizer)

    b = converted(_dense(1), UNCUT)
    dense = _dense(0)
    a = converted(dense, UNCUT)
    steps = {
        "convert": lambda: converted(dense, UNCUT),
        "cut": lambda: converted(dense, CUT),
        "prune": lambda: prune(a),
        "difference of two": lambda: diff_graphs(a, b),
    }
    with MemorySampler() as peak:
        taken = medians(tuple(steps.values()), rounds=ROUNDS)
    return {**dict(zip(steps, taken, strict=True)), "gb": peak.rise_mb / 1e3}


def _dense(checkpoint: int) -> "Callable[[], Traced]":
    """What makes a graph as it is traced, its scores anew each time.

    Of random edges that go upward and never back in position, with heavy-tailed weights.
    Checkpoints 0 and 1 share N_SHARED features.
    """
    import torch

    from engine.attribution.dense import DenseGraph
    from engine.attribution.trace import Traced

    features = _features(checkpoint)
    rows = torch.from_numpy(_adjacency(features, np.random.default_rng(checkpoint)))
    layers, probabilities = torch.from_numpy(features[:, 0]), torch.full((N_LOGITS,), 0.09)
    return lambda: Traced(
        dense=DenseGraph(rows, layers, N_LAYERS * N_POS, probabilities),
        n_layers=N_LAYERS,
        tokens=torch.arange(N_POS),
        features=torch.from_numpy(features),
        activations=torch.ones(N_FEATURES),
        targets=torch.arange(N_LOGITS),
        probabilities=probabilities,
        logits=torch.zeros(N_LOGITS),
        left_out=torch.zeros(len(rows)),
        unexplained_variance=None,
    )


def _features(checkpoint: int) -> np.ndarray:
    """(N_FEATURES, 3) layer, position and index, ascending."""
    n_either = 2 * N_FEATURES - N_SHARED
    cells = np.random.default_rng(2).choice(N_LAYERS * N_POS * WIDTH, n_either, replace=False)
    own = np.sort(cells[:N_FEATURES] if checkpoint == 0 else cells[-N_FEATURES:])
    return np.stack([own // (N_POS * WIDTH), own // WIDTH % N_POS, own % WIDTH], axis=1)


def _adjacency(features: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n_nodes, n_nodes) float32, rows are targets; features, errors, tokens, logits. About N_EDGES are not 0."""
    layer = np.r_[features[:, 0], np.arange(N_LAYERS).repeat(N_POS), [-1] * N_POS, [N_LAYERS] * N_LOGITS]
    position = np.r_[features[:, 1], np.tile(np.arange(N_POS), N_LAYERS + 1), [N_POS - 1] * N_LOGITS]
    taking = np.r_[:N_FEATURES, len(layer) - N_LOGITS : len(layer)]  # features and logits

    def possible(rows: np.ndarray) -> np.ndarray:
        return (layer < layer[rows, None]) & (position <= position[rows, None])

    blocks = [taking[layer[taking] == each] for each in range(N_LAYERS + 1)]
    share = N_EDGES / sum(np.count_nonzero(possible(rows)) for rows in blocks)
    adjacency = np.zeros((len(layer), len(layer)), np.float32)
    for rows in blocks:
        edges = possible(rows)
        edges &= rng.random(edges.shape, dtype=np.float32) < share
        block = np.zeros(edges.shape, np.float32)
        block[edges] = rng.standard_normal(np.count_nonzero(edges), dtype=np.float32) ** 3
        adjacency[rows] = block
    return adjacency
