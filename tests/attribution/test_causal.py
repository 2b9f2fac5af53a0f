"""Switching a circuit off: what goes is what interventions say, and the others are drawn alike everywhere."""

from pathlib import Path

import numpy as np
import pytest

from engine.analysis.ablations import Ablation, causal_summary
from engine.analysis.pruning import prune
from engine.attribution.causal import _draw, causal_check
from engine.attribution.interventions import intervene_on
from engine.attribution.trace import trace_graph
from engine.domain.graphs import AttributionGraph, NodeKind
from engine.models.adapters import merged_weights
from engine.models.base import encode
from engine.models.replacement import Replacement
from tests.attribution.parts import BACKWARD_HOOK, PROMPT, key, random_adapter

pytestmark = pytest.mark.filterwarnings(BACKWARD_HOOK)
TARGETS = (20, 7, 33)


def kept(graph: AttributionGraph) -> list[str]:
    rows = np.flatnonzero(prune(graph).node_mask & (graph.kind == NodeKind.FEATURE))
    return [graph.node_id(row) for row in rows.tolist()]


def check(
    replacement: Replacement, graph: AttributionGraph, merged=None, *, n_draws: int = 2, seed: int = 5
) -> Ablation:
    return causal_check(replacement, graph, merged, n_draws=n_draws, rng=np.random.default_rng(seed))


def test_what_goes_is_what_an_intervention_on_the_circuit_takes_away(replacement: Replacement, tmp_path: Path) -> None:
    merged = merged_weights(replacement.loaded, random_adapter(replacement.loaded, tmp_path / "adapter"))
    for weights in (None, merged):
        graph = trace_graph(replacement, key=key(targets=TARGETS), merged=weights)
        done = check(replacement, graph, weights)
        wanted = intervene_on(replacement, graph, weights, kept(graph), 0.0)
        assert done.n_features == len(wanted.changed) == len(kept(graph)) > 3
        assert done.p_before == pytest.approx(wanted.p_before[0], rel=1e-5)  # the answer is the first target
        assert done.p_after == pytest.approx(wanted.p_after[0], rel=1e-5)
        assert done.p_after != pytest.approx(done.p_before, rel=1e-3)
        assert len(done.p_after_others) == 2


def test_the_others_are_active_and_not_of_the_circuit(llama: Replacement) -> None:
    graph = trace_graph(llama, key=key(targets=TARGETS))
    with llama.opened(None) as model:
        activations, _ = model.activations(encode(llama.loaded, PROMPT)[0])
    n_active, n_own = int((activations > 0).sum()), len(kept(graph))
    done = check(llama, graph)
    assert done.n_others == min(n_own, n_active - n_own)
    assert check(llama, graph) == done
    assert check(llama, graph, seed=6).p_after_others != done.p_after_others
    assert check(llama, graph, n_draws=0).p_after_others == ()


def test_where_fewer_others_are_active_all_of_them_are_switched_off(
    llama: Replacement, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = trace_graph(llama, key=key(targets=TARGETS))
    everything = prune(graph)
    everything.node_mask[:] = True
    everything.node_mask[np.flatnonzero(graph.kind == NodeKind.FEATURE)[:2]] = False  # two are left outside
    monkeypatch.setattr("engine.attribution.causal.prune", lambda _graph: everything)
    done = check(llama, graph)
    assert done.n_others == 2 < done.n_features
    outside = [graph.node_id(row) for row in (0, 1)]
    wanted = intervene_on(llama, graph, None, outside, 0.0).p_after[0]
    assert done.p_after_others == pytest.approx((wanted, wanted), rel=1e-5)


def test_a_graph_without_features_changes_nothing(llama: Replacement, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = trace_graph(llama, key=key(targets=TARGETS))
    none = prune(graph)
    none.node_mask[:] = False
    monkeypatch.setattr("engine.attribution.causal.prune", lambda _graph: none)
    done = check(llama, graph)
    assert (done.n_features, done.n_others) == (0, 0)
    assert done.p_before == pytest.approx(done.p_after, rel=1e-6)


def test_a_place_has_its_rank_whatever_else_is_active() -> None:
    rank = np.array([[[0.4, 0.1, 0.3, 0.2]]])  # (1 layer, 1 position, 4 features)
    at = lambda *features: np.array([(0, 0, f) for f in features])  # noqa: E731
    assert _draw(at(0, 1, 2, 3), 2, rank) == [[0, 0, 1], [0, 0, 3]]
    assert _draw(at(0, 2, 3), 2, rank) == [[0, 0, 3], [0, 0, 2]]  # 3 is drawn again where 1 is not active
    assert _draw(at(0, 2), 5, rank) == [[0, 0, 2], [0, 0, 0]]


def test_means_over_prompts_and_draws() -> None:
    # drops: 0.8 - 0.2 = 0.6 and 0.4 - 0.2 = 0.2, mean 0.4. Of others: 0.8 - (0.7 + 0.9) / 2 = 0, 0.4 - 0.2 = 0.2.
    two = [Ablation(10, 10, 0.8, 0.2, (0.7, 0.9)), Ablation(20, 6, 0.4, 0.2, (0.1, 0.3))]
    found = causal_summary(25, "trait", two)
    assert (found.step, found.constraint_type, found.n_prompts, found.n_draws) == (25, "trait", 2, 2)
    assert (found.n_features, found.n_others, found.p_before) == pytest.approx((15, 8, 0.6))
    assert (found.drop.value, found.random_drop.value) == pytest.approx((0.4, 0.1))
    # Of two prompts a resample is one of them twice, or both: the interval reaches from one to the other.
    assert (found.drop.low, found.drop.high) == pytest.approx((0.2, 0.6))
    one = causal_summary(0, "trait", two[:1])
    assert (one.drop.low, one.drop.value, one.drop.high) == pytest.approx((0.6, 0.6, 0.6))
    with pytest.raises(ValueError, match="no prompt"):
        causal_summary(0, "trait", [])
