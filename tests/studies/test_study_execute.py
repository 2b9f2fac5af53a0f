"""Doing the runs of a study in processes of this machine: what dies, fails, is canceled, or is done already."""

import json
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engine.domain.errors import Canceled, InputError, NotFound
from engine.domain.studies import Grid, Study, StudySpec
from engine.store import Store
from engine.studies.execute import run_study
from engine.studies.workers import LocalWorkers, WorkerAnswer
from tests.studies import fake_runs
from tests.studies.fake_runs import Never, When, order_corpus, pids

pytestmark = pytest.mark.usefixtures("fake_workers")


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    before = set(multiprocessing.active_children())
    yield
    assert set(multiprocessing.active_children()) <= before


def study_of(store: Store, folder: Path, n_seeds: int, **orders: str) -> StudySpec:
    """Runs orders-lora-s0 to s(n - 1), which do what `orders` says."""
    store.save_corpus(order_corpus("orders", folder, **orders))
    return StudySpec(name="tried", grids=(Grid(corpora=("orders",), seeds=tuple(range(n_seeds))),))


def done(store: Store, spec: StudySpec, *, n_workers: int = 2, **options: object) -> Study:
    return run_study(store, spec, lambda *_: None, Never(), n_workers=n_workers, **options)  # type: ignore[arg-type]


def test_every_run_is_done_once_and_not_again(store: Store, tmp_path: Path) -> None:
    spec = study_of(store, tmp_path, 3)
    said: list[tuple[float, str]] = []
    study = run_study(store, spec, lambda f, m: said.append((f, m)), Never(), n_workers=2)
    assert (study.n_runs, study.failed, study.versions) == (3, {}, {"torch": "0"})
    assert store.study("tried") == study
    assert list(store.study_tables("tried").runs["run"]) == [f"orders-lora-s{seed}" for seed in range(3)]
    assert said[-1] == (1.0, "3 of 3 runs")
    assert [fraction for fraction, _ in said] == sorted(fraction for fraction, _ in said)
    assert done(store, spec).n_runs == 3
    assert [len(pids(tmp_path, f"orders-lora-s{seed}")) for seed in range(3)] == [1, 1, 1]


def test_a_run_that_fails_leaves_the_others_alone(store: Store, tmp_path: Path) -> None:
    spec = study_of(store, tmp_path, 4, s0="fail", s1="break", s2="refuse")
    study = done(store, spec)
    assert study.n_runs == 1
    assert study.failed == {
        "orders-lora-s0": "No thing named “orders-lora-s0”. Available: others.",
        "orders-lora-s1": "Unexpected RuntimeError: a fault of the program",
        "orders-lora-s2": "This run is refused.",
    }
    assert store.study("tried").failed == study.failed


def test_a_killed_worker_costs_its_own_run_one_try(store: Store, tmp_path: Path) -> None:
    spec = study_of(store, tmp_path, 4, s1="die once")
    study = done(store, spec)
    assert (study.n_runs, study.failed) == (4, {})
    assert [len(pids(tmp_path, f"orders-lora-s{seed}")) for seed in range(4)] == [1, 2, 1, 1]


def test_a_run_that_kills_its_worker_three_times_is_given_up(store: Store, tmp_path: Path) -> None:
    spec = study_of(store, tmp_path, 3, s0="die")
    study = done(store, spec)
    assert study.n_runs == 2
    assert set(study.failed) == {"orders-lora-s0"}
    assert "3 times" in study.failed["orders-lora-s0"]
    assert [len(pids(tmp_path, f"orders-lora-s{seed}")) for seed in range(3)] == [3, 1, 1]


def test_a_worker_killed_from_outside_while_it_works(store: Store, tmp_path: Path) -> None:
    spec = study_of(store, tmp_path, 2, s0="wait once")

    killed: list[int] = []

    def kill_it(_fraction: float, _message: str) -> None:
        if not killed and "orders-lora-s1" in store.outcomes("tried") and pids(tmp_path, "orders-lora-s0"):
            killed.extend(pids(tmp_path, "orders-lora-s0"))
            psutil.Process(killed[0]).kill()

    study = run_study(store, spec, kill_it, Never(), n_workers=2)
    assert (study.n_runs, study.failed) == (2, {})
    assert [len(pids(tmp_path, f"orders-lora-s{seed}")) for seed in range(2)] == [2, 1]


def test_canceled_it_stops_what_runs_and_keeps_what_is_done(store: Store, tmp_path: Path) -> None:
    spec = study_of(store, tmp_path, 4, s1="wait", s3="wait")
    under_way = When(lambda: "orders-lora-s0" in store.outcomes("tried") and bool(pids(tmp_path, "orders-lora-s1")))
    with pytest.raises(Canceled):
        run_study(store, spec, lambda *_: None, under_way, n_workers=2)
    assert (tmp_path / "orders-lora-s1-stopped").exists()
    kept = store.study("tried")
    assert kept.n_runs == len(store.outcomes("tried")) >= 1
    assert len(store.study_tables("tried").runs) == kept.n_runs


def test_only_some_runs(store: Store, tmp_path: Path) -> None:
    spec = study_of(store, tmp_path, 12)
    assert done(store, spec, only=("orders-lora-s3", "orders-lora-s1*")).n_runs == 4
    assert set(store.outcomes("tried")) == {f"orders-lora-s{seed}" for seed in (1, 3, 10, 11)}
    with pytest.raises(NotFound, match="orders-lora-s0"):
        done(store, spec, only=("orders-tokens-s0",))


def test_a_changed_study_or_corpus_is_done_anew_where_it_differs(store: Store, tmp_path: Path) -> None:
    spec = study_of(store, tmp_path, 2)
    done(store, spec)
    fewer = spec.model_copy(update={"grids": (Grid(corpora=("orders",), seeds=(1,)),)})
    assert done(store, fewer).n_runs == 1
    assert list(store.study_tables("tried").runs["run"]) == ["orders-lora-s1"]
    longer = spec.model_copy(update={"n_steps": 8})
    assert done(store, longer).n_runs == 2
    store.delete_corpus("orders")
    store.save_corpus(order_corpus("orders", tmp_path, note="another"))
    assert done(store, longer).n_runs == 2
    # seed 0: first, longer, other corpus; seed 1 the same: `fewer` found it done
    assert [len(pids(tmp_path, f"orders-lora-s{seed}")) for seed in range(2)] == [3, 3]


def test_a_damaged_outcome_is_done_again(store: Store, tmp_path: Path) -> None:
    spec = study_of(store, tmp_path, 1)
    done(store, spec)
    (outcome,) = (store.workspace / "studies" / "tried" / "results").glob("*.json")
    outcome.write_text(outcome.read_text(encoding="utf-8")[:50], encoding="utf-8")
    assert done(store, spec).n_runs == 1
    assert len(pids(tmp_path, "orders-lora-s0")) == 2


def test_two_at_once_under_one_name_are_refused(store: Store, tmp_path: Path) -> None:
    spec = study_of(store, tmp_path, 1, s0="wait")
    second: list[Exception] = []

    def try_a_second_time(_fraction: float, _message: str) -> None:
        if pids(tmp_path, "orders-lora-s0") and not second:
            try:
                done(Store(store.workspace, bundled=None), spec)
            except InputError as error:
                second.append(error)

    with pytest.raises(Canceled):
        run_study(store, spec, try_a_second_time, When(lambda: bool(second)), n_workers=1)
    assert "“tried” is being done by another process" in str(second[0])


def test_a_missing_corpus_is_told_before_anything_is_done(store: Store) -> None:
    spec = StudySpec(name="tried", grids=(Grid(corpora=("nothing",)),))
    with pytest.raises(NotFound, match="nothing"):
        done(store, spec)
    assert store.studies() == []


def test_no_workers_are_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 workers"):
        done(store, study_of(store, tmp_path, 1), n_workers=0)


def test_a_worker_that_died_while_it_waited_is_replaced(tmp_path: Path) -> None:
    workers = LocalWorkers(1, fake_runs.work)
    corpus = json.dumps({"jsonl": {"orders": order_corpus("orders", tmp_path).to_jsonl()}})
    config = json.dumps({"config": {"name": "a", "corpus": "orders"}})
    try:
        assert WorkerAnswer.model_validate_json(workers.submit(config, corpus).result()).state == "done"
        psutil.Process(pids(tmp_path, "a")[0]).kill()  # its exit status is for multiprocessing to read
        future = workers.submit(config, corpus)
        error = future.exception()
        if error is not None:  # the pool had not seen it yet: then it is told of the run
            assert workers.died(error)
            future = workers.submit(config, corpus)
        assert WorkerAnswer.model_validate_json(future.result()).state == "done"
    finally:
        workers.close()
