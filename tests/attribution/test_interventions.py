"""Changing features: what is measured is what the model does, what is predicted is what the graph says."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.attribution.interventions import intervene_on
from engine.attribution.trace import trace_graph
from engine.domain.errors import InputError
from engine.domain.graphs import AttributionGraph, NodeKind
from engine.domain.interventions import Intervention
from engine.models.adapters import merged_weights
from engine.models.base import encode
from engine.models.replacement import Replacement
from tests.attribution.edge_oracle import along_edges
from tests.attribution.parts import BACKWARD_HOOK, PROMPT, key, random_adapter

pytestmark = pytest.mark.filterwarnings(BACKWARD_HOOK)
TARGETS = (20, 7, 33, 4)


def traced(replacement: Replacement, merged: torch.nn.Module | None = None) -> AttributionGraph:
    return trace_graph(replacement, key=key(targets=TARGETS), merged=merged)


def features_of(graph: AttributionGraph, layer: int | None = None) -> list[str]:
    rows = np.flatnonzero((graph.kind == NodeKind.FEATURE) & ((graph.layer == layer) | (layer is None)))
    return [graph.node_id(row) for row in rows.tolist()]


def place(feature: str) -> tuple[int, int, int]:
    layer, position, index = map(int, feature.split("/")[1:])
    return layer, position, index


def everything_held(replacement: Replacement, model: Any, values: dict[str, float]) -> tuple[np.ndarray, torch.Tensor]:
    """Features set in a model whose attention, norms and MLP outputs are held: no effect but the direct ones.

    (n_targets,) centred logits before any soft cap, and (n_layers, n_pos, n_features) what the encoders then read.
    """
    seen: list[torch.Tensor] = []
    hook = ("unembed.hook_post", lambda logits, **_: seen.append(logits[0, -1].clone()))
    with model.hooks(fwd_hooks=[hook]), torch.no_grad():
        _, read = model.feature_intervention(
            encode(replacement.loaded, PROMPT)[0],
            [(*place(feature), value) for feature, value in values.items()],
            constrained_layers=range(model.cfg.n_layers),
            apply_activation_function=False,
        )
    return (seen[-1] - seen[-1].mean())[list(TARGETS)].numpy(), read


def only_direct(graph: AttributionGraph) -> AttributionGraph:
    """Without the edges between features."""
    kept = graph.kind[graph.target] == NodeKind.LOGIT
    return replace(graph, source=graph.source[kept], target=graph.target[kept], weight=graph.weight[kept])


@pytest.mark.parametrize("factor", [0.0, 0.99, 3.0])
def test_direct_effects_are_exact_where_everything_is_held(replacement: Replacement, lens: Any, factor: float) -> None:
    graph = traced(replacement)
    activation = dict(zip(graph.node_ids(), graph.activation.tolist(), strict=True))
    for changed in (features_of(graph)[:1], features_of(graph)[3::5], features_of(graph)):
        after, _ = everything_held(replacement, lens, {feature: factor * activation[feature] for feature in changed})
        predicted = along_edges(only_direct(graph), changed, factor)
        assert np.abs(predicted).max() > 1e-4
        np.testing.assert_allclose(after - graph.target_logit, predicted, rtol=1e-4, atol=3e-6)
    # Where all features were set no other path counts.
    done = intervene_on(replacement, graph, None, changed, factor)
    np.testing.assert_allclose(done.predicted, predicted, rtol=1e-4, atol=3e-6)


@pytest.mark.parametrize("factor", [0.0, 1.5])
def test_the_whole_prediction_is_exact_where_gates_are_held_too(
    replacement: Replacement, lens: Any, factor: float
) -> None:
    """Set every feature to the activation that the graph predicts: each encoder must then read just that."""
    graph = traced(replacement)
    ids, value = graph.node_ids(), dict(zip(graph.node_ids(), graph.activation.tolist(), strict=True))
    changed = features_of(graph, layer=0)[::4]
    for source, target, weight in zip(graph.source, graph.target, graph.weight, strict=True):
        if ids[source] in changed and graph.kind[target] == NodeKind.FEATURE:
            value[ids[target]] += (factor - 1) * float(weight)
    for feature in changed:
        value[feature] *= factor
    after, read = everything_held(replacement, lens, {feature: value[feature] for feature in features_of(graph)})
    for feature in features_of(graph, layer=1):
        assert float(read[place(feature)]) == pytest.approx(value[feature], rel=1e-3, abs=1e-4)
    predicted = intervene_on(replacement, graph, None, changed, factor).predicted
    assert not np.allclose(predicted, along_edges(only_direct(graph), changed, factor), rtol=0.05)
    np.testing.assert_allclose(after - graph.target_logit, predicted, rtol=1e-3, atol=1e-5)


def changes(done: Intervention) -> np.ndarray:
    return np.array(done.logit_after) - np.array(done.logit_before)


def test_what_is_measured_before_is_what_the_graph_states(replacement: Replacement, tmp_path: Path) -> None:
    merged = merged_weights(replacement.loaded, random_adapter(replacement.loaded, tmp_path / "adapter"))
    for weights in (None, merged):
        graph = traced(replacement, weights)
        done = intervene_on(replacement, graph, weights, features_of(graph)[:3], 0.0)
        assert done.tokens == graph.target_tokens
        np.testing.assert_allclose(done.logit_before, graph.target_logit, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(done.p_before, graph.target_probability, rtol=1e-4, atol=1e-6)
        assert np.abs(changes(done)).max() > 1e-3
        assert not np.allclose(done.p_before, done.p_after, rtol=1e-3)
        assert all(0 <= p <= 1 for p in done.p_after)
        assert done.predicted == pytest.approx(along_edges(graph, done.changed, 0.0), abs=1e-5)


def test_everything_downstream_reacts(llama: Replacement) -> None:
    """Against the model with one vector added to what an MLP writes, done apart from circuit-tracer."""
    graph = traced(llama)
    feature = features_of(graph, layer=0)[2]
    layer, position, index = place(feature)
    activation = float(graph.activation[graph.node_ids().index(feature)])
    written = -activation * llama.transcoders[layer].W_dec[index]
    seen: list[torch.Tensor] = []

    def add(module: torch.nn.Module, _: object, out: torch.Tensor) -> torch.Tensor:
        changed = out.clone()
        changed[0, position] += written
        return changed

    handle = llama.loaded.model.model.layers[layer].mlp.register_forward_hook(add)
    with torch.no_grad():
        seen.append(llama.loaded.model(input_ids=encode(llama.loaded, PROMPT)).logits[0, -1])
    handle.remove()
    done = intervene_on(llama, graph, None, [feature], 0.0)
    np.testing.assert_allclose(done.p_after, seen[0].softmax(-1)[list(TARGETS)], rtol=1e-4)
    np.testing.assert_allclose(done.logit_after, (seen[0] - seen[0].mean())[list(TARGETS)], rtol=1e-4, atol=1e-5)


def test_a_feature_that_was_set_stays_there_whatever_changed_before_it(llama: Replacement) -> None:
    """Lower features off alone also move the upper one; with the upper one set to its own value they do not."""
    graph = traced(llama)
    low, high = features_of(graph, layer=0), features_of(graph, layer=1)
    alone = intervene_on(llama, graph, None, low, 0.0)
    both = intervene_on(llama, graph, None, low + high, 0.0)
    again = intervene_on(llama, graph, None, [*reversed(low + high), low[0]], 0.0)
    assert again == both
    assert set(both.changed) == {*low, *high}
    assert not np.allclose(both.logit_after, alone.logit_after, rtol=1e-3)


def test_small_changes_have_effects_in_proportion(llama: Replacement) -> None:
    graph = traced(llama)
    one, two = (changes(intervene_on(llama, graph, None, features_of(graph)[:4], f)) for f in (0.98, 0.96))
    np.testing.assert_allclose(two, 2 * one, rtol=0.1, atol=2e-5)


def test_factor_1_and_features_that_are_not_active_change_nothing(replacement: Replacement) -> None:
    graph = traced(replacement)
    same = intervene_on(replacement, graph, None, features_of(graph), 1.0)
    assert set(same.changed) == set(features_of(graph))
    asleep = next(f"feature/1/2/{n}" for n in range(48) if f"feature/1/2/{n}" not in graph.node_ids())
    none = intervene_on(replacement, graph, None, [asleep], 0.0)
    assert none.changed == ()
    for done in (same, none):
        assert (done.p_after, done.logit_after) == (done.p_before, done.logit_before)  # to the bit
        assert not any(done.predicted)
    awake = features_of(graph)[0]
    assert intervene_on(replacement, graph, None, [awake, asleep], 0.0).changed == (awake,)


def test_the_base_comes_back(llama: Replacement, tmp_path: Path) -> None:
    merged = merged_weights(llama.loaded, random_adapter(llama.loaded, tmp_path / "adapter"))
    graph = traced(llama)
    before = intervene_on(llama, graph, None, features_of(graph)[:2], 0.5)
    intervene_on(llama, traced(llama, merged), merged, features_of(graph)[:2], 0.0)
    assert intervene_on(llama, graph, None, features_of(graph)[:2], 0.5) == before


@pytest.mark.parametrize(
    ("feature", "says"),
    [
        ("error/1/2/0", "is not a feature"),
        ("token/-1/2/7", "is not a feature"),
        ("feature/1/2", "is not a feature"),
        ("feature/1/2/-3", "is not a feature"),
        ("feature/1/2/3/4", "is not a feature"),
        ("feature/1/²/3", "is not a feature"),
        ("", "is not a feature"),
        ("<script>" * 50, "is not a feature"),
        ("feature/0/0/3", "first token"),
        ("feature/2/1/3", "2 layers"),
        ("feature/1/6/3", "6 tokens"),
        ("feature/1/1/48", "48 features"),
        ("feature/1/1/99999999999999", "is not a feature"),
    ],
)
def test_what_cannot_be_changed_is_refused(llama: Replacement, feature: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as error:
        intervene_on(llama, traced(llama), None, [feature], 0.0)
    assert len(str(error.value)) < 300
