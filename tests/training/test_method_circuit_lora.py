"""CircuitLoRA and random layers: the ranks, the probe run, what is found, and going on after an interruption."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from peft import PeftModel

from engine.analysis.components.compare import critical_layers, layer_change
from engine.domain.components import ComponentShape, ScoreSettings
from engine.domain.corpus import SIMPLE, Corpus, Pair
from engine.domain.errors import Canceled, InputError, NotFound
from engine.domain.methods import MethodSettings
from engine.domain.models import ModelSpec
from engine.models.base import load_base
from engine.store import Store
from engine.training.critical import _critical, _pairs
from engine.training.fine_tune import fine_tune
from engine.training.methods import METHODS
from engine.training.methods.ranks import drawn_layers
from tests.tiny import tiny_corpus
from tests.training.conftest import After, Never, quiet, run_config, weights_hash

SHORT = {"n_steps": 5, "capture": (1.0,), "method": "circuit_lora"}
SCORING = ScoreSettings(n_pairs=4, n_steps=2, n_groups=1)
FOUND = MethodSettings(scoring=SCORING)


def ranks(tuned: PeftModel) -> dict[str, tuple[int, float]]:
    """Rank and scale of every adapted module."""
    modules = {name: module for name, module in tuned.named_modules() if hasattr(module, "lora_A")}
    return {name: (module.r["default"], module.scaling["default"]) for name, module in modules.items()}


@pytest.mark.parametrize("method", ["circuit_lora", "random_lora"])
def test_critical_layers_get_their_rank_and_all_the_same_scale(llama: ModelSpec, config: Any, method: str) -> None:
    loaded = load_base(llama)
    settings = MethodSettings(critical_layers=(1,), critical_rank=8)
    asked = config(method=method, rank=2, alpha=4, method_settings=settings)
    tuned = METHODS[method].attach(copy.deepcopy(loaded.model), asked, loaded.tokenizer, tiny_corpus())
    found = ranks(tuned)
    assert len(found) == 2 * 7
    assert {rank for name, (rank, _) in found.items() if ".layers.1." in name} == {8}
    assert {rank for name, (rank, _) in found.items() if ".layers.0." in name} == {2}
    assert {scale for _, scale in found.values()} == {2.0}


def test_without_a_rank_of_their_own_critical_layers_get_four_times_the_others(llama: ModelSpec, config: Any) -> None:
    loaded = load_base(llama)
    asked = config(method="circuit_lora", rank=2, method_settings=MethodSettings(critical_layers=(0,)))
    tuned = METHODS["circuit_lora"].attach(loaded.model, asked, loaded.tokenizer, tiny_corpus())
    assert {rank for name, (rank, _) in ranks(tuned).items() if ".layers.0." in name} == {8}


@pytest.fixture(scope="module")
def whole(llama: ModelSpec, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A workspace with the run `run`, whose layer was found by a probe run."""
    store = Store(tmp_path_factory.mktemp("whole") / "workspace", bundled=None)
    store.save_corpus(tiny_corpus())
    fine_tune(store, run_config(llama, **SHORT, method_settings=FOUND), quiet, Never())
    return store


def test_the_layer_is_the_one_that_changed_most_in_the_probe_run(whole: Store) -> None:
    probe = whole.run("run-probe")
    assert (probe.method, probe.rank, probe.seed, probe.n_steps) == ("lora", 4, 0, 5)
    after, before = (whole.components(key.hash) for key in sorted(whole.component_keys("run-probe"), key=_step))
    change = layer_change(before.scores, after.scores, before.shape)
    assert change.min() > 0
    stored = whole.run("run")
    assert stored.method_settings.critical_layers == critical_layers(change, 1)
    states = [checkpoint.state for checkpoint in whole.checkpoints("run")]
    assert all(state.prepared_s >= whole.checkpoints("run-probe")[-1].state.wall_time_s for state in states)
    assert len({state.prepared_s for state in states}) == 1
    assert whole.check() == []


def _step(key: Any) -> bool:
    return key.checkpoint.endswith("@base")


# The token is asked before the probe's first step and after each of its steps but the last; then while scoring.
@pytest.mark.parametrize("stop", [3, 6, 8, 11])
def test_it_goes_on_wherever_it_was_interrupted(taught: Store, whole: Store, config: Any, stop: int) -> None:
    asked = config(**SHORT, method_settings=FOUND)
    with pytest.raises(Canceled):
        fine_tune(taught, asked, quiet, After(stop))
    fine_tune(taught, asked, quiet, Never(), resume=True)
    assert taught.run("run") == whole.run("run")
    assert weights_hash(taught, "run") == weights_hash(whole, "run")
    assert weights_hash(taught, "run-probe") == weights_hash(whole, "run-probe")


def test_given_layers_need_no_probe_run(taught: Store, config: Any) -> None:
    fine_tune(taught, config(**SHORT, method_settings=MethodSettings(critical_layers=(0,))), quiet, Never())
    assert [info.name for info in taught.runs()] == ["run"]
    assert taught.checkpoint("run@100%").state.prepared_s == 0


def test_a_prior_has_a_probe_run_for_each_subtask(taught: Store, config: Any) -> None:
    corpus = tiny_corpus()
    for name, simple in (("one", True), ("two", False)):
        examples = tuple(one for one in corpus.examples if (one.constraint_type == SIMPLE) == simple)
        probes = tuple(one for one in corpus.probes if (one.constraint_type == SIMPLE) == simple)
        taught.save_corpus(Corpus(name, examples, probes))
    settings = MethodSettings(prior=("one", "two"), probe_steps=2, scoring=SCORING, share=0.6)
    fine_tune(taught, config(**SHORT, method_settings=settings), quiet, Never())
    assert {info.name for info in taught.runs()} == {"run", "run-probe-one", "run-probe-two"}
    assert taught.run("run-probe-two").n_steps == 2
    assert len(taught.run("run").method_settings.critical_layers) == 1


def test_a_union_counts_an_edge_with_its_mean_over_the_parts_that_have_it() -> None:
    # One head a layer: sources input, a0.h0, m0, a1.h0, m1. Edges into the logits alone change.
    shape = ComponentShape(n_layers=2, n_heads=1)
    before = np.zeros((shape.n_inputs, shape.n_sources), np.float32)
    one, two = before.copy(), before.copy()
    one[shape.logits_input, shape.mlp_source(0)] = 5.0
    two[shape.logits_input, shape.mlp_source(1)] = 4.0
    two[shape.logits_input, shape.head_source(1, 0)] = 3.0
    for scores, source in ((one, shape.mlp_source(0)), (two, shape.mlp_source(1)), (two, shape.head_source(1, 0))):
        row = {1: shape.mlp_input(0), 2: shape.mlp_input(0), 3: shape.head_input(1, 0, 0), 4: shape.mlp_input(1)}[
            source
        ]
        scores[row, 0] = 9.0  # so that the source is on a path
    settings = MethodSettings(prior=("one", "two"), share=4 / shape.n_edges)
    # layer 0: 5 of one part. Layer 1: 4 + 3 of the other: not halved, since the first part's circuit lacks them
    assert _critical(shape, [(before, one), (before, two)], settings) == (1,)
    alone = MethodSettings()
    assert _critical(shape, [(before, one)], alone) == (0,)


def test_what_is_refused_leaves_no_run_behind(taught: Store, config: Any) -> None:
    corpus = tiny_corpus()
    taught.save_corpus(Corpus("mute", corpus.examples, ()))
    refused = [
        (MethodSettings(n_critical=3), InputError, "3 critical layers .* 2 layers"),
        (MethodSettings(critical_layers=(2,)), InputError, "no layer 2"),
        (MethodSettings(prior=("nowhere",)), NotFound, "nowhere"),
        (MethodSettings(prior=("mute",)), InputError, "has no prompt pairs"),
    ]
    for settings, error, message in refused:
        with pytest.raises(error, match=message):
            fine_tune(taught, config(**SHORT, method_settings=settings), quiet, Never())
    asked = config(**{**SHORT, "method": "random_lora"}, method_settings=MethodSettings(n_critical=3))
    with pytest.raises(InputError, match="3 critical layers"):
        fine_tune(taught, asked, quiet, Never())
    assert taught.runs() == []


def test_pairs_that_the_model_cannot_be_measured_on_are_left_out_and_told(
    taught: Store, config: Any, caplog: pytest.LogCaptureFixture
) -> None:
    fine = Pair(
        id="fine", clean="a blarf is", corrupted="a gleem is", answer="happy", corrupted_answer="sad",
        constraint_type="simple_mapping",
    )  # fmt: skip
    odd = fine.model_copy(update={"id": "odd", "clean": "the blarf cat is"})
    taught.save_corpus(replace(tiny_corpus(), name="mixed", pairs=(odd, fine)))
    corpus, pairs = _pairs(taught.corpus("mixed"), load_base(config().model))
    assert (corpus.name, pairs.ids) == ("mixed", ("fine",))
    assert "1 of 2 pairs of “mixed” can be used with this model." in caplog.text


def test_random_layers_follow_from_the_seed_alone(taught: Store, config: Any) -> None:
    asked = [config(seed=seed, method_settings=MethodSettings(n_critical=2)) for seed in range(40)]
    drawn = [drawn_layers(one, 6) for one in asked]
    assert drawn == [drawn_layers(one, 6) for one in asked]
    assert all(len(set(layers)) == 2 and layers == tuple(sorted(layers)) for layers in drawn)
    assert {layer for layers in drawn for layer in layers} == set(range(6))
    fine_tune(taught, config(**{**SHORT, "method": "random_lora"}), quiet, Never())
    assert taught.run("run").method_settings.critical_layers == drawn_layers(config(), 2)
