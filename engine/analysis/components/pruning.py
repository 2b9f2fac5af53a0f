"""What of a circuit lies on a path from the input to the logits, and which nodes that makes."""

from functools import lru_cache

import numpy as np

from engine.domain.components import Circuit, ComponentShape


def pruned(circuit: Circuit) -> Circuit:
    """The edges that lie on a path from `input` to `logits`; there may be none.

    What enters any of a head's q, k, v counts as entering the head. Pruning twice changes nothing more.
    """
    shape, edges = circuit.shape, circuit.edges
    reached, useful = _reached(shape, edges), _useful(shape, edges)
    return Circuit(shape, edges & reached & useful[_owners(shape)][:, None])


def node_mask(circuit: Circuit) -> np.ndarray:
    """(n_nodes,) bool: the sources in their order, then `logits`; true where an edge leaves or enters the node."""
    shape, edges = circuit.shape, circuit.edges
    there = np.zeros(shape.n_nodes, dtype=bool)
    there[:-1] = edges.any(axis=0)
    there[_owners(shape)[edges.any(axis=1)]] = True
    return there


def node_names(circuit: Circuit) -> frozenset[str]:
    """`input` and `logits` included where an edge of theirs is in the circuit."""
    mask = node_mask(circuit).tolist()
    return frozenset(name for name, inside in zip(circuit.shape.nodes(), mask, strict=True) if inside)


def n_nodes(circuit: Circuit) -> int:
    """0 where there is no edge."""
    return int(node_mask(circuit).sum())


def collapsed(circuit: Circuit) -> np.ndarray:
    """(n_layers (H + 1) + 1, n_sources) bool: one edge for what enters a head's q, k or v.

    Rows are nodes in the order of the sources without `input`, then `logits`.
    """
    shape, edges = circuit.shape, circuit.edges
    merged = np.zeros((shape.n_nodes - 1, shape.n_sources), dtype=bool)
    rows = _owners(shape) - 1
    for layer in range(shape.n_layers):
        first, n_heads = shape.head_input(layer, 0, 0), shape.n_heads
        heads = edges[first : first + 3 * n_heads].reshape(3, n_heads, shape.n_sources)  # (q k v, H, n_sources)
        merged[rows[first] : rows[first] + n_heads] = heads.any(axis=0)
        merged[rows[shape.mlp_input(layer)]] = edges[shape.mlp_input(layer)]
    merged[-1] = edges[shape.logits_input]
    return merged


def owner_of_input(shape: ComponentShape) -> np.ndarray:
    """(n_inputs,) int64: the node of each input, as a place in `node_mask`."""
    return _owners(shape).copy()


@lru_cache(maxsize=8)
def _owners(shape: ComponentShape) -> np.ndarray:
    owners = np.empty(shape.n_inputs, dtype=np.int64)
    for layer in range(shape.n_layers):
        first, mlp = shape.head_input(layer, 0, 0), shape.mlp_input(layer)
        owners[first:mlp] = np.tile(shape.head_source(layer, 0) + np.arange(shape.n_heads), 3)
        owners[mlp] = shape.mlp_source(layer)
    owners[shape.logits_input] = shape.n_sources
    owners.setflags(write=False)
    return owners


def _reached(shape: ComponentShape, edges: np.ndarray) -> np.ndarray:
    """(n_sources,) bool: whether a path leads there from `input`."""
    reached = np.zeros(shape.n_sources, dtype=bool)
    reached[0] = True
    for layer in range(shape.n_layers):
        first, mlp, n_heads = shape.head_input(layer, 0, 0), shape.mlp_input(layer), shape.n_heads
        entered = (edges[first:mlp] & reached).any(axis=1).reshape(3, n_heads)
        head = shape.head_source(layer, 0)
        reached[head : head + n_heads] = entered.any(axis=0)
        reached[shape.mlp_source(layer)] = (edges[mlp] & reached).any()
    return reached


def _useful(shape: ComponentShape, edges: np.ndarray) -> np.ndarray:
    """(n_nodes,) bool: whether a path leads from there to `logits`; that itself is the last."""
    useful = np.append(edges[shape.logits_input], True)
    owners = _owners(shape)
    for layer in reversed(range(shape.n_layers)):
        first, mlp = shape.head_input(layer, 0, 0), shape.mlp_input(layer)
        if useful[shape.mlp_source(layer)]:
            useful[:-1] |= edges[mlp]
        useful[:-1] |= edges[first:mlp][useful[owners[first:mlp]]].any(axis=0)
    return useful
