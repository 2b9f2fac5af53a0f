"""A run followed from checkpoint to checkpoint: measured once, kept by stretch, and read as one course."""

import json
from pathlib import Path

import numpy as np
import pytest

from engine.analysis.watched import watched_probes
from engine.domain.errors import Canceled, InputError
from engine.domain.jobs import AskedPrompt, WhereProbes, quiet
from engine.domain.runs import NO_CORPUS
from engine.store import Store
from engine.workflows import run
from engine.workflows.learned import MOST_STOPS, learned, learning_of, stops, what_lacks
from engine.workflows.prompt_groups import probe_group
from engine.workflows.where import where_probes
from tests.attribution.parts import Never, workspace


@pytest.fixture
def here(store: Store, tmp_path: Path) -> Store:
    """With the runs `one` and `two`, which have checkpoints 0, 1, 2 and 4."""
    workspace(store, "llama", tmp_path / "base")
    return store


def follow(store: Store, name: str, n: int = 2) -> None:
    found = learned(store, name, "paraphrase", n)
    run(store, learning_of(store.checkpoints(name), found.missing), quiet, Never())


def test_a_run_is_followed_over_all_of_its_checkpoints(here: Store) -> None:
    before = learned(here, "one", "paraphrase", 2)
    assert (before.means, before.steps, len(before.missing), before.n_probes) == ({}, (), 4, 4)
    follow(here, "one")
    found = learned(here, "one", "paraphrase", 2)
    assert (found.steps, found.missing) == ((0, 1, 2, 4), ())
    assert list(found.means) == ["simple_mapping", "spatial_relationship"]
    mean = found.means["simple_mapping"]
    assert mean.checkpoints == tuple(one.ref for one in here.checkpoints("one"))
    assert mean.step_changes.shape == (1, 3)
    assert mean.sum == pytest.approx(mean.change, abs=0.01 * np.abs(mean.step_changes).sum() + 0.01)
    assert {len(key.checkpoints) for key in here.acted_keys()} == {2}  # each stretch by itself
    assert len(learned(here, "one", "paraphrase").missing) == learned(here, "one", "paraphrase").n_probes - 4
    times = here.acted_times("one")
    assert len(times) == len(here.acted_keys()) == 3 * 4
    assert here.acted_times("two") == ()
    follow(here, "one")  # nothing is missing, so nothing is measured
    assert here.acted_times("one") == times


def test_what_lacks_is_told_with_the_way_out(here: Store) -> None:
    assert what_lacks(here, "one", "paraphrase") == ""
    described = here.run_folder("two") / "run.json"
    config = json.loads(described.read_text(encoding="utf-8"))
    for changed, told in [
        ({"corpus": "gone"}, "The corpus “gone” of the run"),
        (
            {"corpus": NO_CORPUS, "imported": True},
            "imported without a corpus, whose probes are needed. Measure those of one first",
        ),
    ]:
        described.write_text(json.dumps(config | changed), encoding="utf-8")
        assert told in what_lacks(here, "two", "paraphrase")
        with pytest.raises(InputError, match=told):
            probe_group(here, "two@base", "two@base", "simple_mapping", "paraphrase")
    for checkpoint in here.checkpoints("two")[1:]:
        (checkpoint.folder / "state.json").unlink()
    here.sync()
    assert what_lacks(here, "two", "paraphrase").startswith("The base is the only checkpoint")


class OnceKept:
    """Canceled as soon as so many are stored."""

    def __init__(self, store: Store, n: int) -> None:
        self._store, self._n = store, n

    def check(self) -> None:
        if len(self._store.acted_times("one")) >= self._n:
            raise Canceled


def test_what_was_canceled_goes_on_where_it_was_left(here: Store) -> None:
    probes = watched_probes(here.corpus(here.run("one").corpus), "paraphrase", 2)
    request = learning_of(here.checkpoints("one"), probes)
    with pytest.raises(Canceled):
        where_probes(here, request, quiet, OnceKept(here, 3))
    kept = here.acted_times("one")
    assert len(kept) == 3
    where_probes(here, request, quiet, Never())
    assert set(kept) < set(here.acted_times("one"))
    assert learned(here, "one", "paraphrase", 2).missing == ()


def test_what_was_measured_from_end_to_end_is_shown_until_there_is_more(here: Store) -> None:
    probes = watched_probes(here.corpus(here.run("one").corpus), "paraphrase", 2)
    asked = tuple(AskedPrompt(prompt=probe.text, answer=probe.answer) for probe in probes)
    where_probes(here, WhereProbes(a="one@base", b="one@100%", asked=asked), quiet, Never())
    found = learned(here, "one", "paraphrase", 2)
    assert (len(found.means), found.steps, len(found.missing)) == (2, (0, 1, 2, 4), 4)
    follow(here, "one", 1)
    assert [len(mean.n_probes) for mean in learned(here, "one", "paraphrase", 1).means.values()] == [1, 1]


def test_stretches_of_a_run_that_was_made_again_in_between_are_no_course(here: Store) -> None:
    follow(here, "one", 1)
    (key,) = [key for key in here.acted_keys() if key.checkpoints[0] == "one@base"][:1]
    acted = here.acted(key)
    assert acted is not None
    for stale in [key for key in here.acted_keys() if key.checkpoints[0] == "one@base"]:
        (here.workspace / "acted" / f"{stale.hash}.safetensors").unlink()
    here.sync()
    changed = key.model_copy(update={"hashes": (key.hashes[0], "of another run")})
    here.save_acted(
        type(acted)(changed, acted.tokens, acted.words, acted.is_said, acted.n_layers, None, acted.stretches)
    )
    assert learned(here, "one", "paraphrase", 1).means == {}


def test_a_watched_run_of_very_many_captures_is_read_over_all_of_them(
    here: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    follow(here, "one")
    monkeypatch.setattr("engine.workflows.learned.MOST_STOPS", 2)
    assert [one.step for one in stops(here.checkpoints("one"))] == [0, 4]
    found = learned(here, "one", "paraphrase", 2)
    assert (found.steps, found.missing) == ((0, 1, 2, 4), ())


def test_there_must_be_something_between(here: Store) -> None:
    asked = (AskedPrompt(prompt="the cat", answer="sat"),)
    for a, b, message in (("one@base", "two@100%", "of two runs"), ("one@100%", "one@base", "does not come after")):
        with pytest.raises(InputError, match=message):
            where_probes(here, WhereProbes(a=a, b=b, asked=asked, each=True), quiet, Never())


def test_of_very_many_checkpoints_some_are_passed_over(demo_store: Store) -> None:
    checkpoints = demo_store.checkpoints("demo-lora")
    assert stops(checkpoints) == tuple(checkpoints)
    many = list(checkpoints) * 3
    chosen = stops(many)
    assert len(chosen) == MOST_STOPS
    assert (chosen[0], chosen[-1]) == (many[0], many[-1])
