"""Runs, their checkpoints and what was measured at each."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import chain
from pathlib import Path

from engine.analysis.losses import ToldLoss, told_loss
from engine.domain.corpus import Corpus
from engine.domain.decisions import RunDecisions
from engine.domain.errors import Damaged, NotFound
from engine.domain.names import CheckpointRef
from engine.domain.runs import (
    Checkpoint,
    CheckpointState,
    LoggedMetrics,
    LossLog,
    ProbeResults,
    RunConfig,
    RunNotes,
    TuningLog,
    WrittenTexts,
)
from engine.store.catalogue import read_run
from engine.store.files import new_folder, remove, write_text
from engine.store.index import BETWEEN
from engine.store.infos import RunInfo
from engine.store.layout import STATE, main_file, step_folder, step_of
from engine.store.run_files import (
    DECISIONS,
    LOSSES,
    NOTES,
    PROBES,
    TEXTS,
    TUNING,
    read_decisions,
    read_losses,
    read_metrics,
    read_probes,
    read_run_notes,
    read_state,
    read_tuning,
    read_written_texts,
    write_probes,
    write_state,
)
from engine.store.shelves import Shelves

_LATER_NS = 1000


class RunShelf(Shelves):
    """`runs/NAME/`: run.json, losses.json, checkpoints/step-NNNNNN/, resume/."""

    def save_run(self, config: RunConfig) -> Path:
        """The new run's folder. Raises InputError where the name is taken, NameRefused where the demo has it."""
        with self.new_run(config) as folder:
            (folder / "checkpoints").mkdir()
        return self.run_folder(config.name)

    @contextmanager
    def new_run(self, config: RunConfig) -> Iterator[Path]:
        """Yields a temporary folder that becomes the run's, with all that is put there: whole or not at all.

        Raises as `save_run`.
        """
        path = self._may_write("run", "run", config.name)
        with new_folder(path.parent) as folder:
            write_text(folder / "run.json", config.to_json())
            yield folder
        self._note("run", config.name)
        for checkpoint in (path.parent / "checkpoints").iterdir():
            self._note("checkpoint", f"{config.name}/{step_of(checkpoint.name)}")

    def run(self, name: str) -> RunConfig:
        """Raises NameRefused, NotFound, Damaged."""
        return read_run(self._locate("run", "run", name))

    def save_corpus_of_run(self, run: str, corpus: Corpus) -> None:
        """What a run that was imported is measured with from now on. Its place in lists stays.

        Raises NotFound, NameRefused, Damaged, StorageFailed.
        """
        path = self._may_write("run", "run", run)
        config = self.run(run).model_copy(update={"corpus": corpus.name, "corpus_hash": corpus.hash})
        made = path.stat().st_mtime_ns
        write_text(path, config.to_json())
        os.utime(path, ns=(made + _LATER_NS, made + _LATER_NS))  # so that the index sees that it changed
        self._note("run", run)

    def run_folder(self, name: str) -> Path:
        """Raises NameRefused, NotFound."""
        return self._locate("run", "run", name).parent

    def runs(self) -> list[RunInfo]:
        """Newest first, the bundled ones last, by name."""
        steps = self._with_index(self._steps)
        infos = []
        for row, config in self._records("run", RunConfig):
            own = steps[row.bundled].get(row.name, ())
            shelf = self.bundled if row.bundled and self.bundled else self.workspace
            folder = f"{shelf}/runs/{row.name}"  # a Path of each takes longer than all the rest
            ended = bool(own) and (own[-1] == config.n_steps or own[-1] == self._stopped_at(Path(folder)))
            finished = bool(own) and (config.imported or (ended and not os.path.exists(f"{folder}/resume")))  # noqa: PTH110
            infos.append(RunInfo(config, own, finished, row.bundled, row.stamp / 1e9))
        # When a bundled run was made is not known: its files are as old as the copy of the repository.
        return sorted(infos, key=lambda info: (info.bundled, -info.created_at * (not info.bundled), info.config.name))

    def _steps(self) -> dict[bool, dict[str, tuple[int, ...]]]:
        """By shelf (whether it is the bundled one) and run the steps of the checkpoints, ascending.

        Taken apart once while the index says the same: a page asks several times in a drawing.
        """
        for bundled in (False, True):
            names = self._index.names("checkpoint", bundled=bundled)
            if self._known_steps.get(bundled, (None, {}))[0] != names:
                found: dict[str, list[int]] = {}
                for name in names.split(BETWEEN) if names else ():
                    run, _, step = name.partition("/")
                    found.setdefault(run, []).append(int(step))
                self._known_steps[bundled] = names, {run: tuple(sorted(of)) for run, of in found.items()}
        return {bundled: steps for bundled, (_, steps) in self._known_steps.items()}

    def checkpoints(self, run: str) -> list[Checkpoint]:
        """Ascending by step, base first. Raises NameRefused, NotFound."""
        folder = self.run_folder(run)
        bundled = folder.parents[1] != self.workspace
        states = [
            state for row, state in self._records("checkpoint", CheckpointState, parent=run) if row.bundled == bundled
        ]
        return [
            Checkpoint(run, state, folder / "checkpoints" / step_folder(state.step))
            for state in sorted(states, key=lambda state: state.step)
        ]

    def captured_steps(self, run: str) -> set[int]:
        """Steps whose checkpoint is on the disk, whatever the index says. Raises NameRefused, NotFound."""
        return {one.step for one in self.checkpoints(run) if (one.folder / STATE).is_file()}

    def checkpoint(self, ref: CheckpointRef | str) -> Checkpoint:
        """Raises InputError for what is no reference, NotFound listing the labels there are, Damaged."""
        ref = CheckpointRef.parse(ref) if isinstance(ref, str) else ref
        step = ref.step(self.run(ref.run).n_steps)
        path = self._find("checkpoint", f"{ref.run}/{step}")
        if path is None or path.parents[2] != self.run_folder(ref.run):
            raise NotFound("checkpoint", str(ref), [checkpoint.ref for checkpoint in self.checkpoints(ref.run)])
        return Checkpoint(ref.run, read_state(path), path.parent)

    @contextmanager
    def new_checkpoint(self, run: str, state: CheckpointState, probes: ProbeResults | None = None) -> Iterator[Path]:
        """Yields a temporary folder for the weights, none for the base, which becomes the checkpoint of `state.step`.

        A checkpoint of this step is replaced: a resumed run makes those again that lie after its resume state.
        Raises NotFound, NameRefused, StorageFailed.
        """
        self._may_write("run", "run", run)
        folder = self.run_folder(run) / "checkpoints" / step_folder(state.step)
        with new_folder(folder, replace=True) as temporary:
            yield temporary
            if probes is not None:
                write_probes(temporary, probes)
            write_state(temporary, state)
        self._note("checkpoint", f"{run}/{state.step}")

    def probe_results(self, run: str) -> dict[int, ProbeResults]:
        """By step, ascending; steps that were not probed are left out. Raises NotFound, Damaged."""
        found = ((checkpoint.step, read_probes(checkpoint.folder)) for checkpoint in self.checkpoints(run))
        return {step: results for step, results in found if results is not None}

    def probes_at(self, checkpoint: Checkpoint) -> ProbeResults | None:
        """None where it was not probed. Raises Damaged."""
        return read_probes(checkpoint.folder)

    def probe_times(self, run: str) -> tuple[tuple[int, int], ...]:
        """(step, when it was probed, in ns; 0 where it was not): equal while nothing was measured anew."""
        files = ((checkpoint.step, checkpoint.folder / PROBES) for checkpoint in self.checkpoints(run))
        return tuple((step, file.stat().st_mtime_ns if file.exists() else 0) for step, file in files)

    def save_probe_results(self, run: str, step: int, results: ProbeResults) -> None:
        """Raises NotFound, NameRefused, StorageFailed."""
        self._may_write("run", "run", run)
        checkpoint = self.checkpoint(CheckpointRef(run=run, label=f"step{step}"))
        write_probes(checkpoint.folder, results)

    def end_of_run(self, info: RunInfo) -> tuple[CheckpointState, ProbeResults | None]:
        """The last checkpoint of a listed run that has one, and what was measured last. Raises Damaged."""
        shelf = self.bundled if info.bundled and self.bundled else self.workspace
        folders = (shelf / main_file("checkpoint", f"{info.name}/{step}").parent for step in reversed(info.steps))
        last = next(folders)
        measured = (read_probes(folder) for folder in chain([last], folders))
        return read_state(last / STATE), next((one for one in measured if one is not None), None)

    def measured_at(self, info: RunInfo) -> int:
        """When the last checkpoint of a listed run was probed, in ns; 0 where it was not."""
        shelf = self.bundled if info.bundled and self.bundled else self.workspace
        folder = main_file("checkpoint", f"{info.name}/{info.steps[-1]}").parent
        try:
            return (shelf / folder / PROBES).stat().st_mtime_ns
        except OSError:
            return 0

    def losses(self, run: str) -> LossLog:
        """Empty where none were kept yet. Raises NotFound, Damaged."""
        return read_losses(self.run_folder(run))

    def told_loss(self, checkpoint: Checkpoint) -> ToldLoss | None:
        """As `engine.analysis.losses.told_loss`. Raises NotFound, Damaged."""
        state = checkpoint.state
        known = not state.step or (state.smoothed_loss, state.loss) != (None, None)
        return told_loss(state, LossLog() if known else self.losses(checkpoint.run))

    def loss_words(self, checkpoint: Checkpoint) -> str:
        """`told_loss` as titles show it; empty where none is known. Raises NotFound, Damaged."""
        told = self.told_loss(checkpoint)
        return told.text if told else ""

    def save_losses(self, run: str, log: LossLog) -> None:
        """Raises NotFound, NameRefused, StorageFailed."""
        self._may_write("run", "run", run)
        write_text(self.run_folder(run) / LOSSES, log.to_json())

    def tuning(self, run: str) -> TuningLog:
        """What circuit-tuning trained; empty where another method was. Raises NotFound, Damaged."""
        return read_tuning(self.run_folder(run))

    def save_tuning(self, run: str, log: TuningLog) -> None:
        """Raises NotFound, NameRefused, StorageFailed."""
        self._may_write("run", "run", run)
        write_text(self.run_folder(run) / TUNING, log.model_dump_json() + "\n")

    def decisions(self, run: str) -> RunDecisions:
        """What was looked at and decided while it trained; empty where nothing was. Raises NotFound, Damaged."""
        return read_decisions(self.run_folder(run))

    def save_decisions(self, run: str, decisions: RunDecisions) -> None:
        """Raises NotFound, NameRefused, StorageFailed."""
        self._may_write("run", "run", run)
        write_text(self.run_folder(run) / DECISIONS, decisions.model_dump_json() + "\n")

    def metrics(self, run: str) -> LoggedMetrics:
        """What its trainer logged besides the loss; empty where it was trained here. Raises NotFound, Damaged."""
        return read_metrics(self.run_folder(run))

    def written_texts(self, run: str) -> WrittenTexts | None:
        """Texts that its models wrote, where there is no corpus of it. Raises NotFound, Damaged."""
        return read_written_texts(self.run_folder(run))

    def save_written_texts(self, run: str, texts: WrittenTexts) -> None:
        """Raises NotFound, NameRefused, StorageFailed."""
        self._may_write("run", "run", run)
        write_text(self.run_folder(run) / TEXTS, texts.to_json())

    def run_notes(self, run: str) -> RunNotes:
        """What a person wrote on it; empty where nothing was. Raises NotFound, Damaged."""
        return read_run_notes(self.run_folder(run))

    def noted_runs(self) -> dict[str, RunNotes]:
        """What a person wrote, by run; only of runs on which there is something. Damaged notes are left out here."""
        found: dict[str, RunNotes] = {}
        for shelf in filter(None, (self.workspace, self.bundled)):
            for path in sorted((shelf / "runs").glob(f"*/{NOTES}")):
                try:
                    found.setdefault(path.parent.name, read_run_notes(path.parent))
                except Damaged:
                    continue
        return found

    def save_run_notes(self, run: str, notes: RunNotes) -> None:
        """Raises NotFound, NameRefused, StorageFailed."""
        self._may_write("run", "run", run)
        write_text(self.run_folder(run) / NOTES, notes.to_json())

    @staticmethod
    def _stopped_at(folder: Path) -> int | None:
        """The step at which a policy ended the run before its last."""
        try:
            return read_decisions(folder).stopped_at
        except Damaged:
            return None

    def resume_folder(self, run: str) -> Path:
        """Where the optimizer and random state of an unfinished run lie; may not exist. Raises NotFound."""
        return self.run_folder(run) / "resume"

    def new_resume_state(self, run: str) -> AbstractContextManager[Path]:
        """Like `new_checkpoint`, for the resume state; the one before is replaced."""
        self._may_write("run", "run", run)
        return new_folder(self.resume_folder(run), replace=True)

    def delete_resume_state(self, run: str) -> None:
        """The run is finished."""
        self._may_write("run", "run", run)
        remove(self.resume_folder(run))
