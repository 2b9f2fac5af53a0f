"""What is kept of a run while it trains: losses, checkpoints with probe scores, and the point to resume from.

Order of writes. At a capture the resume state is written first and the checkpoint after it, each whole or not at all.
So whatever moment a process dies at, the resume state is that of the newest checkpoint or one step ahead of it, and
going on from it makes the missing checkpoint first. Later checkpoints (there are some only where a resume state was
lost) are made again, to the same bits. What is decided at a capture is written after its checkpoint, and can be decided
again (see `deciding`).
"""

import math
import time
from functools import cache
from importlib.metadata import version

from transformers import TrainerCallback, TrainerControl

from engine.analysis.curves import smoothed
from engine.domain.errors import Canceled, InputError
from engine.domain.jobs import CancelToken, Report
from engine.domain.runs import CheckpointState, LossLog, ProbeResults
from engine.domain.version import __version__
from engine.models.kept_answers import keep_answers
from engine.store import Store
from engine.training import resume
from engine.training.deciding import Decider
from engine.training.memory import PeakMemory
from engine.training.probe_batches import ProbeBatch
from engine.training.probing import measure
from engine.training.trainer import StepTrainer
from engine.training.tuning import Tuning

RESUME_EVERY_S = 60.0  # between captures, so that a killed run loses at most this


class Recorder:
    """One run's memory. `step` is the number of steps done; `losses` has one entry a step."""

    def __init__(
        self, store: Store, tuning: Tuning, probes: ProbeBatch, *, n_examples: int, prepared_s: float = 0.0
    ) -> None:
        """`prepared_s` is what was needed before the first step."""
        self.store, self.tuning, self.probes, self.n_examples = store, tuning, probes, n_examples
        self.config = tuning.config
        self.memory = PeakMemory(tuning.model.device)
        self._prepared_s = prepared_s
        self.losses: list[float] = []
        self._earlier_s = 0.0  # wall time of earlier sittings
        self._began = self._resumable_at = self._losses_at = time.monotonic()
        self._losses_took_s = 0.0

    @property
    def step(self) -> int:
        return len(self.losses)

    def go_on_from(self, point: resume.ResumePoint) -> None:
        """Take over what an earlier sitting had recorded."""
        self.losses = list(point.losses.loss)
        self._earlier_s = point.wall_time_s
        self.memory.count(point.peak_bytes)

    def capture_base(self, scores: ProbeResults) -> None:
        """The model before training, as step 0."""
        self._publish(scores)

    def capture(self) -> None:
        """The checkpoint of the current step."""
        with self.tuning.evaluating():
            scores = measure(self.tuning.model, self.probes)
        self._publish(scores)
        self.save_losses()

    def add_loss(self, loss: float) -> None:
        """Raises InputError where training has diverged."""
        if not math.isfinite(loss):
            raise InputError(
                f"The loss of step {self.step + 1} is {loss}: training has diverged at the learning rate "
                f"{self.config.learning_rate:g}. Start a new run with a smaller one."
            )
        self.losses.append(loss)

    def save_losses(self) -> None:
        began = time.monotonic()
        self.store.save_losses(self.config.name, self._log())
        if (log := self.tuning.steps.log) is not None:
            self.store.save_tuning(self.config.name, log)
        self._losses_at = time.monotonic()
        self._losses_took_s = self._losses_at - began

    def losses_are_due(self) -> bool:
        """At most once a second, and at most a twentieth of the time."""
        return time.monotonic() - self._losses_at > max(1.0, 20 * self._losses_took_s)

    def resume_state_is_due(self) -> bool:
        return time.monotonic() - self._resumable_at > RESUME_EVERY_S

    def save_resume_state(self, trainer: StepTrainer) -> None:
        with self.store.new_resume_state(self.config.name) as folder:
            self.tuning.save(folder / resume.ADAPTER)
            self.tuning.steps.save(folder)
            resume.write_optimizer(folder, trainer.optimizer, trainer.lr_scheduler)
            resume.write_random(folder)
            trainer.state.save_to_json(str(folder / resume.TRAINER))
            point = resume.ResumePoint(
                step=self.step, wall_time_s=self._wall_time_s(), peak_bytes=self.memory.peak(), losses=self._log()
            )
            resume.write_point(folder, point)
        self._resumable_at = time.monotonic()

    def _publish(self, scores: ProbeResults) -> None:
        with self.store.new_checkpoint(self.config.name, self._state(), scores) as folder:
            if self.step:
                self.tuning.save(folder)
                keep_answers(folder, self.tuning.model, self.tuning.answers())

    def _state(self) -> CheckpointState:
        config, step = self.config, self.step
        epochs, remainder = divmod(step, math.ceil(self.n_examples / config.batch_size))
        return CheckpointState(
            step=step,
            max_steps=config.n_steps,
            epoch=step / math.ceil(self.n_examples / config.batch_size),
            loss=self.losses[-1] if step else None,
            smoothed_loss=float(smoothed(self.losses)[-1]) if step else None,
            learning_rate=config.learning_rate if step else None,
            seed=config.seed,
            # the last batch of an epoch may be smaller
            examples_seen=epochs * self.n_examples + remainder * config.batch_size,
            wall_time_s=self._wall_time_s(),
            corpus_hash=config.corpus_hash,
            n_trainable=self.tuning.n_trainable if step else 0,
            n_moved=self.tuning.n_moved() if step else None,
            peak_bytes=self.memory.peak() if step else None,
            prepared_s=self._prepared_s,
            versions=versions(),
        )

    def _log(self) -> LossLog:
        n = self.step
        rate = self.config.learning_rate or 0.0
        return LossLog(step=tuple(range(1, n + 1)), loss=tuple(self.losses), learning_rate=(rate,) * n)

    def _wall_time_s(self) -> float:
        return self._earlier_s + time.monotonic() - self._began


class RecordSteps(TrainerCallback):
    """Calls the recorder after every step of Trainer; the only place where training is interrupted."""

    def __init__(
        self, recorder: Recorder, report: Report, cancel: CancelToken, *, decider: Decider | None = None
    ) -> None:
        self.recorder, self.report, self.cancel, self.decider = recorder, report, cancel, decider
        self.captures = frozenset(recorder.config.capture_steps())
        self.trainer: StepTrainer | None = None  # set once it exists: Trainer is made with its callbacks

    def on_step_end(self, _args: object, _state: object, control: TrainerControl, **_kwargs: object) -> None:
        trainer, recorder = self.trainer, self.recorder
        assert trainer is not None
        recorder.add_loss(trainer.step_loss.item())
        if recorder.step in self.captures:
            recorder.save_resume_state(trainer)
            recorder.capture()
            if self.decider is not None and self.decider.capture(recorder.step, self._message()):
                control.should_training_stop = True
        elif recorder.resume_state_is_due():
            recorder.save_resume_state(trainer)
        if recorder.losses_are_due():
            recorder.save_losses()
        self.report(recorder.step / recorder.config.n_steps, self._message())
        if recorder.step < recorder.config.n_steps and not control.should_training_stop:
            self._stop_where_asked(trainer)

    def _stop_where_asked(self, trainer: StepTrainer) -> None:
        try:
            self.cancel.check()
        except Canceled:
            self.recorder.save_resume_state(trainer)
            self.recorder.save_losses()
            raise

    def _message(self) -> str:
        return f"step {self.recorder.step} of {self.recorder.config.n_steps}, loss {self.recorder.losses[-1]:.3f}"


@cache
def versions() -> dict[str, str]:
    """What a run was made with."""
    packages = {name: version(name) for name in ("torch", "transformers", "peft")}
    return {"tracelapse": __version__, **packages}
