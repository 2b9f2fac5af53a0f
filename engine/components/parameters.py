"""Which weights belong to the nodes of a circuit (arXiv 2502.06106).

Of a head that is a source its slice of W_O, of an MLP that is one its last matrix; of a head's input q, k or v the
head's slice of W_Q, W_K or W_V, of an MLP's input its first matrices. Heads that share a k and v share its slice.
Embeddings, norms, biases and the output matrix belong to no node.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
from torch import nn
from transformers import PreTrainedModel

from engine.components.model import ComponentModel
from engine.domain.components import Circuit

_GATED = (("gate_proj", "up_proj"), "down_proj")
_MLPS = {
    "gpt_neox": (("dense_h_to_4h",), "dense_4h_to_h")
}  # model_type -> first matrices and last, where not as Llama's


@dataclass(frozen=True, eq=False)
class Part:
    """Rows (axis 0) or columns (axis 1) of a weight."""

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
        name_of = {id(parameter): name for name, parameter in model.named_parameters()}
        first, last = _MLPS.get(model.config.model_type, _GATED)
        self._layers = [
            _Names(
                projections=tuple(name_of[id(one.weight)] for one in layer.projections),
                output=name_of[id(layer.output.weight)],
                first=tuple(name_of[id(_weight(module, f"mlp.{one}"))] for one in first),
                last=name_of[id(_weight(module, f"mlp.{last}"))],
            )
            for layer, module in zip(self._parts.layers, attrgetter(self._parts.family.layers)(model), strict=True)
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
        if len(names.projections) == 1:  # q, k and v of the first head, then of the next
            yield names.projections[0], 0, qkv.T.ravel().repeat(d_head)
        else:
            shared = [qkv[0], *(row.reshape(-1, self._parts.groups).any(axis=1) for row in qkv[1:])]
            for name, heads in zip(names.projections, shared, strict=True):
                yield name, 0, heads.repeat(d_head)
        heads = sources[shape.head_source(layer, 0) :][:n_heads]
        yield names.output, 1, heads.repeat(d_head)
        for name in names.first:
            yield name, 0, inputs[[shape.mlp_input(layer)]]
        yield names.last, 0, sources[[shape.mlp_source(layer)]]


@dataclass(frozen=True)
class _Names:
    """Of one layer's weights."""

    projections: tuple[str, ...]
    output: str
    first: tuple[str, ...]
    last: str


def _weight(module: nn.Module, name: str) -> object:
    return attrgetter(f"{name}.weight")(module)
