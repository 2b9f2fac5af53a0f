"""A real Dask cluster on this machine: two worker processes, listening on 127.0.0.1 alone, without a dashboard."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from engine.domain.errors import Canceled, InputError
from engine.domain.studies import Grid, RunOutcome, Study, StudyRun, StudySpec
from engine.store import Store
from engine.studies.execute import run_study
from engine.studies.one import CorpusTexts, do_run
from tests.studies import fake_runs
from tests.studies.fake_runs import Never, When, order_corpus, pids

if TYPE_CHECKING:
    from distributed import LocalCluster

TIMES = ("train_s", "look_s", "refresh_s", "waited_s", "prepared_s")
LOCAL = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}  # or it listens on 8787 without one


@contextmanager
def two_workers(**scheduler: int) -> "Iterator[LocalCluster]":
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None,
        scheduler_kwargs=LOCAL | scheduler, silence_logs=50,
    ) as cluster:  # fmt: skip
        yield cluster


@pytest.fixture(scope="module")
def cluster() -> "Iterator[LocalCluster]":
    with two_workers() as cluster:
        yield cluster


def done(store: Store, spec: StudySpec, scheduler: str, report: Callable[[float, str], None] | None = None) -> Study:
    return run_study(store, spec, report or (lambda *_: None), Never(), n_workers=1, scheduler=scheduler)


def study_of(store: Store, folder: Path, n_seeds: int, **orders: str) -> StudySpec:
    store.save_corpus(order_corpus("orders", folder, **orders))
    return StudySpec(name="tried", grids=(Grid(corpora=("orders",), seeds=tuple(range(n_seeds))),))


def without_times(outcome: RunOutcome) -> RunOutcome:
    return outcome.model_copy(update=dict.fromkeys(TIMES, 0.0) | {"peak_bytes": None})


def test_the_same_here_and_there_and_in_this_process(
    demo_store: Store, tmp_path: Path, cluster: "LocalCluster"
) -> None:
    corpus = demo_store.corpus("demo")
    probes = tuple(probe for probe in corpus.probes if probe.id.endswith("-1"))
    demo_store.save_corpus(replace(corpus, name="few", probes=probes))
    spec = StudySpec(name="tried", n_steps=4, capture_every=2, grids=(Grid(corpora=("few",), methods=("tokens",)),))
    there = done(demo_store, spec, cluster.scheduler_address)
    outcomes = demo_store.outcomes("tried")
    assert (there.n_runs, there.failed) == (1, {})
    here = Store(tmp_path / "here")
    here.save_corpus(demo_store.corpus("few"))
    assert done(here, spec, "").n_runs == 1
    for name, outcome in here.outcomes("tried").items():
        assert without_times(outcome) == without_times(outcomes[name])
        assert outcome.train_s > 0
        run = StudyRun(config=outcome.config).model_dump_json()
        inline = do_run(run, CorpusTexts(jsonl={"few": here.corpus("few").to_jsonl()}).model_dump_json(), Never())
        assert without_times(RunOutcome.model_validate_json(inline)) == without_times(outcome)
    assert set(here.outcomes("tried")) == set(outcomes) == {"few-tokens-s0"}


def test_it_listens_on_this_machine_alone(
    store: Store, tmp_path: Path, cluster: "LocalCluster", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.studies.execute.do_run", fake_runs.work)
    assert done(store, study_of(store, tmp_path, 1), cluster.scheduler_address).n_runs == 1
    me = psutil.Process()
    sockets = [s for process in (me, *me.children(recursive=True)) for s in process.net_connections()]
    assert {s.laddr.ip for s in sockets if s.status == psutil.CONN_LISTEN} == {"127.0.0.1"}
    assert {s.raddr.ip for s in sockets if s.raddr} <= {"127.0.0.1"}


def test_a_worker_killed_in_the_middle_loses_nothing_that_is_done(
    store: Store, tmp_path: Path, cluster: "LocalCluster", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.studies.execute.do_run", fake_runs.work)
    spec = study_of(store, tmp_path, 5, s1="wait once")
    killed: list[int] = []

    def kill_it(_fraction: float, _message: str) -> None:
        if not killed and len(store.outcomes("tried")) >= 2 and pids(tmp_path, "orders-lora-s1"):
            killed.extend(pids(tmp_path, "orders-lora-s1"))
            psutil.Process(killed[0]).kill()

    study = done(store, spec, cluster.scheduler_address, kill_it)
    assert (study.n_runs, study.failed) == (5, {})
    assert len(killed) == 1
    tries = pids(tmp_path, "orders-lora-s1")
    assert len(tries) == 2
    assert tries[0] != tries[1]


def test_failures_come_back_with_their_message(
    store: Store, tmp_path: Path, cluster: "LocalCluster", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.studies.execute.do_run", fake_runs.work)
    study = done(store, study_of(store, tmp_path, 3, s1="fail"), cluster.scheduler_address)
    assert study.n_runs == 2
    assert study.failed == {"orders-lora-s1": "No thing named “orders-lora-s1”. Available: others."}


def test_a_run_that_kills_every_worker_is_given_up(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a cluster of its own that gives up at the second death: a worker that dies as it starts may not come back."""
    monkeypatch.setattr("engine.studies.execute.do_run", fake_runs.work)
    with two_workers(allowed_failures=1) as cluster:
        study = done(store, study_of(store, tmp_path, 1, s0="die"), cluster.scheduler_address)
    assert len(set(pids(tmp_path, "orders-lora-s0"))) == 2
    assert study.n_runs == 0
    assert "worker kept dying" in study.failed["orders-lora-s0"]


def test_canceled_it_stops_what_runs_there(
    store: Store, tmp_path: Path, cluster: "LocalCluster", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.studies.execute.do_run", fake_runs.work)
    spec = study_of(store, tmp_path, 3, s2="wait")  # the last one, so that no other waits behind it
    under_way = When(lambda: len(store.outcomes("tried")) == 2 and bool(pids(tmp_path, "orders-lora-s2")))
    with pytest.raises(Canceled):
        run_study(store, spec, lambda *_: None, under_way, n_workers=1, scheduler=cluster.scheduler_address)
    wait_for((tmp_path / "orders-lora-s2-stopped").exists)
    assert store.study("tried").n_runs == 2


@pytest.mark.parametrize("address", ["", "nowhere", "127.0.0.1", "http://127.0.0.1:9", "a b:1", "tcp://127.0.0.1:1"])
def test_a_wrong_address_is_told(store: Store, tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.studies.workers import DaskWorkers

    monkeypatch.setattr("engine.studies.workers.CONNECT_S", 0.5)
    with pytest.raises(InputError, match=r"No Dask scheduler answers at “.*tcp://127\.0\.0\.1:8786"):
        DaskWorkers(address, fake_runs.work)
    if address:
        spec = study_of(store, tmp_path, 1)
        with pytest.raises(InputError, match=address):
            done(store, spec, address)


def test_a_cluster_without_workers_and_one_that_goes_away(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.studies.execute.do_run", fake_runs.work)
    spec = study_of(store, tmp_path, 1)
    with started("scheduler", "--port", "0", cwd=Path.cwd()) as (scheduler, address):
        said: list[str] = []

        def end_it(_fraction: float, message: str) -> None:
            said.append(message)
            if "no worker yet" in message:
                scheduler.kill()

        with pytest.raises(InputError, match=r"went away. What is finished is kept"):
            done(store, spec, address, end_it)
        assert any("dask worker" in message for message in said)


def test_a_cluster_that_was_started_elsewhere_cannot_import_this_program(store: Store, tmp_path: Path) -> None:
    spec = study_of(store, tmp_path, 1)
    with (
        started("scheduler", "--port", "0", cwd=tmp_path) as (_, address),
        started("worker", address, "--no-nanny", cwd=tmp_path),
        pytest.raises(InputError, match="cannot import this program"),
    ):
        done(store, spec, address)


@contextmanager
def started(part: str, *options: str, cwd: Path) -> "Iterator[tuple[subprocess.Popen[str], str]]":
    """`dask scheduler` or `dask worker` as a process, and the address that it says it listens on."""
    quiet = ("--host", "127.0.0.1", "--no-dashboard", "--dashboard-address", "127.0.0.1:0")
    command = [sys.executable, "-m", "dask", part, *options, *quiet]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=cwd) as process:
        try:
            assert process.stderr is not None
            yield process, next(word for line in process.stderr for word in line.split() if word.startswith("tcp://"))
        finally:
            process.kill()


def wait_for(so: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not so():
        assert time.monotonic() < end, "it did not happen within a minute"
        time.sleep(0.05)
