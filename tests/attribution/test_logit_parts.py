"""Signed parts of a logit: inputs, errors and constants are where it comes from, features what it runs through."""

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.attribution.dense import DenseGraph
from engine.attribution.logit_parts import logit_parts
from engine.attribution.trace import trace_graph
from engine.domain.graphs import AttributionGraph, NodeKind, TraceSettings
from engine.models.base import LoadedModel
from engine.models.replacement import Replacement
from tests.attribution.parts import key, load, random_transcoders
from tests.attribution.test_every_family import PROMPT, TARGETS, cross_layer, drawn, with_skips
from tests.families import CONFIGS, loaded_family


def test_two_layers_by_hand() -> None:
    """One feature a layer, no errors but a zero one, one token, one logit.

    Layer 0's feature (5) is made of the token (3) and a constant of 2. Layer 1's (4) has 6 from layer 0's feature, −1
    from the token, a constant of −1. The logit (10) has 8 from layer 1's feature, 1 from layer 0's, 0.5 from an error,
    a constant of 0.5.
    """
    # features 0 and 1, errors 2 and 3 (a layer each), token 4, logit 5
    rows = torch.zeros(6, 6)
    rows[0, 4] = 3
    rows[1, 0], rows[1, 4] = 6, -1
    rows[5, 1], rows[5, 0], rows[5, 3] = 8, 1, 0.5
    dense = DenseGraph(rows, torch.tensor([0, 1]), 2, torch.tensor([0.9]))
    found = logit_parts(dense, torch.tensor([5.0, 4.0]), torch.tensor([10.0]), torch.zeros(6), np.zeros(6, int))
    # A unit of layer 1's 4 is 2 of the logit: 6 · 2 = 12 through layer 0's feature, −2 from the token, −2 constant.
    # A unit of layer 0's 5 is (12 + 1) / 5 = 2.6: 3 · 2.6 = 7.8 from the token, 5.2 constant.
    assert found.part.tolist() == [pytest.approx([13.0, 8.0, 0.0, 0.5, 5.8, 0.0])]
    assert found.constant.tolist() == pytest.approx([2.0, -1.0, 0, 0, 0, 0.5])
    constants = 0.5 + 2 * -1 + 2.6 * 2
    assert 5.8 + 0.5 + constants == pytest.approx(10)
    assert found.moved.tolist() == [[pytest.approx([8 + 1 + 0.5 + 2 * (6 - 1) + 2.6 * 3])]]


def explained(graph: AttributionGraph) -> tuple[np.ndarray, np.ndarray]:
    """(n_logits,) of tokens and errors, and of constants by way of what each feature is made of."""
    parts = graph.parts
    assert parts is not None
    sources = (graph.kind == NodeKind.TOKEN) | (graph.kind == NodeKind.ERROR)
    features = graph.kind == NodeKind.FEATURE
    handed = parts.part[:, features] / graph.activation[features]
    constants = parts.constant[graph.kind == NodeKind.LOGIT] + handed @ parts.constant[features]
    left_out = parts.left_out[graph.kind == NodeKind.LOGIT] + handed @ parts.left_out[features]
    return parts.part[:, sources].sum(1), constants + left_out


def assert_adds_up(graph: AttributionGraph) -> None:
    nodes, rest = explained(graph)
    assert graph.parts is not None
    scale = max(1.0, float(np.abs(graph.parts.part).max()))
    np.testing.assert_allclose(nodes + rest, graph.target_logit, rtol=0, atol=1e-4 * scale)


@pytest.fixture(scope="module", params=CONFIGS)
def loaded(request: pytest.FixtureRequest) -> LoadedModel:
    return loaded_family(request.param)


def test_every_family_adds_up(loaded: LoadedModel) -> None:
    graph = trace_graph(Replacement(loaded, random_transcoders(loaded)), key=key(PROMPT, targets=TARGETS))
    assert_adds_up(graph)
    assert graph.parts is not None
    assert not graph.parts.left_out.any()
    sources = graph.kind != NodeKind.LOGIT
    direct = np.zeros_like(graph.parts.part)  # what of the logit is told by its own edges alone
    for row, logit in enumerate(np.flatnonzero(~sources)):
        into = graph.target == logit
        direct[row, graph.source[into]] = graph.weight[into]
    assert np.abs(graph.parts.part - direct).max() > 1e-3  # most parts run through features


@pytest.mark.parametrize("kind", ["skip", "cross-layer", "cross-layer with skip"])
@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt_neox"])
def test_every_kind_of_transcoder_adds_up(family: str, kind: str) -> None:
    loaded = loaded_family(family)
    made = with_skips(loaded) if kind == "skip" else cross_layer(loaded, skip="skip" in kind)
    assert_adds_up(trace_graph(Replacement(loaded, drawn(made)), key=key(PROMPT, targets=TARGETS)))


def test_neither_cutting_edges_nor_features_changes_what_is_explained(tmp_path: Path) -> None:
    """Parts are those of the graph before its cut; features that are no nodes count as left out, not as constants."""
    replacement = Replacement(load("llama", tmp_path), random_transcoders(load("llama", tmp_path)))
    whole = trace_graph(replacement, key=key(PROMPT, targets=TARGETS))
    cut = trace_graph(replacement, key=key(PROMPT, targets=TARGETS, settings=TraceSettings(max_edges=50)))
    assert whole.parts is not None
    assert cut.parts is not None
    assert cut.n_edges < whole.n_edges
    np.testing.assert_array_equal(cut.parts.part, whole.parts.part)
    n = int((whole.kind == NodeKind.FEATURE).sum()) - 7
    fewer = trace_graph(replacement, key=key(PROMPT, targets=TARGETS, settings=TraceSettings(max_feature_nodes=n)))
    assert_adds_up(fewer)
    assert fewer.parts is not None
    assert np.abs(fewer.parts.left_out).max() > 0
    logits = fewer.kind == NodeKind.LOGIT
    np.testing.assert_allclose(
        fewer.parts.constant[logits], whole.parts.constant[whole.kind == NodeKind.LOGIT], rtol=0, atol=1e-4
    )


def test_what_moves_between_positions_is_what_arrives_there(loaded: LoadedModel) -> None:
    """Into a position comes, over all sources, what its features and logits are explained by."""
    graph = trace_graph(Replacement(loaded, random_transcoders(loaded)), key=key(PROMPT, targets=TARGETS))
    parts = graph.parts
    assert parts is not None
    features = np.flatnonzero(graph.kind == NodeKind.FEATURE)
    handed = parts.part[:, features] / graph.activation[features]
    made = handed * (graph.activation[features] - parts.constant[features])
    wanted = np.zeros(parts.moved.shape[:2])
    for column, node in enumerate(features):
        wanted[:, graph.position[node]] += made[:, column]
    wanted[:, -1] += graph.target_logit - parts.constant[graph.kind == NodeKind.LOGIT]
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(parts.moved.sum(2), wanted, rtol=0, atol=1e-4 * scale)
    assert not np.triu(parts.moved[0], 1).any()  # nothing comes from a later position
