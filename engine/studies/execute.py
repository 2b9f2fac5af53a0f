"""Do the runs of a study that are not done yet, and keep what follows from all of them."""

import fnmatch
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.corpus import make_any
from engine.domain.corpus import Corpus, TaskSpec
from engine.domain.errors import Damaged, InputError, NotFound
from engine.domain.jobs import CancelToken, Report
from engine.domain.numbers import duration
from engine.domain.studies import STAGES, RunOutcome, Stage, Study, StudyRun, StudySpec
from engine.store import Store
from engine.studies.one import CorpusTexts, corpora_of, do_run
from engine.studies.search import found_rates
from engine.studies.spec import search_key, study_runs
from engine.studies.tables import study_tables
from engine.studies.workers import DaskWorkers, LocalWorkers, WorkerAnswer, Workers

if TYPE_CHECKING:
    import pandas as pd

TICK_S = 0.5  # between two looks for a cancel
MAX_DEATHS = 3  # of the worker processes of one run


def run_study(
    store: Store,
    spec: StudySpec,
    report: Report,
    cancel: CancelToken,
    *,
    n_workers: int,
    scheduler: str = "",
    only: Sequence[str] = (),
    command: str = "",
) -> Study:
    """Do every run that has no outcome yet; each outcome is kept as it comes, the study's tables at the end.

    n_workers: processes on this machine; with `scheduler`, the address of a Dask cluster does the runs instead. only:
    names of runs, or patterns with *. command: how the study was asked for, for its findings. A run that fails leaves
    the others alone; `failed` says why. Raises InputError (the corpora cannot be made, no such scheduler, the study is
    being done elsewhere), NotFound (a corpus, or a run of `only`), StorageFailed, Canceled; what is finished is kept.
    """
    if n_workers < 1:
        raise InputError(f"{n_workers} workers were asked for. Give at least one.")
    names = _chosen(spec, only)
    with _alone(store, spec.name):
        report(0.0, "reading the corpora")
        corpora = _corpora(store, spec)
        cancel.check()
        sitting = _Sitting(store, spec, corpora, report, cancel)
        sitting.begin(names)
        try:
            if not sitting.is_done:
                with closing(_workers(n_workers, scheduler)) as workers:
                    for stage in STAGES:
                        sitting.do(stage, workers)
        finally:
            study = _publish(store, spec, sitting.outcomes, sitting.failed, command)
    report(1.0, sitting.told())
    return study


class _Sitting:
    """One go at the missing runs: those of a search first, since they decide the learning rate of others."""

    def __init__(
        self, store: Store, spec: StudySpec, corpora: Mapping[str, Corpus], report: Report, cancel: CancelToken
    ) -> None:
        self._store, self._spec, self._corpora = store, spec, corpora
        self._report, self._cancel = report, cancel
        self.outcomes: dict[str, RunOutcome] = {}  # of before and of now, of runs as they are asked for now
        self.failed: dict[str, str] = {}
        self._names: list[str] = []
        self._n_before = 0
        self._deaths: Counter[str] = Counter()
        self._todo: deque[StudyRun] = deque()
        self._under_way: dict[Future[str], StudyRun] = {}
        self._began = time.monotonic()

    @property
    def is_done(self) -> bool:
        return all(name in self.outcomes for name in self._names)

    def begin(self, names: Sequence[str]) -> None:
        """What there is already of all runs of the study. Outcomes of the search tell which of the others still fit."""
        self._names = list(names)
        kept = self._store.outcomes(self._spec.name)
        for stage in STAGES:
            for run in self._runs(stage):
                outcome = kept.get(run.name)
                if outcome is not None and _answers(outcome, run, self._corpora):
                    self.outcomes[run.name] = outcome
        self._n_before = sum(name in self.outcomes for name in names)

    def do(self, stage: Stage, workers: Workers) -> None:
        """Every run of this stage that has no outcome; with a search's rates, once its runs have ended."""
        rates = self._rates()
        for run in self._runs(stage):
            if run.name in self._names and run.name not in self.outcomes:
                if run.searched and search_key(run) not in rates:
                    self.failed[run.name] = "No learning rate of its search was tried on all of its seeds."
                else:
                    self._todo.append(run)
        self._report(self._fraction(), self.told())
        while self._todo or self._under_way:
            self._cancel.check()
            self._hand_out(workers)
            self._take_in(workers)

    def _runs(self, stage: Stage) -> list[StudyRun]:
        runs = study_runs(self._spec, self._rates())
        return [_with_hash(run, self._corpora) for run in runs if run.stage == stage]

    def _rates(self) -> dict[str, float]:
        return found_rates(self._spec, self.outcomes.values())

    def told(self) -> str:
        """`12 of 60 runs, 1 failed, about 4 min left`"""
        n_done = sum(name in self.outcomes for name in self._names)
        n_here = n_done - self._n_before + len(self.failed)
        text = f"{n_done} of {len(self._names)} runs"
        if self.failed:
            text += f", {len(self.failed)} failed"
        if left := len(self._names) - self._n_before - n_here:
            text += f", about {duration((time.monotonic() - self._began) / n_here * left)} left" if n_here else ""
        return text

    def _fraction(self) -> float:
        n_done = sum(name in self.outcomes for name in self._names)
        return (n_done + len(self.failed)) / len(self._names)

    def _hand_out(self, workers: Workers) -> None:
        room = workers.room()
        while self._todo and len(self._under_way) < room:
            run = self._todo.popleft()
            texts = CorpusTexts(jsonl={name: self._corpora[name].to_jsonl() for name in corpora_of(run.config)})
            self._under_way[workers.submit(run.model_dump_json(), texts.model_dump_json())] = run

    def _take_in(self, workers: Workers) -> None:
        if not self._under_way:
            self._report(self._fraction(), f"{self.told()}; no worker yet: start some with `python -m dask worker`")
            time.sleep(TICK_S)
            return
        ended, _ = wait(self._under_way, timeout=TICK_S, return_when=FIRST_COMPLETED)
        for future in ended:
            self._settle(workers, future, self._under_way.pop(future))
        self._report(self._fraction(), self.told())

    def _settle(self, workers: Workers, future: "Future[str]", run: StudyRun) -> None:
        error = CancelledError() if future.cancelled() else future.exception()
        if error is None:
            answer = WorkerAnswer.model_validate_json(future.result())
            if answer.state == "done":
                outcome = RunOutcome.model_validate_json(answer.text)
                self._store.save_outcome(self._spec.name, outcome)
                self.outcomes[run.name] = outcome
            elif answer.state == "failed":
                self.failed[run.name] = answer.text
            else:  # the worker was told to stop, not by us
                self._todo.append(run)
        elif not workers.died(error):
            self.failed[run.name] = workers.explain(error)
        else:
            self._deaths[run.name] += 1
            if self._deaths[run.name] < MAX_DEATHS:
                self._todo.append(run)
            else:
                self.failed[run.name] = (
                    f"Its worker process died {MAX_DEATHS} times. Where memory is short, take fewer --workers."
                )


def _chosen(spec: StudySpec, only: Sequence[str]) -> list[str]:
    """The names of the runs to do, in the study's order, their searches with them. Raises NotFound."""
    runs = study_runs(spec)
    names = [run.name for run in runs]
    for pattern in only:
        if not fnmatch.filter(names, pattern):
            raise NotFound(f"run of the study {spec.name}", pattern, names)
    if not only:
        return names
    chosen = {name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in only)}
    searches = {search_key(run) for run in runs if run.searched and run.name in chosen}
    chosen |= {run.name for run in runs if run.stage == "search" and search_key(run) in searches}
    return [name for name in names if name in chosen]


@contextmanager
def _alone(store: Store, name: str) -> Iterator[None]:
    """Holds the study's lock, which a dying process lets go of. Raises InputError where another has it."""
    from filelock import FileLock, Timeout

    lock = FileLock(store.workspace / f"study-{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"The study “{name}” is being done by another process in {store.workspace}. Wait until it has ended, or "
            "give this one another name."
        ) from None
    try:
        yield
    finally:
        lock.release()


def _corpora(store: Store, spec: StudySpec) -> dict[str, Corpus]:
    """Those of the grids by name. What the study makes itself is kept in the workspace, for runs that follow.

    Raises InputError where a name of `make` is that of another corpus, NotFound, Damaged.
    """
    from engine.workflows.corpora import answered_by_base

    made = {corpus.name: corpus for corpus in spec.make}
    corpora = {}
    for name in dict.fromkeys(name for run in study_runs(spec) for name in corpora_of(run.config)):
        if name in made:
            corpus, asked = make_any(made[name]), made[name]
            # Nothing is put in the place of a number: what the base cannot answer is what there is to be learned.
            corpora[name] = corpus if isinstance(asked, TaskSpec) else answered_by_base(store, corpus)
            store.save_corpus(corpora[name], asked)
        else:
            corpora[name] = store.corpus(name)
    return corpora


def _with_hash(run: StudyRun, corpora: Mapping[str, Corpus]) -> StudyRun:
    config = run.config.model_copy(update={"corpus_hash": corpora[run.config.corpus].hash})
    return run.model_copy(update={"config": config})


def _answers(outcome: RunOutcome, run: StudyRun, corpora: Mapping[str, Corpus]) -> bool:
    """Whether it is the outcome of this run, with all that is to be measured."""
    priors = {name: corpora[name].hash for name in run.config.method_settings.prior}
    measured = set(run.measure) <= set(outcome.measured) and (not run.measure or outcome.scoring == run.scoring)
    return outcome.config == run.config and outcome.prior_hashes == priors and measured


def _workers(n: int, scheduler: str) -> Workers:
    return DaskWorkers(scheduler, do_run) if scheduler else LocalWorkers(n, do_run)


def _publish(
    store: Store, spec: StudySpec, outcomes: Mapping[str, RunOutcome], failed: Mapping[str, str], command: str
) -> Study:
    from engine.studies.findings import findings

    tables = replace(study_tables(list(outcomes.values()), spec), rankings=_rankings(store, spec.name))
    command = command or f"python -m engine study {spec.name}.yaml"
    study = Study(
        spec=spec,
        n_runs=len(outcomes),
        failed=dict(failed),
        unmeasured={name: " ".join(one.unmeasured.values()) for name, one in outcomes.items() if one.unmeasured},
        findings=findings(tables, spec, command=command),
        command=command,
        versions=_versions(outcomes.values()),
    )
    store.save_study(study, tables)
    return study


def _rankings(store: Store, name: str) -> "pd.DataFrame":
    """What the bench kept with the study: no run of its own makes it."""
    import pandas as pd

    try:
        return store.study_tables(name).rankings
    except (NotFound, Damaged):
        return pd.DataFrame()


def _versions(outcomes: Iterable[RunOutcome]) -> dict[str, str]:
    """Of each package; all that there were, where workers had different ones."""
    found: dict[str, set[str]] = {}
    for outcome in outcomes:
        for package, version in outcome.versions.items():
            found.setdefault(package, set()).add(version)
    return {package: ", ".join(sorted(versions)) for package, versions in sorted(found.items())}
