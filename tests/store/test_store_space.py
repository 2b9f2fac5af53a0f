"""Room on the disk: every byte is counted once, and freeing takes only what can be made again."""

from pathlib import Path

from engine.domain.runs import RunNotes
from engine.store import Store
from tests.store.artefacts import add_run, graph, key


def total(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def test_every_byte_is_counted_once(store: Store) -> None:
    add_run(store)
    store.save_graph(graph())
    rooms = {room.use: room for room in store.room()}
    assert sum(room.n_bytes for room in rooms.values()) == total(store.workspace)
    assert rooms["checkpoints"].n_bytes == total(store.workspace / "runs") == store.room_of("run", "one")
    assert rooms["graphs"].n_files == 1
    assert store.room_of("run", "nobody") == 0


def test_only_what_can_be_made_again_is_freed(store: Store) -> None:
    add_run(store)
    store.save_graph(graph())
    store.save_run_notes("one", RunNotes(note="keep me"))
    n_bytes = {room.use: room.n_bytes for room in store.room()}["graphs"]
    assert store.free(["checkpoints", "transcoder sets", "other"]) == 0
    freed = store.free(["graphs", "measures"])
    assert freed == n_bytes
    assert not store.has_graph(key())
    assert store.graph_keys() == []
    assert [info.name for info in store.runs()] == ["one"]
    assert store.run_notes("one").note == "keep me"
    assert store.check() == []


def test_what_was_written_on_a_run_goes_with_it(store: Store) -> None:
    add_run(store)
    assert store.run_notes("one") == RunNotes()
    store.save_run_notes("one", RunNotes(note="a", tags=("b",)))
    assert store.run_notes("one").tags == ("b",)
    store.delete_run("one")
    add_run(store)
    assert store.run_notes("one") == RunNotes()
