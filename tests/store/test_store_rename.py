"""A run's other name: its own goes with it, nothing speaks of the old one, and a kill leaves one of both."""

import json
from contextlib import suppress
from pathlib import Path

import pytest

from engine.domain.errors import InputError, NameRefused, NotFound
from engine.domain.jobs import JobRecord, MeasureProbes
from engine.domain.runs import RunNotes
from engine.store import Store, claims
from engine.store.renaming import RENAMED
from tests.many_runs import add_jobs, copy_graphs, copy_runs
from tests.store.artefacts import add_run


@pytest.fixture
def mine(tmp_path: Path) -> Store:
    """Two runs with three graphs, a comparison, a note and a job each."""
    runs = copy_runs(tmp_path / "workspace", 2)
    copy_graphs(tmp_path / "workspace", runs, 3)
    add_jobs(tmp_path / "workspace", runs)
    store = Store.open(tmp_path / "workspace")
    store.save_run_notes("copy-0", RunNotes(note="good", tags=("a",)))
    return store


def speaks_of(workspace: Path, name: str) -> list[str]:
    """Files whose path or content has the name; the database is read by the store alone."""
    files = [path for path in workspace.rglob("*") if path.is_file() and not path.name.startswith("index.sqlite")]
    named = [path for path in files if name in str(path.relative_to(workspace))]
    return [str(path) for path in (*named, *(path for path in files if name.encode() in path.read_bytes()))]


def test_all_of_its_own_goes_with_it_and_nothing_speaks_of_the_old_name(mine: Store) -> None:
    before = mine.checkpoints("copy-0")
    weights = {one.step: (one.folder / "probes.json").read_bytes() for one in before}
    made = next(info.created_at for info in mine.runs() if info.name == "copy-0")
    assert mine.n_speaking_of("copy-0") == 3 + 1
    mine.rename_run("copy-0", "renamed-run")
    after = mine.checkpoints("renamed-run")
    assert [one.state for one in after] == [one.state for one in before]
    assert {one.step: (one.folder / "probes.json").read_bytes() for one in after} == weights
    assert mine.run_notes("renamed-run") == RunNotes(note="good", tags=("a",))
    assert mine.run("renamed-run").name == "renamed-run"
    assert next(info.created_at for info in mine.runs() if info.name == "renamed-run") == pytest.approx(made)
    assert speaks_of(mine.workspace, "copy-0") == []
    assert speaks_of(mine.workspace, "copy-1") != []  # of the other run all stays
    assert len([key for key in mine.graph_keys() if key.checkpoint.startswith("copy-1@")]) == 3
    with pytest.raises(NotFound):
        mine.run("copy-0")
    assert not mine.check()


def test_a_set_that_has_seen_it_knows_the_new_name(mine: Store) -> None:
    meta = mine.transcoder_sets()[0]
    folder = mine.workspace / "transcoders" / "own"
    folder.mkdir(parents=True)
    own = meta.model_copy(update={"name": "own", "checkpoints": ("copy-0@base", "copy-1@100%")})
    (folder / "set.json").write_text(own.to_json(), encoding="utf-8")
    mine.sync()
    mine.rename_run("copy-0", "renamed-run")
    found = next(one for one in mine.transcoder_sets() if one.name == "own")
    assert found.checkpoints == ("renamed-run@base", "copy-1@100%")


def test_what_cannot_be_renamed_stays(mine: Store) -> None:
    with pytest.raises(NameRefused, match="bundled demo"):
        mine.rename_run("demo-lora", "x")
    with pytest.raises(NameRefused, match="bundled demo"):
        mine.rename_run("copy-0", "demo-lora")
    with pytest.raises(InputError, match="already exists"):
        mine.rename_run("copy-0", "copy-1")
    with pytest.raises(NameRefused):
        mine.rename_run("copy-0", "../out")
    with pytest.raises(NotFound):
        mine.rename_run("nobody", "x")
    job = JobRecord(
        id="20260101-999999-abcdef", title="probing copy-0", request=MeasureProbes(run="copy-0"), state="running",
        created_at=1.0, claim=claims.own(mine.workspace),
    )  # fmt: skip
    (mine.workspace / "jobs" / f"{job.id}.json").write_text(job.to_json(), encoding="utf-8")
    with pytest.raises(InputError, match="A job works on the run"):
        mine.rename_run("copy-0", "x")
    assert {info.name for info in mine.runs() if not info.bundled} == {"copy-0", "copy-1"}
    assert mine.n_speaking_of("copy-0") == 4


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("after", [0, 1, 4, 6])
def test_a_kill_leaves_the_old_run_or_the_new_one(mine: Store, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Killed before the n-th removal: with the first, the run has its new name already."""
    done = 0

    def removing(path: Path) -> None:
        nonlocal done
        if done == after:
            raise Killed
        done += 1
        real(path)

    from engine.store import store as module

    real = module.remove
    monkeypatch.setattr(module, "remove", removing)
    with suppress(Killed):
        mine.rename_run("copy-0", "renamed-run")
    monkeypatch.undo()
    again = Store.open(mine.workspace)
    assert {info.name for info in again.runs() if not info.bundled} == {"renamed-run", "copy-1"}
    assert speaks_of(mine.workspace, "copy-0") == []
    assert not again.check()


def test_a_kill_before_its_moment_changes_nothing(mine: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise Killed

    monkeypatch.setattr("engine.store.renaming._link", link)
    with pytest.raises(Killed):
        mine.rename_run("copy-0", "renamed-run")
    monkeypatch.undo()
    again = Store.open(mine.workspace)
    assert {info.name for info in again.runs() if not info.bundled} == {"copy-0", "copy-1"}
    assert again.n_speaking_of("copy-0") == 4
    assert json.loads((again.run_folder("copy-0") / "run.json").read_text(encoding="utf-8"))["name"] == "copy-0"


def test_a_damaged_note_of_a_renaming_keeps_nobody_out(store: Store) -> None:
    add_run(store)
    (store.run_folder("one") / RENAMED).write_text("{", encoding="utf-8")
    assert [info.name for info in Store.open(store.workspace).runs() if not info.bundled] == ["one"]
