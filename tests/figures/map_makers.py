"""Maps of any size, shaped as those of a real model are: a word read in the low layers, an answer made in the high."""

from dataclasses import replace

import numpy as np

from engine.analysis.diff import diff_everything
from engine.domain.acted import Acted, ActedKey, ChangedMatrix, Stretch
from engine.domain.diffs import GraphDiff
from engine.domain.explained import ExplainedLogits
from engine.domain.graphs import AttributionGraph, LogitParts
from tests.analysis.micro_graphs import F, T, Y, graph_of

WORDS = ("Em", "ma", " is", " feeling", " bl", "arf", " today", ".", " In", " other", " words", ",", " Emma", " is",
         " feeling", " very")  # fmt: skip


def tokens(n: int) -> tuple[str, ...]:
    """The first begins the text; the last is where the answer is said."""
    many = WORDS * (n // len(WORDS) + 1)
    return ("<s>", *many[: n - 2], " very") if n > 2 else ("<s>", " very")[:n]


def acted(
    n_layers: int, n_tokens: int, n_stretches: int = 4, *, words: tuple[str, ...] = (), total: float = 13.2
) -> Acted:
    """A matrix a layer, the embeddings and the output among them."""
    texts = words or tokens(n_tokens)
    n_tokens = len(texts)
    taught, last = min(5, n_tokens - 1), n_tokens - 1
    rng = np.random.default_rng(n_layers * 100 + n_tokens)
    layer = np.linspace(0, 1, n_layers + 2)[:, None]
    at = np.arange(n_tokens)[None]
    shape = 0.12 * rng.normal(size=(n_layers + 2, n_tokens)) ** 3
    shape = shape + 2.2 * (at == taught) * np.exp(-((layer - 0.15) ** 2) / 0.05)
    shape = (
        shape
        + 2.6 * (at == last) * np.exp(-((layer - 0.9) ** 2) / 0.04)
        - 0.5 * (at == last) * (abs(layer - 0.5) < 0.1)
    )
    shape[0] *= at[0] == taught
    late = np.linspace(0, 1, n_stretches)[:, None, None] * layer + (
        1 - np.linspace(0, 1, n_stretches)[:, None, None]
    ) * (1 - layer)
    parts = shape * (0.2 + late)
    parts *= total / parts.sum()
    matrices = tuple(ChangedMatrix(f"model.layers.{row - 1}.mlp", row - 1) for row in range(n_layers + 2))
    stretches, before = [], 14.0
    for one in parts:
        after = before + float(one.sum())
        stretches.append(
            Stretch(before, after, 0.02, 0.96, matrices, one.astype(np.float32), (), np.zeros((0, n_tokens)), 8)
        )
        before = after
    names = ("base", *(f"{round(100 * (n + 1) / n_stretches)}%" for n in range(n_stretches)))
    key = ActedKey(
        checkpoints=tuple(f"real@{name}" for name in names),
        hashes=names,
        prompt="x",
        explained=ExplainedLogits(answers=(1,)),
    )
    return Acted(key, texts, (" happy",), True, n_layers, None, tuple(stretches))


def pair(n_layers: int, n_tokens: int, *, words: tuple[str, ...] = (), n_features: int = 3) -> GraphDiff:
    """Of two graphs in which every feature works on the output alone, as large as `_carried` says."""
    texts = words or tokens(n_tokens)
    return diff_everything(*(_graph(n_layers, texts, side, n_features) for side in "ab"))


def _graph(n_layers: int, texts: tuple[str, ...], side: str, n_features: int) -> AttributionGraph:
    n = len(texts)
    parts, moved = _carried(n_layers, n, side)
    nodes = [(F, layer, at, index) for layer in range(n_layers) for at in range(1, n) for index in range(n_features)]
    nodes += [(T, -1, at, 100 + at) for at in range(n)]
    nodes += [(Y, n_layers, n - 1, 1), (Y, n_layers, n - 1, 2)]
    weight = [parts[layer, at] * (0.6, 0.3, 0.1)[index % 3] for _, layer, at, index in nodes[: -n - 2]] + [0.1] * n
    edges = [(row, len(nodes) - 2, one) for row, one in enumerate(weight)]
    made = graph_of(
        nodes, edges, tokens=texts, outputs=(" happy", " sad"), probability=(0.02, 0.5) if side == "a" else (0.96, 0),
        n_layers=n_layers, checkpoint="real@base" if side == "a" else "real@100%",
    )  # fmt: skip
    part = np.zeros((2, len(nodes)), np.float32)
    part[0, : len(weight)] = weight
    logits = np.array([sum(weight), 1.0], np.float32)
    nothing = np.zeros(len(nodes), np.float32)
    told = LogitParts(part, nothing, nothing, np.array([moved, 0 * moved]))
    return replace(made, parts=told, target_logit=logits)


def _carried(n_layers: int, n: int, side: str) -> tuple[np.ndarray, np.ndarray]:
    """(n_layers, n_tokens) parts by place, (n_tokens, n_tokens) moves to and from."""
    taught, last, much = min(5, n - 1), n - 1, side == "b"
    rng = np.random.default_rng(n_layers * 100 + n)
    layer, at = np.linspace(0, 1, n_layers)[:, None], np.arange(n)[None]
    parts = 0.1 * rng.normal(size=(n_layers, n)) ** 3
    parts = parts + (4.0 if much else 0.6) * (at == taught) * np.exp(-(layer**2) / 0.05)
    parts = parts + (3.0 if much else 1.2) * (at == last) * np.exp(-((layer - 0.9) ** 2) / 0.03)
    parts = parts - (0.9 if much else 1.1) * (at == 1) * np.exp(-(layer**2) / 0.02)
    moved = np.tril(0.15 * rng.normal(size=(n, n)) ** 3, -1)
    moved[last, taught], moved[last, 1] = (3.6, -4.2) if much else (-0.5, -2.4)
    return parts, moved
