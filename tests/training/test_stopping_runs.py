"""Runs that a policy ends, and looks at circuits in the second thread."""

import json
import threading
from typing import Any

import pytest
import torch

from engine.analysis.curves import type_scores
from engine.decisions import replay
from engine.domain.corpus import Corpus
from engine.domain.decisions import Capture, DecisionSettings, RunDecisions
from engine.domain.errors import Canceled, InputError, NotFound
from engine.store import Store
from engine.training.fine_tune import fine_tune
from tests.tiny import tiny_corpus
from tests.training.conftest import After, Never, quiet, weights_hash
from tests.training.watchers import Failed, FakeWatcher

PATIENT = DecisionSettings(patience=2)
EVERY_2 = {"capture": (1.0,), "capture_every": 2, "decisions": PATIENT}
STILL = {"learning_rate": 0.0, "batch_size": 20}  # nothing moves: probes and the loss of all examples stay as they are
SATURATING = {**EVERY_2, "stopping": "circuit_saturation", "n_steps": 16}


def steps(store: Store, run: str = "run") -> list[int]:
    return [checkpoint.step for checkpoint in store.checkpoints(run)]


def captures(store: Store, run: str = "run") -> tuple[Capture, ...]:
    """As a page puts them together after training."""
    readings = {reading.step: reading for reading in store.decisions(run).readings}
    results = store.probe_results(run)
    return tuple(
        Capture(
            step=one.step,
            smoothed_loss=one.state.smoothed_loss,
            scores=type_scores(tiny_corpus().probes, results[one.step]),
            reading=readings.get(one.step),
        )
        for one in store.checkpoints(run)
    )


def looking_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("looks")]


# The base and two captures without a change are a window of patience 2; the base has no loss.
@pytest.mark.parametrize(("policy", "end"), [("probe_plateau", 4), ("loss_plateau", 6)])
def test_a_policy_ends_the_run(taught: Store, config: Any, policy: str, end: int) -> None:
    told: list[tuple[float, str]] = []
    asked = config(**EVERY_2, **STILL, stopping=policy)
    fine_tune(taught, asked, lambda *said: told.append(said), Never())
    decided = taught.decisions("run")
    assert decided.stopped_at == end
    assert steps(taught) == [one.step for one in decided.decisions] == list(range(0, end + 1, 2))
    assert [one.verdict.stop for one in decided.decisions] == [False] * (end // 2) + [True]
    assert len(taught.losses("run").loss) == end
    assert taught.runs()[0].finished
    assert not taught.resume_folder("run").exists()
    assert told[-1] == (1.0, f"stopped at step {end} of 14: {decided.decisions[-1].verdict.reason}")
    assert replay(captures(taught), PATIENT)[policy].step == end
    fine_tune(taught, asked, lambda *said: told.append(said), Never(), resume=True)
    assert told[-1] == (1.0, "the run was finished already")


def test_until_then_it_is_the_run_that_was_not_ended(taught: Store, config: Any) -> None:
    # The tiny model's probes hardly move at this rate: 4 of a type and kind have wide intervals.
    fine_tune(taught, config("whole", **EVERY_2), quiet, Never())
    fine_tune(taught, config("ended", **EVERY_2, stopping="probe_plateau"), quiet, Never())
    ended, whole = weights_hash(taught, "ended"), weights_hash(taught, "whole")
    assert taught.decisions("ended").stopped_at == max(ended) < max(whole)
    assert ended.items() <= whole.items()
    assert taught.decisions("whole") == RunDecisions()


def test_a_stop_at_the_last_step_is_no_stop(taught: Store, config: Any) -> None:
    fine_tune(taught, config(**EVERY_2, **STILL, stopping="probe_plateau", n_steps=4), quiet, Never())
    decided = taught.decisions("run")
    assert decided.decisions[-1].verdict.stop
    assert decided.stopped_at is None
    assert taught.runs()[0].finished


def test_circuits_at_rest_end_the_run_a_capture_later(taught: Store, config: Any) -> None:
    # At rest from step 4: quiet at 4 and 6, which is known at 8.
    watcher = FakeWatcher(quiet_from=4)
    fine_tune(taught, config(**SATURATING, **STILL), quiet, Never(), watcher=watcher)
    decided = taught.decisions("run")
    assert decided.stopped_at == 8
    assert watcher.asked == [(0, None), (2, 0), (4, 2), (6, 4), (8, 6)]
    assert [reading.step for reading in decided.readings] == [0, 2, 4, 6, 8]
    assert decided.look_s == 5 * 0.5
    assert "step 6" in decided.decisions[-1].verdict.reason
    assert replay(captures(taught), PATIENT)["circuit_saturation"].step == 8


def test_watching_changes_no_bit_and_leaves_no_thread(taught: Store, config: Any) -> None:
    watcher = FakeWatcher()
    fine_tune(taught, config("plain", **EVERY_2), quiet, Never())
    fine_tune(taught, config("watched", **EVERY_2, watch=True), quiet, Never(), watcher=watcher)
    assert weights_hash(taught, "plain") == weights_hash(taught, "watched")
    assert taught.losses("plain") == taught.losses("watched")
    assert [reading.step for reading in taught.decisions("watched").readings] == steps(taught, "watched")
    assert len(watcher.threads) == 1
    assert watcher.threads != {threading.get_ident()}
    assert watcher.n_torch_threads == {torch.get_num_threads()}
    assert looking_threads() == []


def test_a_watcher_that_nobody_needs_is_not_asked(taught: Store, config: Any) -> None:
    watcher = FakeWatcher()
    fine_tune(taught, config(**EVERY_2, stopping="loss_plateau"), quiet, Never(), watcher=watcher)
    assert watcher.asked == []
    assert looking_threads() == []


class Reached:
    """Looks that are over before the next step, or never before training waits for them."""

    def __init__(self, watcher: FakeWatcher, *, late: bool) -> None:
        self.watcher, self.late = watcher, late
        self.n_waits = 0
        self._waiting = threading.Semaphore(0)
        self._done: dict[int, threading.Event] = {}
        self.told: list[tuple[float, str]] = []
        watcher.before = self._before
        real = watcher.take_reading

        def reading(*checkpoints: Any) -> Any:
            found = real(*checkpoints)
            self._event(found.step).set()
            return found

        watcher.take_reading = reading  # type: ignore[method-assign]

    def _event(self, step: int) -> threading.Event:
        return self._done.setdefault(step, threading.Event())

    def _before(self, _step: int) -> None:
        if self.late:
            assert self._waiting.acquire(timeout=60)

    def __call__(self, fraction: float, message: str) -> None:
        self.told.append((fraction, message))
        if "waiting for the circuits" in message:
            self.n_waits += 1
            self._waiting.release()
        elif message.startswith("step ") and not self.late:
            step = int(message.split()[1])
            assert self._event(step - step % 2).wait(60)


def test_however_slow_looks_are_the_decisions_are_the_same(taught: Store, config: Any) -> None:
    runs = {}
    for name, late in (("late", True), ("prompt", False)):
        watcher = FakeWatcher(quiet_from=4)
        report = Reached(watcher, late=late)
        fine_tune(taught, config(name, **SATURATING, curriculum="circuit_change"), report, Never(), watcher=watcher)
        runs[name] = taught.decisions(name)
        fractions = [fraction for fraction, _ in report.told]
        assert fractions == sorted(fractions)
        if late:
            assert report.n_waits == len(runs[name].readings)
            assert runs[name].waited_s > 0
            assert any(message.endswith(", waiting for the circuits of step 2") for _, message in report.told)
    assert runs["late"].model_copy(update={"waited_s": 0.0}) == runs["prompt"].model_copy(update={"waited_s": 0.0})
    assert weights_hash(taught, "late") == weights_hash(taught, "prompt")


def test_without_a_watcher_what_needs_one_is_refused(taught: Store, config: Any) -> None:
    for changes in ({"stopping": "circuit_saturation"}, {"curriculum": "circuit_change"}, {"watch": True}):
        with pytest.raises(InputError, match="nothing that traces them was given"):
            fine_tune(taught, config(**changes), quiet, Never())
    for changes in ({"stopping": "magic"}, {"curriculum": "magic"}):
        with pytest.raises(NotFound, match="“magic”"):
            fine_tune(taught, config(**changes), quiet, Never())
    assert taught.runs() == []


def test_a_look_that_a_policy_needs_fails_the_run_which_can_go_on(taught: Store, config: Any) -> None:
    asked = config(**SATURATING)
    watcher = FakeWatcher(quiet_from=4)
    watcher.errors[4] = Failed("no transcoders")
    with pytest.raises(Failed, match="no transcoders"):
        fine_tune(taught, asked, quiet, Never(), watcher=watcher)
    assert steps(taught) == [0, 2, 4, 6]  # what was trained is kept
    assert not taught.runs()[0].finished
    assert looking_threads() == []
    again = FakeWatcher(quiet_from=4)
    fine_tune(taught, asked, quiet, Never(), resume=True, watcher=again)
    assert again.asked == [(4, 2), (6, 4), (8, 6)]
    assert taught.decisions("run").stopped_at == 8


@pytest.mark.parametrize("step", [0, 4, 8])
def test_a_look_that_nothing_needs_is_missed_and_told(taught: Store, config: Any, step: int) -> None:
    watcher = FakeWatcher()
    watcher.errors[step] = Failed("the prompt is too long.")
    fine_tune(taught, config(**EVERY_2, watch=True, n_steps=8), quiet, Never(), watcher=watcher)
    decided = taught.decisions("run")
    assert [reading.step for reading in decided.readings] == [one for one in (0, 2, 4, 6, 8) if one != step]
    said = f"Trains to the last step. The circuits of step {step} could not be traced: the prompt is too long."
    assert {one.step: one.verdict.reason for one in decided.decisions if "traced" in one.verdict.reason} == {
        min(step + 2, 8): said
    }
    assert taught.runs()[0].finished


def test_an_unexpected_error_is_never_swallowed(taught: Store, config: Any) -> None:
    watcher = FakeWatcher()
    watcher.errors[2] = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        fine_tune(taught, config(**EVERY_2, watch=True), quiet, Never(), watcher=watcher)
    assert looking_threads() == []


def test_canceled_while_it_looks(taught: Store, config: Any) -> None:
    """The watcher's own token ends the look; training, canceled meanwhile, waits for that and leaves no thread."""
    watcher, begun, stop = FakeWatcher(), threading.Event(), threading.Event()

    def under_way(step: int) -> None:
        if step == 4:
            begun.set()
            assert stop.wait(60)
            raise Canceled

    class Token:
        def check(self) -> None:
            if begun.is_set():
                stop.set()
                raise Canceled

    watcher.before = under_way
    with pytest.raises(Canceled):
        fine_tune(taught, config(**EVERY_2, watch=True), quiet, Token(), watcher=watcher)
    assert looking_threads() == []
    assert [reading.step for reading in taught.decisions("run").readings] == [0, 2]
    fine_tune(taught, config(**EVERY_2, watch=True), quiet, Never(), resume=True, watcher=FakeWatcher())
    assert [reading.step for reading in taught.decisions("run").readings] == steps(taught)


def test_a_corpus_without_probes_trains_to_the_end(store: Store, config: Any) -> None:
    whole = tiny_corpus()
    store.save_corpus(Corpus("tiny", whole.examples, ()))
    fine_tune(store, config(**EVERY_2, stopping="probe_plateau", curriculum="under_learned"), quiet, Never())
    decided = store.decisions("run")
    assert decided.stopped_at is None
    assert {one.verdict.reason for one in decided.decisions} == {"There are no scores of paraphrase probes to follow."}
    assert {json.dumps(one.weights) for one in decided.decisions} == {"{}"}


def test_a_run_of_before_there_were_policies_is_read_and_gone_on_with(taught: Store, config: Any) -> None:
    with pytest.raises(Canceled):
        fine_tune(taught, config(), quiet, After(6))
    path = taught.run_folder("run") / "run.json"
    old = json.loads(path.read_text(encoding="utf-8"))
    for field in ("stopping", "curriculum", "decisions", "watch"):
        del old[field]
    path.write_text(json.dumps(old), encoding="utf-8")
    again = Store(taught.workspace, bundled=None)
    again.rebuild()
    assert again.run("run").stopping == "none"
    with pytest.raises(InputError, match=r"decisions\.patience was 3 and is 4\."):
        fine_tune(again, config(decisions=DecisionSettings(patience=4)), quiet, Never(), resume=True)
    fine_tune(again, config(), quiet, Never(), resume=True)
    fine_tune(again, config("whole"), quiet, Never())
    assert weights_hash(again, "run") == weights_hash(again, "whole")
