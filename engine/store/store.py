"""The workspace on disk: artefact files, which are the truth, and their index."""

import json
import logging
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

from engine.domain.components import UnionReport
from engine.domain.corpus import Probe
from engine.domain.errors import Damaged, InputError, NotFound, StorageFailed
from engine.domain.jobs import FINISHED, JobRecord, Train
from engine.domain.model_families import LAYER_KEYS, number_in
from engine.domain.models import ModelSpec, TranscoderMeta
from engine.domain.paths import person_path
from engine.domain.pictures import text_fields
from engine.store import claims
from engine.store.acted import ActedShelf
from engine.store.catalogue import read_automatic_labels
from engine.store.check import check_artefact, check_index, check_shelf
from engine.store.components import ComponentShelf
from engine.store.converted import CONVERTED
from engine.store.corpora import CorpusShelf
from engine.store.files import new_folder, object_in, read_json, remove, storing, write_packed_json, write_text
from engine.store.graphs import GraphShelf
from engine.store.infos import Problem
from engine.store.layout import ADDED, BUNDLED, VOCABULARIES, Kind, StoredFile, inside, main_file
from engine.store.notes import NoteShelf
from engine.store.renaming import RENAMED, FormerName, link_run, renamed
from engine.store.series import SeriesShelf
from engine.store.space import SpaceShelf
from engine.store.studies import StudyShelf
from engine.store.taught import TaughtShelf
from engine.store.transcoders import TranscoderShelf

_log = logging.getLogger(__name__)
HOME_VARIABLE = "TRACELAPSE_HOME"
# Beside the demo in a checkout; what was installed is no place to work in.
_NAMED_BY_RUN: tuple[Kind, ...] = (
    "graph", "comparison", "pair", "features", "intervention", "series", "components", "circuit", "acted", "taught",
)  # fmt: skip
_IS_CHECKOUT = (BUNDLED.parents[1] / "pyproject.toml").is_file()
DEFAULT_WORKSPACE = BUNDLED.parent / "runs" if _IS_CHECKOUT else Path.home() / ".tracelapse"


def default_workspace() -> Path:
    """The folder that TRACELAPSE_HOME names, else `data/runs` in a checkout, `~/.tracelapse` where it is installed."""
    return Path(os.environ.get(HOME_VARIABLE) or DEFAULT_WORKSPACE)


def cache_of(workspace: Path) -> Path:
    """For what can be made again from packages: it is no artefact, and whoever needs the space may delete it."""
    return workspace / "cache"


class Store(
    CorpusShelf,
    TranscoderShelf,
    GraphShelf,
    NoteShelf,
    SeriesShelf,
    ComponentShelf,
    StudyShelf,
    ActedShelf,
    TaughtShelf,
    SpaceShelf,
):
    """Everything that is kept, by name. Safe to use from many threads and processes at once."""

    @classmethod
    def open(cls, workspace: Path | str | None = None) -> Self:
        """The workspace named here, else by TRACELAPSE_HOME, else `data/runs`; made where there is none.

        Raises StorageFailed, InputError for an empty name.
        """
        if workspace is not None and not str(workspace).strip():
            raise InputError("The workspace's name is empty. Name a folder.")
        store = cls(default_workspace() if workspace is None else Path(workspace))
        store._finish_renamings()
        return store

    def base_folder(self, spec: ModelSpec) -> Path:
        """Where the weights of a bundled or local model lie; for a hub model, where its id would be a path."""
        if spec.source == "bundled":
            return (self.bundled or self.workspace) / "base"
        return person_path(spec.location)

    def vocabulary_folder(self, spec: ModelSpec) -> Path | None:
        """Rows and tokenizer that a run's base has besides its own; None where it has none. Raises Damaged."""
        if not spec.vocabulary:
            return None
        for shelf in (self.workspace, *([self.bundled] if self.bundled else [])):
            folder = inside(shelf, shelf / VOCABULARIES / spec.vocabulary)
            if (folder / ADDED).is_file():
                return folder
        raise Damaged(self.workspace / VOCABULARIES / spec.vocabulary, "it is not there", "Import the run again.")

    def tokenizer_folder(self, spec: ModelSpec) -> Path:
        """Where the tokenizer of a bundled or local model lies, as `base_folder`. Raises Damaged."""
        own = self.vocabulary_folder(spec)
        return own if own and (own / "tokenizer.json").is_file() else self.base_folder(spec)

    def has_vocabulary(self, name: str) -> bool:
        return (self.workspace / VOCABULARIES / name).is_dir()

    def save_vocabulary(self, name: str, made: Path) -> None:
        """Copies the files of the folder `made`. Raises StorageFailed."""
        with new_folder(self.workspace / VOCABULARIES / name, replace=True) as folder:
            for file in made.iterdir():
                shutil.copyfile(file, folder / file.name)

    def remove_unused_vocabularies(self) -> None:
        """Those that no run needs any more."""
        used = {info.config.model.vocabulary for info in self.runs()}
        for folder in (self.workspace / VOCABULARIES).glob("*"):
            if folder.name not in used and not folder.name.startswith("."):
                remove(folder)

    def n_layers(self, spec: ModelSpec) -> int | None:
        """Of a bundled or local base, as its configuration says; None where that is not here or does not say."""
        return number_in(text_fields(object_in(self.base_folder(spec) / "config.json")), *LAYER_KEYS)

    def probe_with(self, runs: Iterable[str], prompt: str) -> Probe | None:
        """The probe of any of the runs' corpora that asks this prompt: it knows the right answer and the foils.

        None where no corpus has one, or is there. Raises Damaged.
        """
        for run in dict.fromkeys(runs):
            try:
                probes = self.corpus(self.run(run).corpus).probes
            except NotFound:  # a run imported without its corpus, or one whose corpus was removed
                continue
            for probe in probes:
                if probe.text == prompt:
                    return probe
        return None

    def delete_model(self, name: str) -> None:
        """It is offered no more. Its files and its runs stay, but a folder that was written of its GGUF file goes with
        it where no run and no other model needs that. Raises NotFound, NameRefused (also for the demo's)."""
        try:
            folder = self.base_folder(self.model(name))
        except Damaged:  # its description; what it was of is not known
            folder = None
        super().delete_model(name)
        needed = {other.location for other in (*self.models(), *(info.config.model for info in self.runs()))}
        if folder and folder.parent == cache_of(self.workspace) / CONVERTED and str(folder) not in needed:
            remove(folder)

    def delete_run(self, name: str) -> None:
        """Its graphs and comparisons go with it, and no transcoder set claims to have seen it any more.

        A run made again under this name has other weights, so nothing may stay that speaks of the old ones.
        Raises NotFound, NameRefused; InputError while it is being trained.
        """
        path = self._may_write("run", "run", name)
        self._locate("run", "run", name)
        self._refuse_while_training(name)
        self.sync()  # nothing of it may be overlooked
        sign = f"{name}@"
        self._remove_what_speaks_of(name, sign)
        for meta in self.transcoder_sets():
            if any(ref.startswith(sign) for ref in meta.checkpoints):
                self._unsee(meta, sign)
        gone: list[tuple[Kind, str]] = [("checkpoint", row.name) for row in self._rows("checkpoint", parent=name)]
        remove(path.parent)
        self._with_index(lambda: self._settle([("run", name), *gone], bundled=False))
        self.remove_unused_vocabularies()

    def rename_run(self, old: str, new: str) -> None:
        """Its checkpoints, curves, notes and decisions go with it, and sets that have seen it know the new name.

        What was traced and measured on it is named by the old one and is removed; it can be made again. Whole or not
        at all: opening the workspace finishes what a killed process began. Raises NotFound, NameRefused; InputError
        where the new name is taken, and while a job works on it.
        """
        self._may_write("run", "run", old)
        config = self.run(old)
        self._may_write("run", "run", new)
        self._refuse_while_at_work(old)
        with new_folder(self.workspace / main_file("run", new).parent) as folder, storing(folder):
            link_run(self.run_folder(old), folder, config.model_copy(update={"name": new}))
        self._finish_renaming(old, new)

    def n_speaking_of(self, run: str) -> int:
        """How many stored graphs, comparisons and measures name the run: what `rename_run` removes."""
        names = re.compile(rf'"{re.escape(run)}[@"]')  # run names have no sign that JSON would write otherwise
        rows = (row for kind in _NAMED_BY_RUN for row in self._rows(kind) if not row.bundled)
        return sum(bool(names.search(row.record)) for row in rows)

    def _finish_renamings(self) -> None:
        """Those that a killed process left after their moment."""
        if self.read_only:
            return
        for path in sorted((self.workspace / "runs").glob(f"*/{RENAMED}")):
            if path.parent.name.startswith("."):
                continue
            try:
                self._finish_renaming(read_json(path, FormerName).old, path.parent.name)
            except (Damaged, StorageFailed) as error:  # what is there can be read all the same
                _log.warning("A renaming is left unfinished: %s", error)

    def _finish_renaming(self, old: str, new: str) -> None:
        """Every step may be done again."""
        self.sync()
        self._remove_what_speaks_of(old, f"{old}@")
        for meta in self.transcoder_sets():
            self._say_anew(meta, old, new)
        path = self.workspace / main_file("run", old)
        gone: list[tuple[Kind, str]] = [
            ("checkpoint", row.name) for row in self._rows("checkpoint", parent=old) if not row.bundled
        ]
        if path.parent.exists():
            remove(path.parent)
        self._with_index(lambda: self._settle([("run", old), *gone], bundled=False))
        for journal in self._journals():
            if journal.state in FINISHED and _speaks_of(journal, old):  # its links lead nowhere any more
                remove(self.workspace / "jobs" / f"{journal.id}.json")
        remove(self.workspace / "runs" / new / RENAMED)
        self.sync()

    def _say_anew(self, meta: TranscoderMeta, old: str, new: str) -> None:
        """The set, and its automatic labels, under the new name."""
        path = self.workspace / main_file("transcoders", meta.name)
        seen = tuple(renamed(ref, old, new) for ref in meta.checkpoints)
        if path.exists() and seen != meta.checkpoints:
            write_text(path, meta.model_copy(update={"checkpoints": seen}).to_json())
            self._note("transcoders", meta.name)
        for row in self._rows("labels"):
            if row.bundled:
                continue
            labels = read_automatic_labels(self.workspace / main_file("labels", row.name))
            parts = tuple(
                part.model_copy(update={"checkpoints": tuple(renamed(ref, old, new) for ref in part.checkpoints)})
                for part in labels.measured
            )
            if parts != labels.measured:
                write_packed_json(
                    self.workspace / main_file("labels", row.name), labels.model_copy(update={"measured": parts})
                )
                self._note("labels", row.name)

    def _refuse_while_at_work(self, name: str) -> None:
        """Of any job that names the run or one of its checkpoints."""
        for job in self._journals():
            if job.state not in FINISHED and claims.is_held(self.workspace, job.claim) and _speaks_of(job, name):
                where = claims.holder(self.workspace, job.claim)
                raise InputError(f"A job works on the run “{name}” ({where}). Cancel the job “{job.title}” first.")

    def _remove_what_speaks_of(self, name: str, sign: str) -> None:
        self._remove_graphs(sign)
        for row in self._rows("series", parent=name):
            if not row.bundled:
                self._remove_file("series", row.name)
        self._remove_components(name, sign)
        self._remove_acted(sign)
        self._remove_taught(sign)
        for kind in ("features", "intervention"):
            for row in self._rows(kind):
                if row.parent.startswith(sign) and not row.bundled:
                    self._remove_file(kind, row.name)

    def _remove_graphs(self, sign: str) -> None:
        for comparison in self.comparisons():
            if comparison.key.a.startswith(sign) or comparison.key.b.startswith(sign):
                self._remove_file("comparison", comparison.key.hash)
        for key in self.graph_keys():
            if key.checkpoint.startswith(sign):
                self._remove_file("graph", key.hash)
        for pair in self.graph_pairs():
            if any(key.checkpoint.startswith(sign) for key in (pair.first, pair.second)):
                self._remove_file("pair", pair.hash)

    def _remove_components(self, name: str, sign: str) -> None:
        """Scores and reports of the run, and unions that have a part of it."""
        for row in self._rows("components", parent=name):
            if not row.bundled:
                self._remove_file("components", row.name)
        for report in self.circuit_reports():
            keys = (report.key, *(report.parts if isinstance(report, UnionReport) else ()))
            if any(key.checkpoint.startswith(sign) for key in keys):
                self._remove_file("circuit", report.hash)

    def _remove_acted(self, sign: str) -> None:
        for key in self.acted_keys():
            if any(ref.startswith(sign) for ref in key.checkpoints):
                self._remove_file("acted", key.hash)

    def _remove_taught(self, sign: str) -> None:
        for key in self.taught_keys():
            if key.checkpoints[-1].startswith(sign):
                self._remove_file("taught", key.hash)

    def check(self) -> list[Problem]:
        """Reads every artefact of both shelves whole and compares the index with the files; changes nothing."""
        shelves = [self.workspace, *([self.bundled] if self.bundled else [])]
        problems = [problem for shelf in shelves for problem in check_shelf(shelf, shelves=shelves)]
        for shelf in shelves:
            problems += check_index(shelf, self._stamps(bundled=shelf != self.workspace))
        return problems

    def unreadable(self) -> list[Problem]:
        """What lies in the workspace but is in no list, because its main file is damaged.

        Quick: looks again at what could not be listed when the workspace was opened or the file was last written;
        whatever else is damaged `check` finds.
        """
        shelves = [self.workspace, *([self.bundled] if self.bundled else [])]
        problems = []
        for key in sorted(self._left_out):
            stamp = self._stamp(key, bundled=False)
            found = stamp and StoredFile(*key, self.workspace / main_file(*key), stamp)
            left = list(check_artefact(self.workspace, found, shelves=shelves)) if found else []
            problems += left
            if not left:  # it was mended or removed
                self._left_out.discard(key)
                self._note(*key)
        return problems

    def _refuse_while_training(self, name: str) -> None:
        for job in self._journals():
            trains = isinstance(job.request, Train) and job.request.config.name == name
            if trains and job.state not in FINISHED and claims.is_held(self.workspace, job.claim):
                where = claims.holder(self.workspace, job.claim)
                raise InputError(f"The run “{name}” is being trained ({where}). Cancel the job “{job.title}” first.")

    def _journals(self) -> Iterator[JobRecord]:
        """Those that can be read."""
        for path in sorted((self.workspace / "jobs").glob("[!.]*.json")):
            with suppress(Damaged):
                yield read_json(path, JobRecord)

    def _unsee(self, meta: TranscoderMeta, sign: str) -> None:
        path = self.workspace / main_file("transcoders", meta.name)
        if path.exists():
            seen = tuple(ref for ref in meta.checkpoints if not ref.startswith(sign))
            write_text(path, meta.model_copy(update={"checkpoints": seen}).to_json())
            self._note("transcoders", meta.name)

    def _remove_file(self, kind: Kind, name: str) -> None:
        remove(self.workspace / main_file(kind, name))
        self._note(kind, name)


def _speaks_of(job: JobRecord, run: str) -> bool:
    """Whether its request has the run's name, or a checkpoint of it, anywhere."""

    def found(value: object) -> bool:
        if isinstance(value, dict):
            return any(found(part) for part in value.values())
        if isinstance(value, list):
            return any(found(part) for part in value)
        return isinstance(value, str) and value.partition("@")[0] == run

    return found(json.loads(job.request.model_dump_json()))
