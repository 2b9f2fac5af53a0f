"""A run followed from checkpoint to checkpoint: measured once, kept by stretch, and read as one course."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

from engine.analysis.watched import watched_probes
from engine.attribution.acted import stretch
from engine.domain.errors import Canceled, InputError
from engine.domain.explained import ExplainedLogits
from engine.domain.jobs import AskedPrompt, WhereProbes, quiet
from engine.domain.runs import NO_CORPUS
from engine.store import Store
from engine.workflows import run
from engine.workflows.learned import MOST_STOPS, asked_of, learned, learning_of, stops, what_lacks
from engine.workflows.prompt_groups import group_acted, probe_group
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


def test_what_was_followed_is_not_measured_again_from_end_to_end(here: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean Map of Compare asks for it. Each stretch is as exact as asked, and mostly the same to the bit."""
    a, b = "one@base", "one@100%"
    probes = watched_probes(here.corpus(here.run("one").corpus), "paraphrase", 2)
    at_once = WhereProbes(a=a, b=b, asked=asked_of(probes))
    where_probes(here, at_once, quiet, Never())
    measured, missing = group_acted(here, a, b, probes)
    assert missing == []
    for _, acted in measured:
        (here.workspace / "acted" / f"{acted.key.hash}.safetensors").unlink()
    here.sync()
    assert group_acted(here, a, b, probes) == ([], list(probes))
    follow(here, "one")
    times = here.acted_times("one")
    found, missing = group_acted(here, a, b, probes)
    assert missing == []
    same_points: list[bool] = []
    for (probe, acted), (same, other) in zip(found, measured, strict=True):
        assert (probe, acted.key, acted.answer) == (same, other.key, other.answer)
        for one, whole in zip(acted.stretches, other.stretches, strict=True):
            assert (one.before, one.after) == (whole.before, whole.after)
            assert one.n_points >= whole.n_points
            same_points.append(one.n_points == whole.n_points)
            assert np.array_equal(one.by_matrix, whole.by_matrix) == same_points[-1]
            assert one.by_matrix == pytest.approx(whole.by_matrix, abs=0.01 * abs(acted.change))
    assert sum(same_points) >= len(same_points) / 2
    where_probes(here, at_once, quiet, Never())
    assert here.acted_times("one") == times

    lost = found[0][1].key.stretches[1]
    (here.workspace / "acted" / f"{lost.hash}.safetensors").write_bytes(b"")
    assert group_acted(here, a, b, probes)[1] == [probes[0]]
    measure = Mock(wraps=stretch)
    monkeypatch.setattr("engine.attribution.acted.stretch", measure)
    where_probes(here, at_once, quiet, Never())
    assert measure.call_count == 1  # the other stretches of this probe are there
    again = group_acted(here, a, b, probes)[0][0][1]
    assert again.effects is not None
    assert np.array_equal(again.stretches[2].by_matrix, found[0][1].stretches[2].by_matrix)


def test_stretches_of_other_outputs_or_of_another_state_are_no_course(here: Store) -> None:
    a, b = "one@base", "one@100%"
    probes = watched_probes(here.corpus(here.run("one").corpus), "paraphrase", 1)[:1]
    where_probes(here, learning_of(here.checkpoints("one"), probes), quiet, Never())
    ((_, found),), _ = group_acted(here, a, b, probes)
    middle = here.acted(found.key.stretches[1])
    assert middle is not None
    for changes in ({"explained": ExplainedLogits(answers=(3,))}, {"hashes": (found.key.hashes[1], "of another run")}):
        here.save_acted(replace(middle, key=middle.key.model_copy(update=changes)))
        (here.workspace / "acted" / f"{middle.key.hash}.safetensors").unlink(missing_ok=True)
        here.sync()
        assert group_acted(here, a, b, probes) == ([], list(probes))


def test_what_was_measured_from_end_to_end_over_all_checkpoints_is_not_measured_again(here: Store) -> None:
    probes = watched_probes(here.corpus(here.run("one").corpus), "paraphrase", 2)
    where_probes(here, WhereProbes(a="one@base", b="one@100%", asked=asked_of(probes)), quiet, Never())
    found = learned(here, "one", "paraphrase", 2)
    assert (len(found.means), found.steps, found.missing, found.is_followed) == (2, (0, 1, 2, 4), (), True)
    checkpoints, whole = here.checkpoints("one"), group_acted(here, "one@base", "one@100%", probes)[0]
    n_found = 0
    for number, (a, b) in enumerate(pairwise(checkpoints)):
        stretches, missing = group_acted(here, a.ref, b.ref, probes)
        where_probes(here, WhereProbes(a=a.ref, b=b.ref, asked=asked_of(probes)), quiet, Never())
        alone = dict(group_acted(here, a.ref, b.ref, probes)[0])
        for probe, one in stretches:  # as when it is measured by itself, to the bit
            assert (one.key, one.effects) == (alone[probe].key, None)
            assert np.array_equal(one.stretches[0].by_matrix, alone[probe].stretches[0].by_matrix)
        for probe in missing:  # those that may be more exact by themselves
            once = dict(whole)[probe].stretches[number]
            assert alone[probe].stretches[0].n_points >= once.n_points > 4
        n_found += len(stretches)
    assert 0 < n_found < 3 * len(probes)


def test_what_was_measured_from_end_to_end_over_a_few_checkpoints_is_shown_until_there_is_more(
    here: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.workflows.courses.MOST_STRETCHES", 2)
    probes = watched_probes(here.corpus(here.run("one").corpus), "paraphrase", 2)
    where_probes(here, WhereProbes(a="one@base", b="one@100%", asked=asked_of(probes)), quiet, Never())
    found = learned(here, "one", "paraphrase", 2)
    assert (len(found.means), found.steps, len(found.missing)) == (2, (0, 2, 4), 4)
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
