"""The circuit of one prompt in coordinates that any other prompt has too.

Phrasings differ in their words and lengths, so a position is told by its *role*: the beginning, the last position
(where the answer is predicted), the new word, the noun, or any other. A node is (layer, role, kind, index); of an
output the index is 0 for the prompt's right answer and 1 for any other, of a token 0. Nodes and edges of one prompt
that fall together are summed. Only what `engine.analysis.pruning.prune` keeps enters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final

import numpy as np

from engine.analysis.pruning import DEFAULT_PRUNING, flow, prune
from engine.analysis.slots import probe_slots
from engine.domain.continuation import output_for
from engine.domain.corpus import Probe
from engine.domain.graphs import AttributionGraph, NodeKind, PruneSettings

_INDEX_BITS, _KIND_BITS, _ROLE_BITS = 32, 2, 3
_RIGHT, _OTHER_OUTPUT = 0, 1  # the index of an output


class Role(IntEnum):
    """What a position is to the prompt."""

    BEGIN = 0
    LAST = 1
    WORD = 2
    NOUN = 3
    OTHER = 4


_ROLE_OF: Final = {"{w}": Role.WORD, "{known}": Role.WORD, "{n}": Role.NOUN}


@dataclass(frozen=True, eq=False)
class PromptCircuit:
    """The pruned circuit of one prompt. `source` and `target` are rows of `nodes`; every edge is there once."""

    probe: Probe
    fit: float  # replacement score
    n_layers: int
    nodes: np.ndarray  # (n_nodes,) int64 ascending: layer, role, kind and index in one number
    influence: np.ndarray  # (n_nodes,) float64 >= 0, on the output
    source: np.ndarray  # (n_edges,) int64
    target: np.ndarray  # (n_edges,) int64
    share: np.ndarray  # (n_edges,) float64, signed: of the summed absolute inputs of the target

    @property
    def is_feature(self) -> np.ndarray:
        """(n_nodes,) bool"""
        return (self.nodes >> _INDEX_BITS) % (1 << _KIND_BITS) == NodeKind.FEATURE

    @property
    def layer(self) -> np.ndarray:
        """(n_nodes,) -1 for tokens, n_layers for outputs."""
        return (self.nodes >> (_INDEX_BITS + _KIND_BITS + _ROLE_BITS)) - 1


def prompt_circuit(probe: Probe, graph: AttributionGraph, settings: PruneSettings = DEFAULT_PRUNING) -> PromptCircuit:
    """The graph's circuit, of `probe`'s prompt. Raises ComparisonRefused where the prompt is not the probe's."""
    known = flow(graph)
    kept = prune(graph, settings, known=known)
    keys = _keys(probe, graph)[kept.node_mask]
    nodes, own = np.unique(keys, return_inverse=True)
    row = np.zeros(graph.n_nodes, dtype=np.int64)
    row[kept.node_mask] = own
    pair = row[graph.source[kept.edge_mask]] * len(nodes) + row[graph.target[kept.edge_mask]]
    edges, cell = np.unique(pair, return_inverse=True)
    source, target = np.divmod(edges, max(len(nodes), 1))
    return PromptCircuit(
        probe=probe,
        fit=graph.fit.replacement,
        n_layers=graph.n_layers,
        nodes=nodes,
        influence=np.bincount(own, known.output_influence[kept.node_mask], minlength=len(nodes)),
        source=source,
        target=target,
        share=np.bincount(cell, known.share[kept.edge_mask], minlength=len(edges)),
    )


def _keys(probe: Probe, graph: AttributionGraph) -> np.ndarray:
    """(n_nodes,) int64: layer, role, kind, index."""
    role = np.array(roles(probe, graph.tokens), dtype=np.int64)[graph.position]
    index = np.where(graph.kind == NodeKind.TOKEN, 0, graph.index)
    answer = output_for(graph.target_tokens, probe.answer)
    index[graph.kind == NodeKind.LOGIT] = [
        _RIGHT if token == answer else _OTHER_OUTPUT for token in graph.target_tokens
    ]
    place = (graph.layer.astype(np.int64) + 1) << _ROLE_BITS | role
    return (place << _KIND_BITS | graph.kind) << _INDEX_BITS | index


@lru_cache(maxsize=4096)
def roles(probe: Probe, tokens: Sequence[str]) -> tuple[Role, ...]:
    """(n_pos,) Kept, because a prompt is traced at many checkpoints."""
    slots = probe_slots(probe, tokens)
    inner = (_ROLE_OF.get(slot.word, Role.OTHER) for slot in slots[1:-1])
    return (Role.BEGIN, *inner, Role.LAST)[: len(slots)]
