"""Trace one prompt: from circuit-tracer's dense graph to an `AttributionGraph`.

An edge is the direct linear effect of its source on its target with attention patterns and norm denominators held
fixed (Ameisen et al. 2025). Of a logit's value minus the mean logit, before any soft cap, the direct effects of
features, errors and tokens carry everything but two constants that circuit-tracer gives no node: the decoder biases of
the transcoders, and what the MLPs write at position 0 (BOS), where features and errors are zeroed by design. With
those added the sum holds to float32's precision (tests/attribution/test_trace.py).
"""

import warnings
from collections.abc import Callable

import numpy as np
import torch
from circuit_tracer.attribution.attribute import attribute
from circuit_tracer.graph import Graph, compute_graph_scores, compute_node_influence
from circuit_tracer.replacement_model.replacement_model_transformerlens import TransformerLensReplacementModel
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from engine.domain.errors import InputError
from engine.domain.graphs import AttributionGraph, Fit, GraphKey, NodeKind
from engine.models.base import encode
from engine.models.replacement import Replacement

# circuit-tracer puts a backward hook on the embedding, whose input (token ids) has no gradient: meant so, and harmless.
warnings.filterwarnings("ignore", message="Full backward hook is firing", category=UserWarning)


def trace_graph(replacement: Replacement, *, key: GraphKey, merged: PreTrainedModel | None = None) -> AttributionGraph:
    """The attribution graph of `key.prompt` in the checkpoint whose weights are `merged` (None: the base).

    Traces to `key.targets`; where there are none, to the most probable tokens (up to `settings.n_logits`, until 95 %
    of the probability is covered: circuit-tracer's rule). Safe in threads: it holds the replacement's lock.
    Raises PromptRefused, InputError (a target that is no token of the model).
    """
    tokens = encode(replacement.loaded, key.prompt)[0]  # (n_pos,)
    n_vocab = replacement.model.cfg.d_vocab
    if unknown := [target for target in key.targets if not 0 <= target < n_vocab]:
        raise InputError(f"Output token {unknown[0]} does not exist: the model has tokens 0 to {n_vocab - 1}.")
    settings = key.settings
    with replacement.swapped(merged) as model, torch.enable_grad():
        seen = _Seen()
        with model.hooks(fwd_hooks=seen.hooks(model)):
            graph = attribute(
                tokens,
                model,
                attribution_targets=torch.tensor(key.targets, device=tokens.device) if key.targets else None,
                max_n_logits=min(settings.n_logits, n_vocab),
                batch_size=settings.batch_size,
                max_feature_nodes=settings.max_feature_nodes,
            )
        unexplained_variance = seen.unexplained_variance(model)
    return _convert(graph, key, replacement.loaded.tokenizer, seen.centred_logits(), unexplained_variance)


class _Seen:
    """What the first of circuit-tracer's forward passes (the plain one) shows on the way."""

    def __init__(self) -> None:
        self._reads: dict[int, torch.Tensor] = {}  # what each transcoder reads, (n_pos, d_model)
        self._writes: dict[int, torch.Tensor] = {}  # what its MLP writes
        self._logits: dict[int, torch.Tensor] = {}  # (n_vocab,) at the last position, before any soft cap

    def hooks(self, model: TransformerLensReplacementModel) -> list[tuple[str, Callable[..., None]]]:
        def first(store: dict[int, torch.Tensor], layer: int, place: int | slice) -> Callable[..., None]:
            def hook(activations: torch.Tensor, **_: object) -> None:
                store.setdefault(layer, activations.detach()[0, place])

            return hook

        hooks = [("unembed.hook_post", first(self._logits, 0, -1))]
        for layer in range(model.cfg.n_layers):
            hooks.append((f"blocks.{layer}.{model.feature_input_hook}", first(self._reads, layer, slice(None))))
            hooks.append((f"blocks.{layer}.{model.feature_output_hook}", first(self._writes, layer, slice(None))))
        return hooks

    def centred_logits(self) -> torch.Tensor:
        """(n_vocab,) minus their mean."""
        logits = self._logits[0].float()
        return logits - logits.mean()

    @torch.no_grad()
    def unexplained_variance(self, model: TransformerLensReplacementModel) -> float | None:
        reads, writes = (torch.stack(list(store.values())) for store in (self._reads, self._writes))
        parts = model.transcoders.compute_attribution_components(reads, model.zero_positions)
        return _unexplained(writes, parts["reconstruction"])


def _unexplained(writes: torch.Tensor, reconstruction: torch.Tensor) -> float | None:
    """Share of the variance of MLP outputs (n_layers, n_pos, d_model) over positions 1 … that the features miss.

    Mean over layers; None where a single token leaves no variance.
    """
    wanted, got = writes[:, 1:].float(), reconstruction[:, 1:].float()
    variance = (wanted - wanted.mean(1, keepdim=True)).pow(2).sum((1, 2))  # (n_layers,)
    if wanted.shape[1] < 2 or not bool((variance > 0).all()):
        return None
    return float(((wanted - got).pow(2).sum((1, 2)) / variance).mean())


def _convert(
    graph: Graph,
    key: GraphKey,
    tokenizer: PreTrainedTokenizerFast,
    logits: torch.Tensor,
    unexplained_variance: float | None,
) -> AttributionGraph:
    tokens = graph.input_tokens.cpu().numpy()
    targets = [target.vocab_idx for target in graph.logit_targets]
    layer, position, index, kind = _nodes(graph, tokens, targets)
    activation = np.zeros(len(kind), np.float32)
    activation[: len(graph.selected_features)] = _numpy(graph.activation_values[graph.selected_features])
    influence, logit_weights = _influence(graph)
    source, target, weight = _edges(graph.adjacency_matrix, influence + logit_weights, key.settings.max_edges)
    return AttributionGraph(
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
        target_logit=_numpy(logits[targets]),
        fit=_fit(graph, influence, kind, unexplained_variance),
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


def _edges(adjacency: torch.Tensor, influence: np.ndarray, max_edges: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """source, target, weight of all edges that are not exactly 0, ordered by target and then by source.

    Of more than `max_edges` those that contribute most to the output (`engine.analysis.pruning.contributions`), with
    `influence` (n_nodes,) of each target. Of the demo's 100,000 edges the 25,000 that contribute most leave every
    contribution where it was to 0.001; the 25,000 largest by |weight| are off by up to 0.02.
    In circuit-tracer's matrix rows are targets and columns are sources.
    """
    dense = _numpy(adjacency)
    target, source = np.nonzero(dense)
    weight = dense[target, source]
    if len(weight) > max_edges:
        inputs = np.abs(dense).sum(1, dtype=np.float64)  # (n_nodes,)
        contribution = np.abs(weight) / inputs[target] * influence[target]
        kept = np.sort(np.argsort(-contribution, kind="stable")[:max_edges])
        source, target, weight = source[kept], target[kept], weight[kept]
    return source.astype(np.int32), target.astype(np.int32), weight


def _influence(graph: Graph) -> tuple[np.ndarray, np.ndarray]:
    """(n_nodes,) each node's influence on the probability-weighted logits, and these weights themselves."""
    weights = torch.zeros(len(graph.adjacency_matrix))
    weights[-len(graph.logit_targets) :] = graph.logit_probabilities.float().cpu()
    return _numpy(compute_node_influence(graph.adjacency_matrix, weights)), _numpy(weights)


def _fit(graph: Graph, influence: np.ndarray, kind: np.ndarray, unexplained_variance: float | None) -> Fit:
    # 0 / 0 where not one path leads to a target (all its probability is 0): nothing is explained.
    replacement, completeness = (float(np.nan_to_num(score)) for score in compute_graph_scores(graph))
    total = float(influence.sum())
    errors = float(influence[kind == NodeKind.ERROR].sum())
    return Fit(
        replacement=replacement,
        completeness=completeness,
        error_share=errors / total if total else 0.0,
        unexplained_variance=unexplained_variance,
    )


def _numpy(values: torch.Tensor) -> np.ndarray:
    return values.detach().float().cpu().numpy()
