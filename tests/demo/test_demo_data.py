"""The bundled demo as it is committed: whole, small, and what its model card says of it."""

import re

import pytest

from engine.demo import recipe
from engine.demo.check import check_demo
from engine.demo.model_card import model_card
from engine.demo.records import Figures
from engine.domain.corpus import PROBE_KINDS, SIMPLE, SPATIAL
from engine.store import BUNDLED, Store
from engine.store.files import read_json
from engine.workflows.queries import comparison_graphs

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
    assert {path.suffix for path in files} <= {".json", ".jsonl", ".safetensors", ".md"}


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


def test_all_runs_have_their_checkpoints_with_scores(store):
    for config in recipe.run_configs(0):
        steps = [checkpoint.step for checkpoint in store.checkpoints(config.name)]
        assert steps == [0, *config.capture_steps()]
        assert list(store.probe_results(config.name)) == steps
        assert len(store.losses(config.name).loss) == recipe.N_STEPS


def test_no_machine_is_named_in_it():
    for path in BUNDLED.rglob("*.json*"):
        assert not re.search(r"/(home|root|tmp|work|Users)/", path.read_text(encoding="utf-8")), path
