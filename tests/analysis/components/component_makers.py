"""Component circuits and scores for tests, by the names of their edges."""

from collections.abc import Iterable, Mapping

import numpy as np
from hypothesis import strategies as st

from engine.domain.components import Circuit, ComponentShape

# input, a0.h0, a0.h1, m0, a1.h0, a1.h1, m1, logits; 7 sources, 15 inputs.
SHAPE = ComponentShape(n_layers=2, n_heads=2)


def scored(edges: Mapping[str, float], shape: ComponentShape = SHAPE) -> np.ndarray:
    """`{"input>a0.h0<q>": 0.5}` to scores, 0 elsewhere."""
    scores = np.zeros((shape.n_inputs, shape.n_sources), dtype=np.float32)
    for name, score in edges.items():
        scores[place(name, shape)] = score
    return scores


def circuit(edges: Iterable[str], shape: ComponentShape = SHAPE) -> Circuit:
    made = np.zeros((shape.n_inputs, shape.n_sources), dtype=bool)
    for name in edges:
        made[place(name, shape)] = True
    return Circuit(shape, made)


def place(name: str, shape: ComponentShape = SHAPE) -> tuple[int, int]:
    source, target = name.split(">", 1)
    at = shape.inputs().index(target), shape.sources().index(source)
    assert shape.edge_mask()[at], f"no edge {name}"
    return at


def names(one: Circuit) -> set[str]:
    inputs, sources = one.shape.inputs(), one.shape.sources()
    return {f"{sources[source]}>{inputs[row]}" for row, source in zip(*np.nonzero(one.edges), strict=True)}


def whole(shape: ComponentShape = SHAPE) -> Circuit:
    return Circuit(shape, shape.edge_mask())


shapes = st.builds(ComponentShape, n_layers=st.integers(1, 3), n_heads=st.integers(1, 3), parallel=st.booleans())


@st.composite
def circuits(draw: st.DrawFn, of: ComponentShape | None = None) -> Circuit:
    shape = of or draw(shapes)
    rng, density = np.random.default_rng(draw(st.integers(0, 2**32 - 1))), draw(st.floats(0, 1))
    return Circuit(shape, shape.edge_mask() & (rng.random((shape.n_inputs, shape.n_sources)) < density))


@st.composite
def scores(draw: st.DrawFn, of: ComponentShape) -> np.ndarray:
    """Of few different values, so that some are equal."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.integers(-draw(st.integers(1, 50)), 51, size=(of.n_inputs, of.n_sources)) / 10
    return np.where(of.edge_mask(), values, 0).astype(np.float32)
