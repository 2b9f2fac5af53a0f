"""A run traced beside another while it trains: what is there at each step, and at the end."""

import shutil
from pathlib import Path

import pytest

from engine.domain.decisions import DecisionSettings
from engine.domain.errors import Canceled
from engine.domain.jobs import Beside, Compare, Train
from engine.domain.runs import RunConfig
from engine.store import Store
from engine.workflows import run
from engine.workflows.live import LiveWatcher, compare_beside
from engine.workflows.live_queries import is_compared, live_keys, traced_like
from engine.workflows.queries import stored_comparison
from tests.attribution.parts import BACKWARD_HOOK, PROMPT, SMALL, Never, silent, workspace

pytestmark = pytest.mark.filterwarnings(BACKWARD_HOOK)
BESIDE = Beside(run="two", prompt=PROMPT)
STEPS = {0, 1, 2, 4}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[set[int]]]:
    """A workspace whose live run was stopped just before its comparison, beside runs `one` and `two` that were compared
    on the prompt; and the steps that could be seen after each checkpoint."""
    folder = tmp_path_factory.mktemp("live")
    store = Store(folder / "workspace", bundled=None)
    seen: list[set[int]] = []
    take_reading = LiveWatcher.take_reading

    def noted(self: LiveWatcher, checkpoint, previous):
        found = take_reading(self, checkpoint, previous)
        seen.append(set(live_keys(store, "live", BESIDE)))
        return found

    with pytest.MonkeyPatch.context() as patch:
        small_sets(patch)
        patch.setattr(LiveWatcher, "take_reading", noted)
        patch.setattr("engine.workflows.live.compare_beside", stopped)
        workspace(store, "llama", folder / "base")
        run(store, Compare(a="one@100%", b="two@100%", prompts=(PROMPT,)), silent, Never())
        with pytest.raises(Canceled):
            live_run(store)
    store.close()
    return store.workspace, seen


@pytest.fixture
def lived(trained: tuple[Path, list[set[int]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """That workspace, a copy for each test."""
    small_sets(monkeypatch)
    shutil.copytree(trained[0], tmp_path / "lived")
    return Store(tmp_path / "lived", bundled=None)


def small_sets(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("engine.workflows.transcoders.SHARED_TRAINING", SMALL)
    patch.setattr("engine.workflows.transcoders.REFRESH", {"n_steps": 10, "n_texts": 100})


def stopped(*_: object) -> None:
    raise Canceled


def live_run(store: Store, *, resume: bool = False) -> None:
    config = RunConfig(
        name="live", model=store.run("one").model, corpus="tiny", n_steps=4, capture=(0.25, 0.5, 1.0), batch_size=2,
        rank=2, watch=True, decisions=DecisionSettings(n_prompts=1, min_fit=0.0),
    )  # fmt: skip
    run(store, Train(config=config, resume=resume, beside=BESIDE), silent, Never())


def test_each_checkpoint_is_traced_as_it_comes_beside_the_other_run_of_that_time(
    lived: Store, trained: tuple[Path, list[set[int]]]
) -> None:
    assert trained[1] == [{0}, {0, 1}, {0, 1, 2}, STEPS]
    like = traced_like(lived, "live", BESIDE)
    assert like is not None
    for key_a, key_b in live_keys(lived, "live", BESIDE).values():
        assert key_a.targets == key_b.targets == like.targets
        assert key_a.transcoders == key_b.transcoders == like.transcoders


def test_stopped_before_the_comparison_it_goes_on_there(lived: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """At its end both runs are compared over all of training, to the same outputs; then nothing is traced again."""
    assert not is_compared(lived, "live", BESIDE)
    live_run(lived, resume=True)
    assert is_compared(lived, "live", BESIDE)
    found = stored_comparison(lived, "live@100%", "two@100%", PROMPT)
    assert found is not None
    assert found.graph_a.targets == found.graph_b.targets

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("traced again")

    monkeypatch.setattr("engine.attribution.trace.trace_prompt", refuse)
    compare_beside(lived, "live", BESIDE, silent, Never())


def test_well_explained_live_graphs_need_no_other_transcoders(lived: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.workflows.live.FIT_LIMIT", 0.0)
    compare_beside(lived, "live", BESIDE, silent, Never())
    found = stored_comparison(lived, "live@100%", "two@100%", PROMPT)
    like = traced_like(lived, "live", BESIDE)
    assert found is not None
    assert like is not None
    assert found.key.transcoders == like.transcoders
    assert not any("live@100%" in meta.checkpoints for meta in lived.transcoder_sets())


def test_badly_explained_ones_get_a_set_that_has_seen_them(lived: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.workflows.live.FIT_LIMIT", 2.0)
    compare_beside(lived, "live", BESIDE, silent, Never())
    found = stored_comparison(lived, "live@100%", "two@100%", PROMPT)
    assert found is not None
    assert "live@100%" in lived.transcoder_set(found.key.transcoders).checkpoints
    assert is_compared(lived, "live", BESIDE)


def test_without_an_earlier_comparison_nothing_is_shown_live(store: Store, tmp_path: Path) -> None:
    workspace(store, "llama", tmp_path / "base")
    assert traced_like(store, "one", BESIDE) is None
    assert live_keys(store, "one", BESIDE) == {}
    assert live_keys(store, "nowhere", BESIDE) == {}
