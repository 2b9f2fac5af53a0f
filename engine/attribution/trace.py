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
from circuit_tracer.graph import Graph, compute_partial_influences
from circuit_tracer.utils.tl_nnsight_mapping import UnifiedConfig
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from engine.analysis.pruning import Flow, flow
from engine.analysis.scores import graph_scores
from engine.attribution.effects import Effects
from engine.attribution.recording import record
from engine.attribution.sources import Sources, sources_of
from engine.domain.errors import InputError
from engine.domain.graphs import AttributionGraph, Fit, GraphKey, NodeKind, TraceSettings
from engine.models.base import encode
from engine.models.replacement import Replacement, ReplacementModel

_BATCHES_RANKED = 4  # circuit-tracer ranks the features that are left again after so many batches


@torch.no_grad()
def trace_graph(replacement: Replacement, *, key: GraphKey, merged: PreTrainedModel | None = None) -> AttributionGraph:
    """The attribution graph of `key.prompt` in the checkpoint whose weights are `merged` (None: the base).

    Traces to `key.targets`; where there are none, to the most probable tokens (up to `settings.n_logits`, until 95 %
    of the probability is covered: circuit-tracer's rule). Safe in threads: it holds the replacement's lock.
    Raises PromptRefused, InputError (a target that is no token of the model).
    """
    tokens = encode(replacement.loaded, key.prompt)[0]  # (n_pos,)
    n_vocab = replacement.loaded.n_vocab
    if unknown := [target for target in key.targets if not 0 <= target < n_vocab]:
        raise InputError(f"Output token {unknown[0]} does not exist: the model has tokens 0 to {n_vocab - 1}.")
    with replacement.opened(merged) as model:
        traced = _trace(model, tokens, key, replacement.loaded.tokenizer)
    return _convert(traced, key, replacement.loaded.tokenizer)


@dataclass(frozen=True, eq=False)
class _DenseGraph:
    """A prompt's graph as circuit-tracer has it, and what it does not say."""

    graph: Graph
    logits: torch.Tensor  # (n_vocab,) at the last position, before any soft cap, minus their mean
    unexplained_variance: float | None


def _trace(
    model: ReplacementModel, tokens: torch.Tensor, key: GraphKey, tokenizer: PreTrainedTokenizerFast
) -> _DenseGraph:
    recorded = record(model, tokens)
    sources = sources_of(model, recorded)
    targets = AttributionTargets(
        torch.tensor(key.targets, device=tokens.device) if key.targets else None,
        recorded.logits,
        model.parts.unembedding.weight,
        tokenizer,
        max_n_logits=min(key.settings.n_logits, len(recorded.logits)),
    )
    effects = Effects(model, recorded, sources)
    rows, selected = _edges_into(effects, sources, targets, key.settings)
    graph = Graph(
        input_string=key.prompt,
        input_tokens=tokens,
        logit_targets=targets.logit_targets,
        logit_probabilities=targets.logit_probabilities,
        active_features=sources.active,
        activation_values=sources.activations,
        selected_features=selected,
        adjacency_matrix=rows,
        cfg=_config(model),
        scan=model.transcoders.scan or key.transcoders,
    )
    return _DenseGraph(
        graph=graph,
        logits=recorded.raw_logits - recorded.raw_logits.mean(),
        unexplained_variance=_unexplained(recorded.writes, sources.reconstruction),
    )


def _edges_into(
    effects: Effects, sources: Sources, targets: AttributionTargets, settings: TraceSettings
) -> tuple[torch.Tensor, torch.Tensor]:
    """(n_nodes, n_nodes), rows are targets and columns sources; and which features are nodes (n,), ascending.

    Where only some may be nodes, those of most influence are, as circuit-tracer finds them: rows are made in rounds,
    and each round takes those that what is known so far says to be the most influential.
    """
    n_all, n_logits = sources.n_features, len(targets)
    n = min(settings.max_feature_nodes or n_all, n_all)
    into_logits = effects.of_logits(targets.logit_vectors)
    if n == n_all:
        selected = torch.arange(n, device=sources.active.device)
        edges = into_logits.new_zeros(sources.n_columns + n_logits, sources.n_columns + n_logits)
        for rows, found in effects.of_features(selected):
            edges[rows, : sources.n_columns] = found
        edges[-n_logits:, : sources.n_columns] = into_logits
        return edges, selected
    known, nodes = _most_influential(effects, sources, targets, into_logits, n, settings.batch_size)
    selected, order = nodes.sort()
    others = torch.arange(n_all, sources.n_columns, device=nodes.device)
    columns = torch.cat([selected, others])
    edges = known.new_zeros(len(columns) + n_logits, len(columns) + n_logits)
    edges[:n, : len(columns)] = known[n_logits:][order][:, columns]
    edges[-n_logits:, : len(columns)] = known[:n_logits, columns]
    return edges, selected


def _most_influential(
    effects: Effects, sources: Sources, targets: AttributionTargets, into_logits: torch.Tensor, n: int, batch_size: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """(n_logits + n, n_columns + n_logits) rows into the logits and `n` features, and which features these are (n,)."""
    n_logits, device = len(targets), into_logits.device
    known = into_logits.new_zeros(n_logits + n, sources.n_columns + n_logits)
    known[:n_logits, : sources.n_columns] = into_logits
    nodes = torch.arange(sources.n_columns, sources.n_columns + n_logits, device=device)  # of each known row
    visited = torch.zeros(sources.n_features, dtype=torch.bool, device=device)
    while (done := len(nodes) - n_logits) < n:
        influence = compute_partial_influences(known[: len(nodes)], targets.logit_probabilities, nodes, device=device)
        ranked = torch.argsort(influence[: sources.n_features], descending=True)
        wanted = ranked[~visited[ranked]][: min(_BATCHES_RANKED * batch_size, n - done)]
        visited[wanted] = True
        for rows, found in effects.of_features(wanted):
            known[len(nodes) : len(nodes) + len(rows), : sources.n_columns] = found
            nodes = torch.cat([nodes, rows])
    return known, nodes[n_logits:]


def _config(model: ReplacementModel) -> UnifiedConfig:
    parts, config = model.parts, model.parts.model.config
    return UnifiedConfig(
        n_layers=model.n_layers,
        d_model=parts.d_model,
        d_head=parts.d_head,
        n_heads=parts.n_heads,
        d_mlp=parts.d_mlp,
        d_vocab=config.vocab_size,
        tokenizer_name=config.name_or_path,
        model_name=config.name_or_path,
        original_architecture=type(parts.model).__name__,
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


def _convert(traced: _DenseGraph, key: GraphKey, tokenizer: PreTrainedTokenizerFast) -> AttributionGraph:
    graph = traced.graph
    tokens = graph.input_tokens.cpu().numpy()
    targets = [target.vocab_idx for target in graph.logit_targets]
    layer, position, index, kind = _nodes(graph, tokens, targets)
    activation = np.zeros(len(kind), np.float32)
    activation[: len(graph.selected_features)] = _numpy(graph.activation_values[graph.selected_features])
    source, target, weight = _edges(graph.adjacency_matrix)
    whole = AttributionGraph(
        key=key,
        kind=kind,
        layer=layer,
        position=position,
        index=index,
        activation=activation,
        source=source,
        target=target,
        weight=weight,
        n_layers=graph.cfg.n_layers,
        tokens=tuple(tokenizer.decode([token]) for token in tokens),
        token_ids=tokens.astype(np.int64),
        target_tokens=tuple(tokenizer.decode([token]) for token in targets),
        target_probability=_numpy(graph.logit_probabilities),
        target_logit=_numpy(traced.logits[targets]),
        fit=Fit(replacement=0, completeness=0, error_share=0),  # told from the edges, below
    )
    known = flow(whole)
    kept = _most_contributing(known, key.settings.max_edges)
    return replace(
        whole,
        source=source[kept],
        target=target[kept],
        weight=weight[kept],
        fit=_fit(whole, known, traced.unexplained_variance),
    )


def _nodes(
    graph: Graph, tokens: np.ndarray, targets: list[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """layer, position, index, kind of every row: features, errors (layer by layer), tokens, logits."""
    n_layers, n_pos, n_logits = graph.cfg.n_layers, len(tokens), len(targets)
    features = graph.active_features[graph.selected_features].cpu().numpy()  # (n_features, 3): layer, position, index
    layer = [features[:, 0], np.repeat(np.arange(n_layers), n_pos), np.full(n_pos, -1), np.full(n_logits, n_layers)]
    places = np.arange(n_pos)
    position = [features[:, 1], np.tile(places, n_layers), places, np.full(n_logits, n_pos - 1)]
    index = [features[:, 2], np.zeros(n_layers * n_pos), tokens, np.asarray(targets)]
    kinds = [NodeKind.FEATURE, NodeKind.ERROR, NodeKind.TOKEN, NodeKind.LOGIT]
    return (
        np.concatenate(layer).astype(np.int32),
        np.concatenate(position).astype(np.int32),
        np.concatenate(index).astype(np.int64),
        np.repeat(kinds, [len(part) for part in layer]).astype(np.uint8),
    )


def _edges(adjacency: torch.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """source, target, weight of all edges that are not exactly 0, ordered by target and then by source.

    In circuit-tracer's matrix rows are targets and columns are sources.
    """
    dense = _numpy(adjacency).ravel()
    places = np.flatnonzero(dense)
    target, source = np.divmod(places, len(adjacency))
    return source.astype(np.int32), target.astype(np.int32), dense[places]


def _most_contributing(known: Flow, max_edges: int) -> np.ndarray | slice:
    """Places of the `max_edges` edges that contribute most to the output, ascending; of equals the first.

    Of the demo's 100,000 edges the 25,000 that contribute most leave every contribution where it was to 0.001; the
    25,000 largest by |weight| are off by up to 0.02.
    """
    values = known.contribution
    if len(values) <= max_edges:
        return slice(None)
    least = np.partition(values, len(values) - max_edges)[len(values) - max_edges]
    above, equal = np.flatnonzero(values > least), np.flatnonzero(values == least)
    return np.sort(np.concatenate([above, equal[: max_edges - len(above)]]))


def _fit(whole: AttributionGraph, known: Flow, unexplained_variance: float | None) -> Fit:
    replacement, completeness = graph_scores(whole, known)
    total = float(known.influence.sum())
    errors = float(known.influence[whole.kind == NodeKind.ERROR].sum())
    return Fit(
        replacement=replacement,
        completeness=completeness,
        error_share=errors / total if total else 0.0,
        unexplained_variance=unexplained_variance,
    )


def _numpy(values: torch.Tensor) -> np.ndarray:
    return values.detach().float().cpu().numpy()
