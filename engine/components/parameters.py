"""Which weights belong to the nodes of a circuit (arXiv 2502.06106).

Of a head that is a source its slice of W_O, of an MLP that is one its last matrix; of a head's input q, k or v the
head's slice of W_Q, W_K or W_V, of an MLP's input its first matrices. Heads that share a k and v share its slice.
Embeddings, norms, biases and the output matrix belong to no node.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from engine.components.model import ComponentModel
from engine.domain.components import Circuit


@dataclass(frozen=True, eq=False)
class Part:
    """Rows (axis 0) or columns (axis 1) of a weight as it is stored."""

    axis: int
    kept: np.ndarray  # (n,) bool, at least one of them

    @property
    def share(self) -> float:
        """Of the weight's elements."""
        return float(self.kept.mean())


class NodeParameters:
    """The weights of a model's heads and MLPs, by parameter name. Raises ModelUnavailable where nobody knows them."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._parts = ComponentModel(model)
        self.shape = self._parts.shape
        self._outputs = 1 if isinstance(self._parts.layers[0].output, Conv1D) else 0  # their axis in a stored weight
        name_of = {id(parameter): name for name, parameter in model.named_parameters()}
        self._layers = [
            _Names(
                projections=tuple(name_of[id(one.weight)] for one in layer.projections),
                output=name_of[id(layer.output.weight)],
                first=tuple(name_of[id(one.weight)] for one in layer.mlp_first),
                last=name_of[id(layer.mlp_last.weight)],
            )
            for layer in self._parts.layers
        ]

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, in the order of the layers."""
        return tuple(name for one in self._layers for name in (*one.projections, one.output, *one.first, one.last))

    def of(self, circuit: Circuit) -> dict[str, Part]:
        """What belongs to the circuit's nodes; a weight that is left out has no part in it."""
        sources, inputs = np.any(circuit.edges, axis=0), np.any(circuit.edges, axis=1)
        return {
            name: Part(axis, kept)
            for layer in range(self.shape.n_layers)
            for name, axis, kept in self._of_layer(layer, sources, inputs)
            if kept.any()
        }

    def _of_layer(self, layer: int, sources: np.ndarray, inputs: np.ndarray) -> Iterator[tuple[str, int, np.ndarray]]:
        shape, names, d_head = self.shape, self._layers[layer], self._parts.d_head
        n_heads = shape.n_heads
        first = shape.head_input(layer, 0, 0)
        qkv = inputs[first : first + 3 * n_heads].reshape(3, n_heads)
        shared = [qkv[0], *(row.reshape(-1, self._parts.groups).any(axis=1) for row in qkv[1:])]
        if self._parts.family.fused == "by_head":  # q, k and v of the first head, then of the next
            kept = [qkv.T.ravel()]
        else:
            kept = [np.concatenate(shared)] if self._parts.family.fused == "by_kind" else shared
        for name, heads in zip(names.projections, kept, strict=True):
            yield name, self._outputs, heads.repeat(d_head)
        heads = sources[shape.head_source(layer, 0) :][:n_heads]
        yield names.output, 1 - self._outputs, heads.repeat(d_head)
        for name in names.first:
            yield name, self._outputs, inputs[[shape.mlp_input(layer)]]
        yield names.last, self._outputs, sources[[shape.mlp_source(layer)]]


@dataclass(frozen=True)
class _Names:
    """Of one layer's weights."""

    projections: tuple[str, ...]
    output: str
    first: tuple[str, ...]
    last: str
