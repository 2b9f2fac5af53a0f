"""Where training acts, stored at each capture of a watched run: beside its readings, the same bits again."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from engine.domain.decisions import CircuitReading
from engine.domain.errors import Canceled, ModelUnavailable
from engine.store import Store
from engine.workflows.following import FollowingWatcher
from engine.workflows.learned import learned
from tests.attribution.parts import Never, workspace
from tests.training.conftest import After
from tests.training.watchers import FakeWatcher


@pytest.fixture
def here(store: Store, tmp_path: Path) -> Store:
    """With the run `one`, which has checkpoints 0, 1, 2 and 4."""
    workspace(store, "llama", tmp_path / "base")
    return store


def follow(store: Store, cancel: Any = None) -> list[CircuitReading]:
    """A look at every checkpoint of `one`, as while it trains."""
    watcher = FollowingWatcher(store, store.run("one"), FakeWatcher(quiet_from=2), cancel or Never())
    base, *others = store.checkpoints("one")
    return [
        watcher.take_reading(base, None),
        *(watcher.take_reading(after, before) for before, after in pairwise([base, *others])),
    ]


def files(store: Store) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (store.workspace / "acted").glob("*.safetensors")}


def test_what_is_seen_stays_and_every_stretch_is_stored(here: Store) -> None:
    readings = follow(here)
    checkpoints = here.checkpoints("one")
    alone = FakeWatcher(quiet_from=2)
    for reading, after, before in zip(readings, checkpoints, [None, *checkpoints], strict=False):
        seen = alone.take_reading(after, before)
        assert reading.model_copy(update={"trace_s": seen.trace_s}) == seen
        assert reading.trace_s > seen.trace_s or before is None  # its time counts
    found = learned(here, "one", "paraphrase", 4)
    assert (found.steps, found.missing) == ((0, 1, 2, 4), ())
    assert {name: mean.n_probes for name, mean in found.means.items()} == {
        "simple_mapping": (2, 2), "spatial_relationship": (2, 2),
    }  # fmt: skip


def test_a_run_that_was_stopped_measures_what_is_missing_to_the_same_bits(here: Store) -> None:
    follow(here)
    whole = files(here)
    for name in list(whole)[::2]:
        (here.workspace / "acted" / name).unlink()
    here.sync()
    with pytest.raises(Canceled):
        follow(here, After(3))
    follow(here)
    assert files(here) == whole


def test_what_cannot_be_measured_does_not_end_the_training(here: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ModelUnavailable("tiny", "it cannot be followed")

    monkeypatch.setattr("engine.workflows.following.where_probes", refuse)
    assert [reading.step for reading in follow(here)] == [0, 1, 2, 4]
    assert files(here) == {}
