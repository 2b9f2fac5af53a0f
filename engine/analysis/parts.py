"""What carries a logit in each of two graphs: signed parts by place and between tokens, of the same logit in both.

A place is a layer at a position: its features and its error, which together are what the transcoder stands for.
Which logit it is, or which mean or contrast of several, says an `ExplainedLogits`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from engine.analysis.identities import unique_rows
from engine.analysis.word_pieces import TokenSpan, pieces, summed
from engine.domain.continuation import output_for
from engine.domain.errors import ComparisonRefused
from engine.domain.explained import ExplainedLogits
from engine.domain.graphs import AttributionGraph, LogitParts, NodeKind


@dataclass(frozen=True)
class ExplainedLogit:
    """Where a logit (minus the mean logit) comes from; the four add up to it."""

    token: str  # of a contrast, its words
    logit: float
    tokens: float
    errors: float
    left_out: float  # active features that are no nodes
    constants: float  # biases of transcoders, attention and norms, and the first position's fixed part


def said_output(graph: AttributionGraph) -> ExplainedLogits:
    """Which of its outputs a graph finds most probable."""
    return ExplainedLogits(answers=(output_ids(graph)[int(np.argmax(graph.target_probability))],))


def output_ids(graph: AttributionGraph) -> tuple[int, ...]:
    """(n_logits,) token ids, in the order of `target_tokens`."""
    return tuple(graph.index[graph.kind == NodeKind.LOGIT].tolist())


def explaining(graph: AttributionGraph, word: str) -> ExplainedLogits | None:
    """The output that is this word, or its first token; None where the graph was not traced to it."""
    found = output_for(graph.target_tokens, word)
    return None if found is None else ExplainedLogits(answers=(output_ids(graph)[graph.target_tokens.index(found)],))


def traced_to(graph: AttributionGraph, explained: ExplainedLogits) -> ExplainedLogits:
    """Raises ComparisonRefused where the graph has no such output."""
    words = dict(zip(output_ids(graph), graph.target_tokens, strict=True))
    if unknown := [token for token in explained.tokens if token not in words]:
        raise ComparisonRefused(
            f"The graph of {graph.key.checkpoint} was not traced to token {unknown[0]}. It has "
            f"{', '.join(word.strip() for word in words.values())[:200]}: choose among these."
        )
    return explained


def explained_words(graph: AttributionGraph, explained: ExplainedLogits) -> str:
    """`happy`, `happy − bl`"""
    words = dict(zip(output_ids(graph), graph.target_tokens, strict=True))
    return explained.text([words[token] for token in explained.tokens])


def with_parts(graph: AttributionGraph) -> AttributionGraph:
    """The graph, its parts worked out from the edges that it has where it was stored without.

    Then whatever its edges do not make of a value, cut edges among it, counts as a constant.
    """
    return graph if graph.parts is not None else replace(graph, parts=_from_edges(graph))


def _from_edges(graph: AttributionGraph) -> LogitParts:
    logits = np.flatnonzero(graph.kind == NodeKind.LOGIT)
    values = graph.activation.astype(np.float64)
    values[logits] = graph.target_logit
    weight = graph.weight.astype(np.float64)
    of_unit = np.divide(1.0, values, out=np.zeros_like(values), where=values != 0)
    of_unit[graph.kind != NodeKind.FEATURE] = 0
    shape = (graph.n_nodes, graph.n_nodes)
    handed_on = csr_array((weight * of_unit[graph.target], (graph.target, graph.source)), shape=shape)
    into = csr_array((weight, (graph.target, graph.source)), shape=shape)
    found = step = into[logits].toarray()
    for _ in range(graph.n_nodes):  # over one edge more each time; no path is longer than there are nodes
        step = step @ handed_on
        if not step.any():
            break
        found = found + step
    sums = np.bincount(graph.target, weight, minlength=graph.n_nodes)
    constant = np.where((graph.kind == NodeKind.FEATURE) | (graph.kind == NodeKind.LOGIT), values - sums, 0)
    return LogitParts(found, constant, np.zeros(graph.n_nodes), _moved(graph, logits, found * of_unit))


def _parts(graph: AttributionGraph) -> LogitParts:
    found = with_parts(graph).parts
    assert found is not None
    return found


def _moved(graph: AttributionGraph, logits: np.ndarray, units: np.ndarray) -> np.ndarray:
    """(n_logits, n_pos, n_pos); `units` (n_logits, n_nodes): of each feature."""
    n_pos = len(graph.tokens)
    cell = graph.position[graph.target] * n_pos + graph.position[graph.source]
    found = np.zeros((len(logits), n_pos, n_pos))
    for row, logit in enumerate(logits):
        per_unit = np.where(graph.target == logit, 1.0, units[row, graph.target])
        found[row] = np.bincount(cell, graph.weight * per_unit, minlength=n_pos**2).reshape(n_pos, n_pos)
    return found


def explained_logit(graph: AttributionGraph, explained: ExplainedLogits) -> ExplainedLogit:
    """Raises ComparisonRefused where the graph has no such output."""
    parts, per_unit, part = _parts(graph), units(graph, explained), node_parts(graph, explained)
    return ExplainedLogit(
        token=explained_words(graph, explained),
        logit=logit_value(graph, explained),
        tokens=float(part[graph.kind == NodeKind.TOKEN].sum()),
        errors=float(part[graph.kind == NodeKind.ERROR].sum()),
        left_out=float(per_unit @ parts.left_out),
        constants=float(per_unit @ parts.constant),
    )


def logit_value(graph: AttributionGraph, explained: ExplainedLogits) -> float:
    """The explained logit, minus the mean logit."""
    return float(explained.weights(output_ids(graph)) @ graph.target_logit)


def units(graph: AttributionGraph, explained: ExplainedLogits) -> np.ndarray:
    """(n_nodes,) what a unit of each target's value is of the logit: an edge's flow is its weight times this."""
    weights, per_unit = explained.weights(output_ids(graph)), np.zeros(graph.n_nodes)
    part = weights @ _parts(graph).part
    active = (graph.kind == NodeKind.FEATURE) & (graph.activation != 0)
    per_unit[active] = part[active] / graph.activation[active]
    per_unit[graph.kind == NodeKind.LOGIT] = weights
    return per_unit


def gradient_at(nodes: np.ndarray, graph: AttributionGraph, explained: ExplainedLogits) -> np.ndarray | None:
    """(n,) what a unit more of each of `nodes` (n, 4) (`identities`) does to the logit, by the model's own gradients.

    0 for what is no feature; None where it is not known of every feature, as of graphs that were not traced as a pair.
    """
    if graph.gradients is None:
        return None
    features = np.insert(graph.gradients.features, 2, NodeKind.FEATURE, axis=1)
    union, place = unique_rows(np.concatenate([features, nodes]))
    known, wanted = place[: len(features)], place[len(features) :]
    found = np.full(len(union), np.nan)
    found[known] = explained.weights(output_ids(graph)) @ graph.gradients.per_unit
    values: np.ndarray = np.where(nodes[:, 2] == NodeKind.FEATURE, found[wanted], 0.0)
    return None if np.isnan(values).any() else values


def node_parts(graph: AttributionGraph, explained: ExplainedLogits) -> np.ndarray:
    """(n_nodes,) part of the logit that runs through each node; an explained output's is its own logit."""
    weights = explained.weights(output_ids(graph))
    found: np.ndarray = (weights @ _parts(graph).part).astype(np.float64)
    found[graph.kind == NodeKind.LOGIT] = weights * graph.target_logit
    return found


def mean_unit(per_unit: Sequence[np.ndarray], there: Sequence[np.ndarray]) -> np.ndarray:
    """(n,) the mean of what a unit is of the logit in two graphs, over those that have it (`there`, (n,) bool each).

    `per_unit`: (n,) each, 0 where the graph does not have it.
    """
    mean: np.ndarray = (per_unit[0] + per_unit[1]) / np.maximum(there[0].astype(int) + there[1], 1)
    return mean


def place_table(
    a: AttributionGraph, b: AttributionGraph, explained: ExplainedLogits, spans: Sequence[TokenSpan] | None = None
) -> pd.DataFrame:
    """layer, position, token, a, b: the largest change first, places that are 0 in both left out.

    `spans`: what counts as one place of its layer (`engine.analysis.word_pieces`), named by its first position; else
    each token.
    """
    joined = pieces(a.tokens) if spans is None else spans
    grids = [summed(place_parts(graph, explained), joined) for graph in (a, b)]
    layer, column = np.nonzero((grids[0] != 0) | (grids[1] != 0))
    table = pd.DataFrame(
        {
            "layer": layer,
            "position": [joined[place].first for place in column.tolist()],
            "token": [joined[place].text for place in column.tolist()],
            "a": grids[0][layer, column],
            "b": grids[1][layer, column],
        }
    )
    return _by_change(table)


def move_table(
    a: AttributionGraph, b: AttributionGraph, explained: ExplainedLogits, spans: Sequence[TokenSpan] | None = None
) -> pd.DataFrame:
    """source, target (positions), source_token, target_token, a, b: what came to a token from another, in all layers.

    The largest change first; what stays at its own token, or within one of `spans` (as of `place_table`), is left out.
    """
    joined = pieces(a.tokens) if spans is None else spans
    moved = [summed(summed(moved_parts(graph, explained), joined).T, joined).T for graph in (a, b)]
    target, source = np.nonzero((moved[0] != 0) | (moved[1] != 0))
    across = target != source
    target, source = target[across], source[across]
    table = pd.DataFrame(
        {
            "source": [joined[place].first for place in source.tolist()],
            "target": [joined[place].first for place in target.tolist()],
            "source_token": [joined[place].text for place in source.tolist()],
            "target_token": [joined[place].text for place in target.tolist()],
            "a": moved[0][target, source],
            "b": moved[1][target, source],
        }
    )
    return _by_change(table)


def place_parts(graph: AttributionGraph, explained: ExplainedLogits) -> np.ndarray:
    """(n_layers, n_pos) what runs through the features and the error of each place."""
    found = np.zeros((graph.n_layers, len(graph.tokens)))
    here = (graph.kind == NodeKind.FEATURE) | (graph.kind == NodeKind.ERROR)
    np.add.at(found, (graph.layer[here], graph.position[here]), node_parts(graph, explained)[here])
    return found


def token_parts(graph: AttributionGraph, explained: ExplainedLogits) -> np.ndarray:
    """(n_pos,) what begins at the embedding of each token."""
    here = graph.kind == NodeKind.TOKEN
    return np.bincount(graph.position[here], node_parts(graph, explained)[here], minlength=len(graph.tokens))


def moved_parts(graph: AttributionGraph, explained: ExplainedLogits) -> np.ndarray:
    """(n_pos, n_pos) to and from: what came to a token from a token, in all layers."""
    return np.tensordot(explained.weights(output_ids(graph)), _parts(graph).moved, 1)


def reads_of_move(
    graph: AttributionGraph, explained: ExplainedLogits, sources: Sequence[int], targets: Sequence[int]
) -> np.ndarray:
    """(n_layers + 2,) what comes to the positions `targets` from the positions `sources`, by the layer that reads it;
    then what the output reads, and what came along edges that storage did not keep. The sum is the move."""
    at = graph.position
    here = np.isin(at[graph.source], sources) & np.isin(at[graph.target], targets)
    end = graph.target[here]
    flow = graph.weight[here] * units(graph, explained)[end]
    layer = np.where(graph.kind[end] == NodeKind.LOGIT, graph.n_layers, graph.layer[end])
    found = np.bincount(layer, flow, minlength=graph.n_layers + 1)
    return np.append(found, moved_parts(graph, explained)[np.ix_(targets, sources)].sum() - found.sum())


def _by_change(table: pd.DataFrame) -> pd.DataFrame:
    order = (table["b"] - table["a"]).abs().sort_values(ascending=False, kind="stable").index
    return table.loc[order].reset_index(drop=True)
