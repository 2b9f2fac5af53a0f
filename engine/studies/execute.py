"""Do the runs of a study that are not done yet, and keep what follows from all of them."""

import fnmatch
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import contextmanager

from engine.corpus import make_corpus
from engine.domain.corpus import Corpus
from engine.domain.errors import InputError, NotFound
from engine.domain.jobs import CancelToken, Report
from engine.domain.runs import RunConfig
from engine.domain.studies import RunOutcome, Study, StudySpec
from engine.store import Store
from engine.studies.one import do_run
from engine.studies.spec import study_runs
from engine.studies.tables import study_tables
from engine.studies.workers import Answer, DaskWorkers, LocalWorkers, Workers

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
    being done elsewhere), NotFound (a corpus, or a run of `only`), StorageFailed, Cancelled; what is finished is kept.
    """
    if n_workers < 1:
        raise InputError(f"{n_workers} workers were asked for. Give at least one.")
    names = _chosen(spec, only)
    with _alone(store, spec.name):
        report(0.0, "reading the corpora")
        corpora = _corpora(store, spec)
        cancel.check()
        wanted = {run.name: _with_hash(run.config, corpora) for run in study_runs(spec)}
        done = {name: one for name, one in store.outcomes(spec.name).items() if wanted.get(name) == one.config}
        sitting = _Sitting(store, spec.name, corpora, report, cancel)
        sitting.n_done, sitting.n_wanted = sum(name in done for name in names), len(names)
        todo = [wanted[name] for name in names if name not in done]
        try:
            if todo:
                sitting.do(todo, lambda: _workers(n_workers, scheduler))
        finally:
            done |= sitting.outcomes
            study = _publish(store, spec, list(done.values()), sitting.failed, command)
    report(1.0, sitting.told())
    return study


class _Sitting:
    """One go at the missing runs."""

    def __init__(
        self, store: Store, study: str, corpora: Mapping[str, Corpus], report: Report, cancel: CancelToken
    ) -> None:
        self._store, self._study, self._corpora = store, study, corpora
        self._report, self._cancel = report, cancel
        self.outcomes: dict[str, RunOutcome] = {}
        self.failed: dict[str, str] = {}
        self.n_done = self.n_wanted = 0
        self._deaths: Counter[str] = Counter()
        self._todo: deque[RunConfig] = deque()
        self._under_way: dict[Future[str], RunConfig] = {}
        self._began = time.monotonic()

    def do(self, todo: Sequence[RunConfig], open_workers: Callable[[], Workers]) -> None:
        self._todo.extend(todo)
        self._report(self._fraction(), self.told())
        workers = open_workers()
        try:
            while self._todo or self._under_way:
                self._cancel.check()
                self._hand_out(workers)
                self._take_in(workers)
        finally:
            workers.close()

    def told(self) -> str:
        """`12 of 60 runs, 1 failed, about 4 min left`"""
        n_here = len(self.outcomes) + len(self.failed)
        text = f"{self.n_done + len(self.outcomes)} of {self.n_wanted} runs"
        if self.failed:
            text += f", {len(self.failed)} failed"
        if left := self.n_wanted - self.n_done - n_here:
            text += f", about {_duration((time.monotonic() - self._began) / n_here * left)} left" if n_here else ""
        return text

    def _fraction(self) -> float:
        return (self.n_done + len(self.outcomes) + len(self.failed)) / self.n_wanted

    def _hand_out(self, workers: Workers) -> None:
        room = workers.room()
        while self._todo and len(self._under_way) < room:
            config = self._todo.popleft()
            corpus = self._corpora[config.corpus]
            self._under_way[workers.submit(config.model_dump_json(), corpus.to_jsonl())] = config

    def _take_in(self, workers: Workers) -> None:
        if not self._under_way:
            self._report(self._fraction(), f"{self.told()}; no worker yet: start some with `python -m dask worker`")
            time.sleep(TICK_S)
            return
        ended, _ = wait(self._under_way, timeout=TICK_S, return_when=FIRST_COMPLETED)
        for future in ended:
            self._settle(workers, future, self._under_way.pop(future))
        self._report(self._fraction(), self.told())

    def _settle(self, workers: Workers, future: "Future[str]", config: RunConfig) -> None:
        error = CancelledError() if future.cancelled() else future.exception()
        if error is None:
            answer = Answer.model_validate_json(future.result())
            if answer.state == "done":
                outcome = RunOutcome.model_validate_json(answer.text)
                self._store.save_outcome(self._study, outcome)
                self.outcomes[config.name] = outcome
            elif answer.state == "failed":
                self.failed[config.name] = answer.text
            else:  # the worker was told to stop, not by us
                self._todo.append(config)
        elif not workers.died(error):
            self.failed[config.name] = workers.explain(error)
        else:
            self._deaths[config.name] += 1
            if self._deaths[config.name] < MAX_DEATHS:
                self._todo.append(config)
            else:
                self.failed[config.name] = (
                    f"Its worker process died {MAX_DEATHS} times. Where memory is short, take fewer --workers."
                )


def _chosen(spec: StudySpec, only: Sequence[str]) -> list[str]:
    """The names of the runs to do, in the study's order. Raises NotFound."""
    names = [run.name for run in study_runs(spec)]
    for pattern in only:
        if not fnmatch.filter(names, pattern):
            raise NotFound(f"run of the study {spec.name}", pattern, names)
    return [name for name in names if not only or any(fnmatch.fnmatchcase(name, pattern) for pattern in only)]


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
    for name in dict.fromkeys(name for grid in spec.grids for name in grid.corpora):
        if name in made:
            corpora[name] = answered_by_base(store, make_corpus(made[name]))
            store.save_corpus(corpora[name], made[name])
        else:
            corpora[name] = store.corpus(name)
    return corpora


def _with_hash(config: RunConfig, corpora: Mapping[str, Corpus]) -> RunConfig:
    return config.model_copy(update={"corpus_hash": corpora[config.corpus].hash})


def _workers(n: int, scheduler: str) -> Workers:
    return DaskWorkers(scheduler, do_run) if scheduler else LocalWorkers(n, do_run)


def _publish(
    store: Store, spec: StudySpec, outcomes: Sequence[RunOutcome], failed: Mapping[str, str], command: str
) -> Study:
    from engine.studies.findings import findings

    tables = study_tables(outcomes, spec)
    study = Study(
        spec=spec,
        n_runs=len(outcomes),
        failed=dict(failed),
        findings=findings(tables, spec, command=command or f"python -m engine study {spec.name}.yaml"),
        versions=_versions(outcomes),
    )
    store.save_study(study, tables)
    return study


def _versions(outcomes: Sequence[RunOutcome]) -> dict[str, str]:
    """Of each package; all that there were, where workers had different ones."""
    found: dict[str, set[str]] = {}
    for outcome in outcomes:
        for package, version in outcome.versions.items():
            found.setdefault(package, set()).add(version)
    return {package: ", ".join(sorted(versions)) for package, versions in sorted(found.items())}


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
