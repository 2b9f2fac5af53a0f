"""What a curriculum lets a step be trained on."""

import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch

from engine.domain.corpus import SIMPLE, SPATIAL, Corpus
from engine.domain.decisions import DecisionSettings
from engine.store import Store
from engine.training import sampling
from engine.training.fine_tune import fine_tune
from engine.training.sampling import TypeSampler, draw, shares_of
from engine.training.texts import training_rows
from engine.training.trainer import StepTrainer
from tests.tiny import tiny_corpus, tiny_tokenizer
from tests.training.conftest import Never, quiet, run_config, weights_hash
from tests.training.watchers import FakeWatcher

ROWS = {"a": np.arange(0, 4), "b": np.arange(4, 12)}  # 4 rows and 8
EVERY_5 = {"capture": (1.0,), "capture_every": 5, "n_steps": 17}


def n_of_a(drawn: list[int]) -> int:
    return sum(row < 4 for row in drawn)


def test_a_batch_has_each_types_share() -> None:
    # 0.25 x 8 is 2 exactly; 0.25 x 10 is 2.5, so 2 or 3, as often the one as the other
    weights = {"a": 0.25, "b": 0.75}
    assert {n_of_a(draw(ROWS, weights, n=8, seed=0, step=step)) for step in range(100)} == {2}
    counts = Counter(n_of_a(draw(ROWS, weights, n=10, seed=0, step=step)) for step in range(1000))
    assert set(counts) == {2, 3}
    assert abs(counts[2] - 500) < 5 * 16  # the standard deviation is sqrt(1000) / 2 = 15.8
    # one example a batch: a is drawn as often as its weight says
    ones = sum(n_of_a(draw(ROWS, weights, n=1, seed=0, step=step)) for step in range(1000))
    assert abs(ones - 250) < 5 * 14  # sqrt(1000 x 0.25 x 0.75) = 13.7


def test_rows_of_a_type_are_equally_likely() -> None:
    # 8 examples a batch, half of them a: each of its 4 rows once. Of b's 8 rows 4: each in half of 2000 batches.
    counts = Counter(row for step in range(2000) for row in draw(ROWS, {}, n=8, seed=0, step=step))
    assert {counts[row] for row in range(4)} == {2000}
    assert all(abs(counts[row] - 1000) < 5 * 23 for row in range(4, 12))  # sqrt(2000) / 2 = 22.4


def test_no_row_comes_again_before_all_have_come() -> None:
    # 0.9 x 20 = 18 of 4 rows: each 4 or 5 times
    for step in range(20):
        counts = Counter(row for row in draw(ROWS, {"a": 0.9, "b": 0.1}, n=20, seed=0, step=step) if row < 4)
        assert sum(counts.values()) == 18
        assert set(counts.values()) == {4, 5}


def test_a_draw_follows_from_seed_step_and_weights_alone() -> None:
    before = (torch.get_rng_state(), np.random.get_state(legacy=True)[1], random.getstate())
    first = draw(ROWS, {"a": 0.3, "b": 0.7}, n=6, seed=1, step=5)
    random.random(), np.random.random(), torch.rand(1)
    assert draw(ROWS, {"a": 0.3, "b": 0.7}, n=6, seed=1, step=5) == first
    assert draw(ROWS, {"a": 0.3, "b": 0.7}, n=6, seed=1, step=6) != first
    assert draw(ROWS, {"a": 0.3, "b": 0.7}, n=6, seed=2, step=5) != first
    torch.set_rng_state(before[0])
    assert draw(ROWS, {}, n=6, seed=1, step=5)
    assert torch.equal(torch.get_rng_state(), before[0])


def test_shares_of_the_types_that_have_examples() -> None:
    assert shares_of(["a", "b"], {}) == {"a": 0.5, "b": 0.5}
    # c is not named: it counts as the mean of 0.2 and 0.8, so 0.2 : 0.8 : 0.5
    assert shares_of(["a", "b", "c"], {"a": 0.2, "b": 0.8}) == pytest.approx({"a": 2 / 15, "b": 8 / 15, "c": 5 / 15})
    # b has probes and no examples
    assert shares_of(["a"], {"a": 0.2, "b": 0.8}) == {"a": 1.0}
    assert shares_of(["a"], {"a": 0.0, "b": 1.0}) == {"a": 1.0}


def test_epochs_are_as_long_as_without_a_curriculum(config: Any) -> None:
    types = [example.constraint_type for example in tiny_corpus().examples]
    sampler = TypeSampler(types, config(), lambda _step: {})
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert len(sampler) == len(first) == len(second) == 20
    rows = {name: np.array([i for i, own in enumerate(types) if own == name]) for name in (SIMPLE, SPATIAL)}
    # batches of 6, 6, 6 and 2; the second epoch begins with step 5
    assert second[6:12] == draw(rows, {}, n=6, seed=0, step=6)
    assert second[18:] == draw(rows, {}, n=2, seed=0, step=8)


class Spy:
    """The weights that each step was drawn with, the rows, and the tokens that the model was given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.weights: dict[int, dict[str, float]] = {}
        self.drawn: dict[int, list[int]] = {}
        self.given: list[torch.Tensor] = []
        real_draw, real_step = sampling.draw, StepTrainer.training_step

        def spied(rows: Any, weights: Any, *, n: int, seed: int, step: int) -> list[int]:
            self.weights[step] = dict(weights)
            self.drawn[step] = real_draw(rows, weights, n=n, seed=seed, step=step)
            return self.drawn[step]

        def stepped(trainer: StepTrainer, model: Any, inputs: Any, *rest: Any) -> torch.Tensor:
            self.given.append(inputs["input_ids"].clone())
            return real_step(trainer, model, inputs, *rest)

        monkeypatch.setattr(sampling, "draw", spied)
        monkeypatch.setattr(StepTrainer, "training_step", stepped)


@pytest.mark.parametrize("curriculum", ["under_learned", "circuit_change"])
def test_weights_act_two_steps_after_they_are_decided(
    taught: Store, config: Any, monkeypatch: pytest.MonkeyPatch, curriculum: str
) -> None:
    spy = Spy(monkeypatch)
    fine_tune(taught, config(**EVERY_5, curriculum=curriculum), quiet, Never(), watcher=FakeWatcher())
    decisions = taught.decisions("run").decisions
    assert [one.step for one in decisions] == [0, 5, 10, 15, 17]
    for step, weights in spy.weights.items():
        in_force = [one.weights for one in decisions if one.step + 2 <= step]
        assert weights == (in_force[-1] if in_force else {})
    assert spy.weights[6] == decisions[0].weights
    assert spy.weights[7] == decisions[1].weights
    told = [one.weights for one in decisions]
    if curriculum == "circuit_change":  # the first change is that at step 5, and it is known at step 10
        assert told[:2] == [{}, {}]
        assert all(one[SIMPLE] != one[SPATIAL] for one in told[2:])
    assert all(sum(one.values()) == pytest.approx(1) for one in told if one)
    rows = training_rows(tiny_tokenizer(), tiny_corpus(), limit=64)
    assert len(spy.given) == 17
    for step, given in enumerate(spy.given, start=1):
        assert [line[line != 0].tolist() for line in given] == [rows[row]["input_ids"] for row in spy.drawn[step]]


def test_what_is_not_known_is_trained_more(taught: Store, config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes of one type that are always right, of the other always wrong: a tenth against nine tenths."""
    from engine.training import deciding

    real = deciding.type_scores

    def scores(*args: Any) -> Any:
        return tuple(
            one.model_copy(update={"n_correct": one.n if one.constraint_type == SIMPLE else 0}) for one in real(*args)
        )

    monkeypatch.setattr(deciding, "type_scores", scores)
    spy = Spy(monkeypatch)
    fine_tune(taught, config(**{**EVERY_5, "batch_size": 10}, curriculum="under_learned"), quiet, Never())
    assert spy.weights[1] == {}
    assert all(spy.weights[step] == pytest.approx({SIMPLE: 0.1, SPATIAL: 0.9}) for step in range(2, 18))
    assert all(sum(row < 10 for row in spy.drawn[step]) == (5 if step == 1 else 1) for step in range(1, 18))
    states = [checkpoint.state for checkpoint in taught.checkpoints("run")]
    assert [state.examples_seen for state in states] == [10 * state.step for state in states]


def test_no_batch_is_drawn_before_what_weighs_it_is_decided(taught: Store, config: Any) -> None:
    from engine.training.deciding import Decider

    asked = config(**EVERY_5, curriculum="under_learned")
    fine_tune(taught, asked, quiet, Never())
    decider = Decider(taught, asked, tiny_corpus().probes, quiet, None)
    assert decider.weights_at(1) == {}
    with pytest.raises(AssertionError, match="step 2 is drawn before"):
        decider.weights_at(2)
    decider.take_over(5)
    assert decider.weights_at(11) == taught.decisions("run").decisions[1].weights
    with pytest.raises(AssertionError, match="step 12 is drawn before"):
        decider.weights_at(12)


def test_a_corpus_of_one_type(store: Store, config: Any) -> None:
    whole = tiny_corpus()
    store.save_corpus(Corpus("tiny", whole.examples[:10], whole.probes))
    asked = config(**EVERY_5, curriculum="under_learned", decisions=DecisionSettings(probe_kind="recall"))
    fine_tune(store, asked, quiet, Never())
    assert store.runs()[0].finished
    assert set(store.decisions("run").decisions[0].weights) == {SIMPLE, SPATIAL}


def test_the_seed_decides_a_curriculums_order_too(taught: Store, llama: Any) -> None:
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        asked = run_config(llama, name, **EVERY_5, curriculum="under_learned", seed=seed)
        fine_tune(taught, asked, quiet, Never())
    fine_tune(taught, run_config(llama, "even", **EVERY_5), quiet, Never())
    hashes = [weights_hash(taught, name)[17] for name in ("one", "two", "three", "even")]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3
