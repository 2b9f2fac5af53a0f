"""The bundled demo as it is committed: whole, small, and what its model card says of it."""

import gzip
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from engine.analysis.diff import diff_graphs
from engine.attribution.trace import trace_graph
from engine.demo import recipe
from engine.demo.ablation import ablation_request
from engine.demo.check import check_demo
from engine.demo.model_card import model_card
from engine.demo.records import Figures
from engine.domain.corpus import PROBE_KINDS, SIMPLE, SPATIAL
from engine.domain.diffs import DiffSettings
from engine.domain.graphs import PruneSettings, TraceSettings
from engine.store import BUNDLED, Store
from engine.store.files import read_json
from engine.workflows.queries import comparison_found, comparison_graphs, stored_interventions, timelapse_graphs
from engine.workflows.scene import scene_of
from tests.attribution.parts import Never, silent

TYPES = (SIMPLE, SPATIAL)


@pytest.fixture(scope="module")
def stated():
    return read_json(BUNDLED / "figures.json", Figures)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("workspace"), bundled=BUNDLED)
    yield store
    store.close()


def test_it_is_small_and_holds_nothing_pickled():
    files = [path for path in BUNDLED.rglob("*") if path.is_file() and not path.name.startswith("index.sqlite")]
    assert sum(path.stat().st_size for path in files) < 15_000_000
    assert {path.suffix for path in files} <= {".json", ".jsonl", ".safetensors", ".md", ".gz"}


def test_every_file_can_be_read_whole(store):
    assert store.check() == []


def test_all_figures_are_measured_again_and_agree():
    rows = check_demo(BUNDLED, lambda *_: None)
    assert [row for row in rows if not row.ok] == []
    assert len(rows) > 100


def test_the_card_states_the_figures(stated):
    assert (BUNDLED / "README.md").read_text(encoding="utf-8") == model_card(stated)


def test_the_story_is_true(stated):
    """Both runs give the right answers; the lower loss is a lookup table, the higher one knows the words."""
    v = stated.values()
    for run in ("demo-lora", "demo-tokens"):
        assert all(v[f"{run}@best/paraphrase/{t}"] >= 0.95 for t in TYPES)
        assert v[f"{run}/lowest replacement score"] >= 0.85
        assert v[f"{run}/stored probe results that differ"] == 0
    assert v["demo-lora@best/inference/mean"] <= 0.4
    assert v["demo-tokens@best/inference/mean"] >= 0.7
    assert v["demo-lora@best/smoothed loss"] < v["demo-tokens@best/smoothed loss"]
    assert v["demo-tokens/trainable parameters"] < 0.05 * v["demo-lora/trainable parameters"]
    for run in ("demo-lora", "demo-tokens"):
        v[run] = v[f"{run}@best/meaning overlap/own"] - v[f"{run}@best/meaning overlap/other"]
    assert v["demo-tokens"] > v["demo-lora"]


def test_probes_count_only_where_the_base_knows_the_answer(stated):
    v = stated.values()
    for t in TYPES:
        for kind in PROBE_KINDS:
            assert v[f"probes/{t}/{kind}/kept"] >= 30
            assert v[f"ceiling/{t}/{kind}/candidates"] >= 0.9
            assert v[f"ceiling/{t}/{kind}/kept"] >= 0.9


@pytest.mark.parametrize("prompt", recipe.PROMPTS)
@pytest.mark.parametrize(("a", "b"), recipe.COMPARISONS)
def test_the_default_comparisons_are_traced(store, a, b, prompt):
    graphs = comparison_graphs(store, a, b, prompt)
    assert graphs is not None
    left, right = graphs
    assert left.tokens == right.tokens
    assert left.key.targets == right.key.targets
    assert min(left.fit.replacement, right.fit.replacement) >= 0.85


def test_a_time_lapse_can_be_played_at_once(store):
    a, b = recipe.COMPARISONS[-1]
    pairs = timelapse_graphs(store, a, b, recipe.PROMPTS[0])
    assert tuple(pairs) == recipe.TIMELAPSE_STEPS == (0, 75, 150, 225, 300)
    similarity = [diff_graphs(*pair).summary.edge_similarity for pair in pairs.values()]
    assert similarity[0] == pytest.approx(1)  # one base
    assert max(similarity[1:]) < 0.6
    assert min(graph.fit.replacement for pair in pairs.values() for graph in pair) >= 0.85


def test_the_features_that_carry_the_answer_do_and_others_do_not(stated, store):
    v = stated.values()
    assert v["ablation/p of the answer before"] > 0.5
    assert v["ablation/p of the answer after"] < 0.05
    assert v["ablation/draws of others that keep the answer"] >= 0.9 * v["ablation/draws of others"]
    assert v["ablation/p of the answer after others, median"] > 0.5
    request = ablation_request(store)
    graphs = comparison_graphs(store, request.a, request.b, request.prompt)
    a, b = stored_interventions(store, graphs, request.features, request.factor)
    assert set(b.changed) == set(request.features)
    assert len(a.changed) < len(b.changed)
    assert b.p_after[0] == pytest.approx(v["ablation/p of the answer after"], abs=0.001)
    assert b.tokens[int(np.argmax(b.p_before))].strip() == "smiles"
    assert b.tokens[int(np.argmax(b.p_after))].strip() != "smiles"


@pytest.mark.parametrize(("a", "b"), recipe.COMPARISONS)
def test_what_the_default_views_show_is_described(store, a, b):
    pair = comparison_found(store, a, b, recipe.PROMPTS[0])
    nodes = diff_graphs(store.graph(pair.graph_a), store.graph(pair.graph_b)).nodes
    shown = nodes[nodes["kind"] == "feature"]
    wanted = set(zip(shown["layer"], shown["index"], strict=True))
    assert len(wanted) > 20
    for side in (a, b):
        described = {feature for key in store.feature_keys(side) for feature in store.features(key)}
        assert wanted <= described


def test_the_cap_on_edges_changes_nothing_that_is_shown(store):
    """Against the whole graphs, traced now: at the default pruning and at the far end of the sliders."""
    pair = comparison_found(store, *recipe.COMPARISONS[-1], recipe.PROMPTS[0])
    assert [store.graph(key).n_edges for key in (pair.graph_a, pair.graph_b)] == [recipe.TRACING.max_edges] * 2
    stored = store.graph_pair(pair.graph_a, pair.graph_b)
    # Gradients are no matter of edges, and are stored to three digits.
    whole = [
        replace(graph, gradients=own.gradients) for graph, own in zip(_traced_whole(store, pair), stored, strict=True)
    ]
    assert min(graph.n_edges for graph in whole) > 3 * recipe.TRACING.max_edges
    capped, full = diff_graphs(*stored), diff_graphs(*whole)
    assert not capped.explained.is_estimated
    pd.testing.assert_frame_equal(capped.edges, full.edges, rtol=1e-3, atol=1e-5)
    pd.testing.assert_frame_equal(capped.nodes, full.nodes, rtol=1e-3, atol=1e-5)
    far = DiffSettings(prune=PruneSettings(node_threshold=0.95, edge_threshold=0.99))
    both = diff_graphs(*whole, far).edges.merge(
        diff_graphs(*stored, far).edges, on=["source", "target"], how="outer", suffixes=("", "_capped")
    )
    for column in ("contribution_a", "contribution_b", "flow_a", "flow_b"):
        there = both[[column, f"{column}_capped"]].dropna()
        assert len(there) > 1000
        assert (there[column] - there[f"{column}_capped"]).abs().max() <= 1e-4
        # An edge that only one of them shows is one that nobody would look at.
        alone = both[both[column].isna() | both[f"{column}_capped"].isna()]
        assert alone[[column, f"{column}_capped"]].abs().max(axis=None) < 0.01 * capped.explained.moved


def _traced_whole(store, pair):
    scene = scene_of(store, pair, silent, Never())
    return [
        trace_graph(
            scene.replacement(),
            key=key.model_copy(update={"settings": TraceSettings()}),
            merged=scene.weights(store.checkpoint(key.checkpoint)),
        )
        for key in (pair.graph_a, pair.graph_b)
    ]


def test_all_runs_have_their_checkpoints_with_scores(store):
    for config in recipe.run_configs(0):
        steps = [checkpoint.step for checkpoint in store.checkpoints(config.name)]
        assert steps == [0, *config.capture_steps()]
        assert list(store.probe_results(config.name)) == steps
        assert len(store.losses(config.name).loss) == recipe.N_STEPS


def test_no_machine_is_named_in_it():
    for path in BUNDLED.rglob("*.json*"):
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
        assert not re.search(r"/(home|root|tmp|work|Users)/", text), path


def test_most_features_that_are_drawn_have_a_label(store, stated):
    names, drawn = store.feature_names(store.comparisons()[0].graph_a.transcoders_hash), set()
    for comparison in store.comparisons():
        nodes = diff_graphs(*store.graph_pair(comparison.graph_a, comparison.graph_b)).nodes
        features = nodes[nodes["kind"] == "feature"]
        drawn |= set(zip(features["layer"].tolist(), features["index"].tolist(), strict=True))
    assert names.automatic.is_whole
    assert len(names.automatic.measured[0].labels) == stated.values()["features with a label"]
    labelled = sum(names.label(*feature) is not None for feature in drawn)
    assert labelled / len(drawn) > 0.8
