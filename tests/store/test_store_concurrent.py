"""Many threads and several processes write at once; nothing is lost, half-written or unlisted."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from engine.domain.errors import InputError
from engine.domain.runs import RunConfig
from engine.store import Store, files
from tests.store.artefacts import add_checkpoint, add_run, corpus, graph, key, results, same_graph

WRITER = """
import sys
from pathlib import Path
from engine.store import Store, files
from tests.store.artefacts import *
me, workspace = sys.argv[1], Path(sys.argv[2])
for n in range(12):
    store = Store(workspace, bundled=None)  # opening is part of the race
    add_run(store, f"{me}-{n}", steps=(0, 4))
    store.save_graph(graph(key(f"{me}-{n}@base"), seed=n))
    store.save_graph(graph(key("both@base"), seed=0))
    if n % 3 == 0:
        store.rebuild()
    if n % 4 == 0:
        store.delete_run(f"{me}-{n}")
    store.close()
"""


def in_threads(n_threads: int, work: Callable[[int], object]) -> list[object]:
    """All begin at the same moment; raises what any of them raises."""
    barrier = threading.Barrier(n_threads)

    def start(number: int) -> object:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(start, range(n_threads)))


def test_threads_write_and_read_side_by_side(store: Store) -> None:
    add_run(store, "shared", steps=(0,), n_steps=100)

    def work(number: int) -> None:
        for round_ in range(6):
            step = 1 + number * 6 + round_
            add_checkpoint(store, "shared", step, n_steps=100)
            store.save_probe_results("shared", step, results())
            mine = graph(key(f"shared@step{step}"), seed=step)
            store.save_graph(mine)
            assert same_graph(store.graph(mine.key), mine)
            assert mine.key in store.graph_keys()
            assert step in [point.step for point in store.checkpoints("shared")]
            store.save_graph(graph(key("shared@base")))  # everyone writes this one
            assert store.graph(key("shared@base")).n_nodes == 12

    in_threads(12, work)
    assert [point.step for point in store.checkpoints("shared")] == list(range(73))
    assert len(store.graph_keys()) == 73
    assert store.check() == []


def test_one_name_is_given_once(store: Store) -> None:
    def work(number: int) -> int | None:
        try:
            store.save_run(RunConfig(name="wanted", corpus="words", seed=number))
        except InputError:
            return None
        return number

    won = [number for number in in_threads(16, work) if number is not None]
    assert len(won) == 1
    assert store.run("wanted").seed == won[0]


def test_equal_content_may_be_saved_by_all_at_once(store: Store) -> None:
    in_threads(16, lambda _: store.save_corpus(corpus()))
    assert store.corpus("words") == corpus()
    assert store.check() == []


def test_a_folder_is_replaced_by_many_at_once(tmp_path: Path) -> None:
    """One of them stays, whole; nothing is left over."""

    def work(number: int) -> None:
        for _ in range(10):
            with files.new_folder(tmp_path / "resume", replace=True) as folder:
                (folder / "a").write_text(str(number), encoding="utf-8")
                (folder / "b").write_text(str(number), encoding="utf-8")

    in_threads(6, work)
    assert [path.name for path in tmp_path.iterdir()] == ["resume"]
    assert len({path.read_text(encoding="utf-8") for path in (tmp_path / "resume").iterdir()}) == 1


def test_many_open_a_new_workspace_at_once(tmp_path: Path) -> None:
    def work(number: int) -> None:
        Store(tmp_path / "workspace", bundled=None).save_corpus(corpus(f"c{number}"))

    in_threads(12, work)
    store = Store(tmp_path / "workspace", bundled=None)
    assert len(store.corpora()) == 12
    assert store.check() == []


def test_two_processes_write_at_once(store: Store) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", WRITER, me, store.workspace]) for me in ("a", "b")]
    while any(process.poll() is None for process in processes):
        for info in store.runs():  # a reader meanwhile
            assert info.config.corpus == "words"
        time.sleep(0.02)
    assert [process.returncode for process in processes] == [0, 0]
    assert {info.name for info in store.runs()} == {f"{me}-{n}" for me in "ab" for n in range(12) if n % 4}
    assert len(store.graph_keys()) == 19
    assert store.check() == []
