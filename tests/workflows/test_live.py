"""A run traced beside another while it trains: what is there at each step, and at the end."""

from pathlib import Path

import pytest

from engine.domain.decisions import DecisionSettings
from engine.domain.errors import Cancelled
from engine.domain.jobs import Beside, Compare, Train
from engine.domain.runs import RunConfig
from engine.models.base import LoadedModel
from engine.store import Store
from engine.workflows import run
from engine.workflows.live import LiveWatcher, compare_beside
from engine.workflows.live_queries import is_compared, live_keys, traced_like
from engine.workflows.queries import stored_comparison
from tests.attribution.parts import BACKWARD_HOOK, PROMPT, SMALL, Never, silent, workspace

pytestmark = pytest.mark.filterwarnings(BACKWARD_HOOK)
BESIDE = Beside(run="two", prompt=PROMPT)
STEPS = {0, 1, 2, 4}


@pytest.fixture
def loaded(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoadedModel:
    """Runs `one` and `two`, compared on the prompt."""
    monkeypatch.setattr("engine.workflows.transcoders.SHARED_TRAINING", SMALL)
    monkeypatch.setattr("engine.workflows.transcoders.REFRESH", {"n_steps": 10, "n_texts": 100})
    made = workspace(store, "llama", tmp_path / "base")
    run(store, Compare(a="one@100%", b="two@100%", prompts=(PROMPT,)), silent, Never())
    return made


def live_run(store: Store, *, resume: bool = False, cancel: object = None) -> None:
    config = RunConfig(
        name="live", model=store.run("one").model, corpus="tiny", n_steps=4, capture=(0.25, 0.5, 1.0), batch_size=2,
        rank=2, watch=True, decisions=DecisionSettings(n_prompts=1, min_fit=0.0),
    )  # fmt: skip
    run(store, Train(config=config, resume=resume, beside=BESIDE), silent, cancel or Never())


def test_each_checkpoint_is_traced_as_it_comes_beside_the_other_run_of_that_time(
    store: Store, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[int]] = []
    reading = LiveWatcher.reading

    def noted(self: LiveWatcher, checkpoint, previous):
        found = reading(self, checkpoint, previous)
        seen.append(set(live_keys(store, "live", BESIDE)))
        return found

    monkeypatch.setattr(LiveWatcher, "look", noted)
    live_run(store)
    assert seen == [{0}, {0, 1}, {0, 1, 2}, STEPS]
    like = traced_like(store, "live", BESIDE)
    assert like is not None
    for key_a, key_b in live_keys(store, "live", BESIDE).values():
        assert key_a.targets == key_b.targets == like.targets
        assert key_a.transcoders == key_b.transcoders == like.transcoders


def test_at_the_end_both_runs_are_compared_over_all_of_training(store: Store, loaded: LoadedModel) -> None:
    assert not is_compared(store, "live", BESIDE)
    live_run(store)
    assert is_compared(store, "live", BESIDE)
    found = stored_comparison(store, "live@100%", "two@100%", PROMPT)
    assert found is not None
    assert found.graph_a.targets == found.graph_b.targets


def test_well_explained_live_graphs_need_no_other_transcoders(
    store: Store, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.workflows.live.FIT_LIMIT", 0.0)
    live_run(store)
    found = stored_comparison(store, "live@100%", "two@100%", PROMPT)
    like = traced_like(store, "live", BESIDE)
    assert found is not None
    assert like is not None
    assert found.key.transcoders == like.transcoders
    assert not any("live@100%" in meta.checkpoints for meta in store.transcoder_sets())


def test_badly_explained_ones_get_a_set_that_has_seen_them(
    store: Store, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.workflows.live.FIT_LIMIT", 2.0)
    live_run(store)
    found = stored_comparison(store, "live@100%", "two@100%", PROMPT)
    assert found is not None
    assert "live@100%" in store.transcoder_set(found.key.transcoders).checkpoints
    assert is_compared(store, "live", BESIDE)


def test_stopped_before_the_comparison_it_goes_on_there(
    store: Store, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise Cancelled

    with monkeypatch.context() as patch:
        patch.setattr("engine.workflows.live.compare_beside", stopped)
        with pytest.raises(Cancelled):
            live_run(store)
    assert not is_compared(store, "live", BESIDE)
    live_run(store, resume=True)
    assert is_compared(store, "live", BESIDE)


def test_compared_again_nothing_is_traced(store: Store, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    live_run(store)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("traced again")

    monkeypatch.setattr("engine.attribution.trace.trace_graph", refuse)
    compare_beside(store, "live", BESIDE, silent, Never())


def test_without_an_earlier_comparison_nothing_is_shown_live(store: Store, tmp_path: Path) -> None:
    workspace(store, "llama", tmp_path / "base")
    assert traced_like(store, "one", BESIDE) is None
    assert live_keys(store, "one", BESIDE) == {}
    assert live_keys(store, "nowhere", BESIDE) == {}
