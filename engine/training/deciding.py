"""What is decided at the captures of a run: when to stop, and what to train on.

Everything decided follows from the checkpoints and their looks, by policies that are pure functions. So nothing of it
belongs to the resume state: a run that goes on takes its looks from `decisions.json`, makes those that are missing
again from the checkpoints, and decides once more what it had decided.

A look is asked for at a capture and waited for at the next one. At a capture a policy therefore sees the looks of all
captures before and never its own, however fast or slow they are: the same run always takes the same decisions.

A look that fails fails the run where a policy needs circuits: it can be resumed, and tries again. Where circuits are
only watched, the run goes on and the next decision's reason says what was missed.
"""

import logging
import time
from collections.abc import Sequence

from engine.analysis.curves import type_scores
from engine.decisions import curriculum_named, needs_circuits, policies_need_circuits, stopping_named
from engine.decisions.replay import in_sight
from engine.domain.corpus import Probe
from engine.domain.decisions import Capture, CircuitReading, Decision, RunDecisions, TypeScore, Verdict
from engine.domain.errors import Damaged, TracelapseError
from engine.domain.jobs import Report
from engine.domain.runs import Checkpoint, RunConfig
from engine.store import Store
from engine.store.run_files import read_probes
from engine.training.sampling import AHEAD
from engine.training.watching import ReadingQueue

_log = logging.getLogger(__name__)


def decides(config: RunConfig) -> bool:
    """Whether anything is decided or watched; a run of which this is not true keeps no decisions."""
    return config.stopping != "none" or config.curriculum != "uniform" or needs_circuits(config)


class Decider:
    """One run's policies and what they have seen. Used by the training thread alone."""

    def __init__(
        self, store: Store, config: RunConfig, probes: Sequence[Probe], report: Report, readings: ReadingQueue | None
    ) -> None:
        self._store, self._config, self._probes = store, config, probes
        self._report, self._readings = report, readings
        self._stop, self._weigh = stopping_named(config.stopping), curriculum_named(config.curriculum)
        self._steps = (0, *config.capture_steps())
        self._captures: list[Capture] = []  # without their looks
        self._seen: dict[int, CircuitReading] = {}  # by step
        self._decisions: list[Decision] = []
        self._stopped_at: int | None = None
        self._waited_s = 0.0
        self._before: Checkpoint | None = None  # the newest capture
        self._asked_for: int | None = None  # whose look is under way
        self._where = (0, "")  # step and words for the progress

    @property
    def stopped_at(self) -> int | None:
        return self._stopped_at

    @property
    def reason(self) -> str:
        """Of the newest decision."""
        return self._decisions[-1].verdict.reason if self._decisions else ""

    def take_over(self, step: int) -> bool:
        """Decide at all captures up to `step`, the base first; whether the run ends at that step.

        Looks that are known already are taken as they are. Later ones are dropped: their captures are made again.
        Raises what a look raises that is needed.
        """
        self._where = (step, f"step {step} of {self._config.n_steps}")
        known = self._known()
        self._seen = {reading.step: reading for reading in known.readings if reading.step <= step}
        self._waited_s = known.waited_s
        for checkpoint in self._store.checkpoints(self._config.name):
            if checkpoint.step <= step:
                self._decide(checkpoint)
        return self._stopped_at == step

    def capture(self, step: int, message: str) -> bool:
        """Decide at the checkpoint that was just kept; whether the run ends there. `message` says how far it is.

        Raises what a look raises that is needed.
        """
        self._where = (step, message)
        self._decide(self._store.checkpoint(f"{self._config.name}@step{step}"))
        return self._stopped_at == step

    def weights_at(self, step: int) -> dict[str, float]:
        """The weights in force for the batch of `step`."""
        n_due = sum(capture + AHEAD <= step for capture in self._steps)
        assert n_due <= len(self._decisions), f"the batch of step {step} is drawn before what weighs it is decided"
        return self._decisions[n_due - 1].weights if n_due else {}

    def finish(self) -> None:
        """Wait for the look of the last capture. Raises what it raises where it is needed."""
        if missed := self._collect():
            last = self._decisions[-1]
            self._decisions[-1] = last.model_copy(update={"verdict": _with_note(last.verdict, missed)})
        self._save()

    def _decide(self, checkpoint: Checkpoint) -> None:
        missed = self._collect()
        loss, settings = checkpoint.state.smoothed_loss, self._config.decisions
        self._captures.append(Capture(step=checkpoint.step, smoothed_loss=loss, scores=self._scores(checkpoint)))
        captures = in_sight([one.model_copy(update={"reading": self._seen.get(one.step)}) for one in self._captures])
        verdict, weights = self._stop(captures, settings), self._weigh(captures, settings)
        self._decisions.append(Decision(step=checkpoint.step, verdict=_with_note(verdict, missed), weights=weights))
        ends = verdict.stop and 0 < checkpoint.step < self._config.n_steps
        self._stopped_at = checkpoint.step if ends else None
        self._save()
        if self._readings is not None and checkpoint.step not in self._seen:
            self._readings.ask(checkpoint, self._before)
            self._asked_for = checkpoint.step
        self._before = checkpoint

    def _collect(self) -> str:
        """Wait for the look asked for last and keep it. Returns why it was missed, empty where it was not."""
        if self._readings is None or self._asked_for is None:
            return ""
        step, self._asked_for = self._asked_for, None
        if not self._readings.is_ready:
            at, message = self._where
            whose = f"step {step}" if step else "the base"
            self._report(at / self._config.n_steps, f"{message}, waiting for the circuits of {whose}")
        began = time.monotonic()
        try:
            self._seen[step] = self._readings.wait()
        except TracelapseError as error:
            if policies_need_circuits(self._config):
                raise
            _log.warning("the circuits of %s@step%d could not be traced: %s", self._config.name, step, error)
            return f"The circuits of step {step} could not be traced: {error}"
        finally:
            self._waited_s += time.monotonic() - began
        return ""

    def _scores(self, checkpoint: Checkpoint) -> tuple[TypeScore, ...]:
        """As stored: what is read again after an interruption must be the same to the last digit."""
        results = read_probes(checkpoint.folder)
        return type_scores(self._probes, results) if results is not None else ()

    def _known(self) -> RunDecisions:
        """What an earlier sitting kept. All of it can be made again, so that a damaged file is no loss."""
        try:
            return self._store.decisions(self._config.name)
        except Damaged as error:
            _log.warning("decided again: %s", error)
            return RunDecisions()

    def _save(self) -> None:
        decisions = RunDecisions(
            readings=tuple(self._seen[step] for step in sorted(self._seen)),
            decisions=tuple(self._decisions),
            stopped_at=self._stopped_at,
            waited_s=self._waited_s,
        )
        self._store.save_decisions(self._config.name, decisions)


def _with_note(verdict: Verdict, note: str) -> Verdict:
    return verdict.model_copy(update={"reason": f"{verdict.reason} {note}"}) if note else verdict
