"""Trace one prompt: from circuit-tracer's dense graph to an `AttributionGraph`.

An edge is the direct linear effect of its source on its target with attention patterns and norm denominators held
fixed (Ameisen et al. 2025). Of a logit's value minus the mean logit, before any soft cap, the direct effects of
features, errors and tokens carry everything but two constants that circuit-tracer gives no node: the decoder biases of
the transcoders, and what the MLPs write at position 0 (BOS), where features and errors are zeroed by design. With
those added the sum holds to float32's precision (tests/attribution/test_trace.py).
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from circuit_tracer.attribution.targets import AttributionTargets
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from engine.analysis.pruning import DEFAULT_PRUNING, influential, without_dead_ends
from engine.attribution.dense import DenseGraph, Edges
from engine.attribution.effects import Effects
from engine.attribution.graph_size import GraphSize
from engine.attribution.logit_parts import logit_parts
from engine.attribution.prompt_room import PromptRoom
from engine.attribution.recording import record
from engine.attribution.rows import edges_into
from engine.attribution.sources import sources_of
from engine.domain.errors import InputError
from engine.domain.graphs import AttributionGraph, GraphKey, NodeKind, Uncut
from engine.domain.jobs import Report, quiet
from engine.models.base import encode
from engine.models.low_rank import matrix
from engine.models.memory import free_memory
from engine.models.replacement import Replacement, ReplacementModel
from engine.models.token_texts import token_text


def trace_graph(
    replacement: Replacement, *, key: GraphKey, merged: PreTrainedModel | None = None, report: Report = quiet
) -> AttributionGraph:
    """The attribution graph of `key.prompt`, cut to its strongest edges. As `trace_prompt`, and raises as it does."""
    traced = trace_prompt(replacement, key=key, merged=merged, report=report)
    return graph_of(traced, key, replacement.loaded.tokenizer)


def trace_prompt(
    replacement: Replacement, *, key: GraphKey, merged: PreTrainedModel | None = None, report: Report = quiet
) -> "Traced":
    """Every edge of `key.prompt`'s graph in the checkpoint whose weights are `merged` (None: the base).

    Traces to `key.targets`; where there are none, to the most probable tokens (up to `settings.n_logits`, until 95 %
    of the probability is covered: circuit-tracer's rule). Safe in threads: it holds the replacement's lock.
    `report` is told the number of features and their memory, and how much is done; it may raise, which ends the trace.
    Raises PromptRefused (also one too long for the memory that is free), InputError (a target that is no token of the
    model; more features than memory is free for).
    """
    tokens = encode(replacement.loaded, key.prompt)[0]  # (n_pos,)
    n_vocab = replacement.loaded.n_vocab
    if unknown := [target for target in key.targets if not 0 <= target < n_vocab]:
        raise InputError(f"Output token {unknown[0]} does not exist: the model has tokens 0 to {n_vocab - 1}.")
    with replacement.opened(merged) as model, torch.inference_mode():
        return _trace(model, tokens, key, replacement.loaded.tokenizer, report)


@dataclass(frozen=True, eq=False)
class Traced:
    """A prompt's dense graph, and what stands for its rows."""

    dense: DenseGraph
    n_layers: int
    tokens: torch.Tensor  # (n_pos,)
    features: torch.Tensor  # (n_features, 3): layer, position, index
    activations: torch.Tensor  # (n_features,)
    targets: torch.Tensor  # (n_logits,) token ids
    probabilities: torch.Tensor  # (n_logits,)
    logits: torch.Tensor  # (n_logits,) before any soft cap, minus the mean of all
    left_out: torch.Tensor  # (n_nodes,) effect on each row of active features that are no nodes
    unexplained_variance: float | None

    def weights(self, source: np.ndarray, target: np.ndarray) -> np.ndarray:
        """(n,) float32 of the edges between these nodes, rows of the graph; 0 where there is none."""
        return _numpy(self.dense.rows[torch.as_tensor(target), torch.as_tensor(source)])


def _trace(
    model: ReplacementModel, tokens: torch.Tensor, key: GraphKey, tokenizer: PreTrainedTokenizerFast, report: Report
) -> Traced:
    room = PromptRoom(model, len(tokens))
    recorded = record(model, tokens)
    sources = sources_of(model, recorded, room.refuse_more_features)
    targets = AttributionTargets(
        torch.tensor(key.targets, device=tokens.device) if key.targets else None,
        recorded.logits,
        matrix(model.parts.unembedding),
        tokenizer,
        max_n_logits=min(key.settings.n_logits, len(recorded.logits)),
    )
    effects = Effects(model, recorded, sources)
    size = GraphSize.of(effects, sources, len(targets), key.settings)
    free = free_memory(tokens.device, size.n_bytes)
    size.refuse_larger_than(free)
    size = size.meeting(effects, len(targets), free)
    rows, selected, left_out = edges_into(effects, sources, targets, key.settings, size, report)
    features, wanted = sources.active[selected], torch.tensor([target.vocab_idx for target in targets.logit_targets])
    probabilities = targets.logit_probabilities.float()
    return Traced(
        dense=DenseGraph(rows, features[:, 0], model.n_layers * len(tokens), probabilities),
        n_layers=model.n_layers,
        tokens=tokens,
        features=features,
        activations=sources.activations[selected],
        targets=wanted,
        probabilities=probabilities,
        logits=recorded.raw_logits[wanted] - recorded.raw_logits.mean(),
        left_out=left_out,
        unexplained_variance=_unexplained(recorded.writes, sources.reconstruction),
    )


def _unexplained(writes: torch.Tensor, reconstruction: torch.Tensor) -> float | None:
    """Share of the variance of MLP outputs (n_layers, n_pos, d_model) over positions 1 … that the features miss.

    Mean over layers; None where a single token leaves no variance.
    """
    wanted, got = writes[:, 1:].float(), reconstruction[:, 1:].float()
    variance = (wanted - wanted.mean(1, keepdim=True)).pow(2).sum((1, 2))  # (n_layers,)
    if wanted.shape[1] < 2 or not bool((variance > 0).all()):
        return None
    return float(((wanted - got).pow(2).sum((1, 2)) / variance).mean())


@torch.inference_mode()
def graph_of(traced: Traced, key: GraphKey, tokenizer: PreTrainedTokenizerFast) -> AttributionGraph:
    """The graph in numpy, with its scores and its measures before any edge was cut.

    It has at most `key.settings.max_edges` edges, but always those into the outputs and what the default pruning keeps.
    """
    tokens, targets = traced.tokens.cpu().numpy(), traced.targets.numpy()
    layer, position, index, kind = _nodes(traced, tokens, targets)
    activation = np.zeros(len(kind), np.float32)
    activation[: len(traced.features)] = _numpy(traced.activations)
    bare = AttributionGraph(
        key=key,
        kind=kind,
        layer=layer,
        position=position,
        index=index,
        activation=activation,
        n_layers=traced.n_layers,
        tokens=tuple(token_text(tokenizer, int(token)) for token in tokens),
        token_ids=tokens.astype(np.int64),
        target_tokens=tuple(token_text(tokenizer, int(token)) for token in targets),
        target_probability=_numpy(traced.probabilities),
        target_logit=_numpy(traced.logits),
        fit=traced.dense.fit(traced.unexplained_variance),
        parts=logit_parts(traced.dense, traced.activations, traced.logits, traced.left_out, position),
        source=np.zeros(0, np.int32),
        target=np.zeros(0, np.int32),
        weight=np.zeros(0, np.float32),
    )
    return _with_edges(bare, traced.dense)


def _with_edges(bare: AttributionGraph, dense: DenseGraph) -> AttributionGraph:
    """`bare` has no edges yet. Of a graph that keeps all of its own, measures can be taken at any time."""
    if dense.n_edges <= bare.key.settings.max_edges:
        return _holding(bare, dense.edges(dense.n_edges, torch.zeros(0, dtype=torch.int64)))
    influence, device, n = _numpy(dense.influence), dense.rows.device, bare.n_nodes
    nodes = influential(bare, influence, DEFAULT_PRUNING)
    strong = dense.strongest_between(torch.as_tensor(nodes, device=device), DEFAULT_PRUNING.edge_threshold)
    inside = _holding(bare, strong)
    pruned = without_dead_ends(inside, nodes, np.arange(inside.n_edges))
    kept = inside.target[pruned.edge_mask].astype(np.int64) * n + inside.source[pruned.edge_mask]
    into_logits = dense.rows[dense.logits].flatten().nonzero()[:, 0] + dense.logits.start * n
    always = torch.cat([torch.as_tensor(kept, device=device), into_logits]).unique()
    edges = dense.edges(bare.key.settings.max_edges, always)
    own = edges.target.cpu().numpy() * n + edges.source.cpu().numpy()
    uncut = Uncut(
        n_edges=dense.n_edges,
        inputs=_numpy(dense.inputs),
        influence=influence,
        kept_nodes=pruned.node_mask,
        kept_edges=np.isin(own, kept, assume_unique=True),
    )
    return replace(_holding(bare, edges), uncut=uncut, is_whole=len(own) == dense.n_edges)


def _holding(bare: AttributionGraph, edges: Edges) -> AttributionGraph:
    return replace(
        bare,
        source=edges.source.int().cpu().numpy(),
        target=edges.target.int().cpu().numpy(),
        weight=_numpy(edges.weight),
    )


def _nodes(
    traced: Traced, tokens: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """layer, position, index, kind of every row: features, errors (layer by layer), tokens, logits."""
    n_layers, n_pos, n_logits = traced.n_layers, len(tokens), len(targets)
    features = traced.features.cpu().numpy()
    layer = [features[:, 0], np.repeat(np.arange(n_layers), n_pos), np.full(n_pos, -1), np.full(n_logits, n_layers)]
    places = np.arange(n_pos)
    position = [features[:, 1], np.tile(places, n_layers), places, np.full(n_logits, n_pos - 1)]
    index = [features[:, 2], np.zeros(n_layers * n_pos), tokens, targets]
    kinds = [NodeKind.FEATURE, NodeKind.ERROR, NodeKind.TOKEN, NodeKind.LOGIT]
    return (
        np.concatenate(layer).astype(np.int32),
        np.concatenate(position).astype(np.int32),
        np.concatenate(index).astype(np.int64),
        np.repeat(kinds, [len(part) for part in layer]).astype(np.uint8),
    )


def _numpy(values: torch.Tensor) -> np.ndarray:
    return values.detach().float().cpu().numpy()
