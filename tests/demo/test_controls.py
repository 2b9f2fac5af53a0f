"""Controls on the bundled model: where nothing can be learned nothing is found, neither by probes nor in circuits."""

from pathlib import Path

import numpy as np
import pytest

from engine.analysis.curves import wilson
from engine.corpus import make_corpus
from engine.domain.corpus import SIMPLE, SPATIAL, CorpusSpec
from engine.domain.decisions import DecisionSettings
from engine.domain.jobs import Train
from engine.domain.measures import MEASURES
from engine.domain.runs import RunConfig
from engine.store import Store
from engine.workflows.changes import captures_of
from engine.workflows.training import train
from tests.training.conftest import Never, quiet

CHANCE = 1 / 5  # five meanings of a type


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "workspace")


def test_shuffled_meanings_stay_at_chance_on_paraphrase(store: Store) -> None:
    """Every sentence pairs words and meanings anew: that a meaning follows is learned, which one cannot be.

    A corpus has ten words, and by luck one may meet its own meaning more often than others. So the right answers of
    six corpora are taken together, and the interval is that of their 60 words: probes of one word are no news.
    """
    right = []
    for seed in range(6):
        spec = CorpusSpec(name=f"shuffled-{seed}", seed=seed, shuffled_meanings=True, n_probes=10)
        store.save_corpus(make_corpus(spec), spec)
        config = RunConfig(name=spec.name, corpus=spec.name, method="tokens", n_steps=60, capture=(1.0,))
        train(store, Train(config=config), quiet, Never())
        scores = [s for s in captures_of(store, spec.name)[-1].scores if s.probe_kind == "paraphrase"]
        assert {score.constraint_type for score in scores} == {SIMPLE, SPATIAL}
        right.append(sum(s.n_correct for s in scores) / sum(s.n for s in scores))
    n_words = 10 * len(right)
    low, high = wilson(np.array([np.mean(right) * n_words]), np.array([n_words]))
    assert low[0] <= CHANCE <= high[0]


def test_with_learning_rate_0_no_circuit_changes(store: Store) -> None:
    """The same weights give the same graphs: no change in any measure, so none above the noise, which is there."""
    config = RunConfig(
        name="still", corpus="demo", learning_rate=0, n_steps=4, capture=(0.5, 1.0), watch=True,
        stopping="circuit_saturation", decisions=DecisionSettings(patience=1),
    )  # fmt: skip
    train(store, Train(config=config), quiet, Never())
    readings = store.decisions("still").readings
    assert [reading.step for reading in readings] == [0, 2, 4]
    for reading in readings[1:]:
        assert {one.constraint_type for one in reading.types} == {SIMPLE, SPATIAL}
        for one in reading.types:
            assert set(one.change) == set(MEASURES)
            assert all(change.value == 0 and change.said == "within" for change in one.change.values())
            assert all(floor.edge > 0 for floor in one.floor.values())
    decisions = store.decisions("still")
    assert decisions.stopped_at is None
    assert "has not changed by more than the noise floor yet" in decisions.decisions[-1].verdict.reason
