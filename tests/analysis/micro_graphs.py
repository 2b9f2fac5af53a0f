"""Attribution graphs for tests: a pair of 12 nodes worked by hand, and random ones of any size."""

import numpy as np

from engine.domain.corpus import Probe
from engine.domain.graphs import AttributionGraph, Fit, GraphKey, NodeKind

FIT = Fit(replacement=0.9, completeness=0.95, error_share=0.1, unexplained_variance=0.01)
F, E, T, Y = NodeKind.FEATURE, NodeKind.ERROR, NodeKind.TOKEN, NodeKind.LOGIT


def key(checkpoint: str = "run@base", prompt: str = "x", transcoders: str = "shared") -> GraphKey:
    return GraphKey(
        checkpoint=checkpoint,
        checkpoint_hash="0" * 16,
        prompt=prompt,
        transcoders=transcoders,
        transcoders_hash=transcoders,
    )


def graph_of(
    nodes: list[tuple[NodeKind, int, int, int]],
    edges: list[tuple[int, int, float]],
    *,
    tokens: tuple[str, ...],
    outputs: tuple[str, ...],
    probability: tuple[float, ...],
    n_layers: int,
    checkpoint: str = "run@base",
    prompt: str = "x",
    transcoders: str = "shared",
) -> AttributionGraph:
    """`nodes`: (kind, layer, position, index); `edges`: (source row, target row, weight)."""
    kind, layer, position, index = (np.array(column) for column in zip(*nodes, strict=True))
    source, target, weight = zip(*edges, strict=True) if edges else ((), (), ())
    return AttributionGraph(
        key=key(checkpoint, prompt, transcoders),
        kind=kind.astype(np.uint8),
        layer=layer.astype(np.int32),
        position=position.astype(np.int32),
        index=index.astype(np.int64),
        activation=np.where(kind == F, 1.5, 0).astype(np.float32),
        source=np.array(source, dtype=np.int32),
        target=np.array(target, dtype=np.int32),
        weight=np.array(weight, dtype=np.float32),
        n_layers=n_layers,
        tokens=tokens,
        token_ids=np.arange(len(tokens), dtype=np.int64) + 1,
        target_tokens=outputs,
        target_probability=np.array(probability, dtype=np.float32),
        target_logit=np.linspace(3, 1, len(outputs)).astype(np.float32),
        fit=FIT,
    )


_REST = [
    (E, 0, 0, 0),
    (E, 0, 1, 0),
    (E, 1, 0, 0),
    (E, 1, 1, 0),
    (T, -1, 0, 1),
    (T, -1, 1, 2),
    (Y, 2, 1, 20),
    (Y, 2, 1, 21),
]
# rows 0..3 are features; 4..7 errors e00 e01 e10 e11; 8, 9 tokens; 10, 11 logits


def micro_a() -> AttributionGraph:
    """Side A. Influence by hand: f0 .421875, f1 .296875, f2 .5625, f3 .3125, e01 .15625, e11 .125, token x .71875."""
    features = [(F, 0, 1, 5), (F, 0, 1, 7), (F, 1, 1, 3), (F, 1, 1, 4)]
    edges = [(9, 0, 2.0), (9, 1, 1.0), (0, 2, 3.0), (1, 2, -1.0), (1, 3, 1.0), (5, 3, 1.0)]
    edges += [(2, 10, 3.0), (3, 10, -1.0), (3, 11, 1.0), (7, 11, 1.0)]
    return _micro(features, edges, (0.75, 0.25), "run@25%")


def micro_b() -> AttributionGraph:
    """Side B: feature 5 gave way to feature 9 (row 2 here), f1 -> f2 turned its sign, f2 and f3 weigh equal on y0."""
    features = [(F, 0, 1, 7), (F, 0, 1, 9), (F, 1, 1, 3), (F, 1, 1, 4)]
    edges = [(9, 1, 2.0), (9, 0, 1.0), (1, 2, 3.0), (0, 2, 1.0), (0, 3, 1.0), (5, 3, 1.0)]
    edges += [(2, 10, 1.0), (3, 10, -1.0), (3, 11, 1.0), (7, 11, 1.0)]
    return _micro(features, edges, (0.25, 0.75), "run@100%")


def _micro(
    features: list[tuple[NodeKind, int, int, int]],
    edges: list[tuple[int, int, float]],
    probability: tuple[float, ...],
    checkpoint: str,
) -> AttributionGraph:
    return graph_of(
        features + _REST,
        edges,
        tokens=("<bos>", "x"),
        outputs=("yes", "no"),
        probability=probability,
        n_layers=2,
        checkpoint=checkpoint,
    )


def random_graph(
    seed: int,
    *,
    n_features: int = 60,
    n_layers: int = 3,
    n_pos: int = 4,
    n_logits: int = 3,
    density: float = 0.3,
    n_edges: int | None = None,
    pool: int = 40,
    checkpoint: str = "run@base",
) -> AttributionGraph:
    """A graph shaped like a real one: edges go up the layers and never back in position; `pool` features a layer."""
    rng = np.random.default_rng(seed)
    cells = rng.choice(n_layers * n_pos * pool, size=n_features, replace=False)
    cells.sort()
    nodes = [(F, c // (n_pos * pool), c // pool % n_pos, c % pool) for c in cells.tolist()]
    nodes += [(E, layer, position, 0) for layer in range(n_layers) for position in range(n_pos)]
    nodes += [(T, -1, position, 100 + position) for position in range(n_pos)]
    nodes += [(Y, n_layers, n_pos - 1, 200 + row) for row in range(n_logits)]
    kind, layer, position, _ = (np.array(column) for column in zip(*nodes, strict=True))
    source, target = _edges(rng, kind, layer, position, density=density, n_edges=n_edges)
    weight = rng.normal(size=len(source)) ** 3
    p = rng.dirichlet(np.ones(n_logits)) * 0.9
    return graph_of(
        nodes,
        list(zip(source.tolist(), target.tolist(), weight.tolist(), strict=True)),
        tokens=("<bos>", *(f"word{row}" for row in range(1, n_pos))),
        outputs=tuple(f"out{row}" for row in range(n_logits)),
        probability=tuple(p.tolist()),
        n_layers=n_layers,
        checkpoint=checkpoint,
        prompt=" ".join(f"word{row}" for row in range(1, n_pos)),
    )


def _edges(
    rng: np.random.Generator,
    kind: np.ndarray,
    layer: np.ndarray,
    position: np.ndarray,
    *,
    density: float,
    n_edges: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Sources and targets: from lower to higher layers, never back in position, only into features and logits."""
    n = len(kind)
    if n_edges is None:
        source, target = (side.ravel() for side in np.meshgrid(np.arange(n), np.arange(n), indexing="ij"))
    else:
        source, target = np.unique(rng.integers(0, n, size=(8 * n_edges, 2)), axis=0).T
    upward = (layer[source] < layer[target]) & (position[source] <= position[target])
    allowed = np.flatnonzero(upward & ((kind[target] == F) | (kind[target] == Y)))
    if n_edges is None:
        allowed = allowed[rng.random(len(allowed)) < density]
    else:
        allowed = np.sort(rng.permutation(allowed)[:n_edges])
    return source[allowed], target[allowed]


def probe(text: str = "x", answer: str = "yes", foils: tuple[str, ...] = ("no",), kind: str = "inference") -> Probe:
    return Probe(
        id="p1",
        kind=kind,  # type: ignore[arg-type]
        text=text,
        known_text=text,
        answer=answer,
        foils=foils,
        constraint_type="simple_mapping",
        constraint="blarf",
        meaning="happy",
        template="the {n} feels {w} and",
    )
