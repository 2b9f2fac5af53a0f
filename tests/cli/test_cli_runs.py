"""Runs from the command line: listed, deleted; and workspaces and names that cannot be."""

import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.cli.app import app
from engine.domain.errors import InputError
from engine.domain.paths import person_path
from engine.domain.runs import RunConfig
from engine.store import Store
from tests.cli.conftest import Cli
from tests.store.artefacts import add_run


@pytest.fixture
def own() -> Store:
    """The workspace of the command line, with a run."""
    store = Store.open()
    add_run(store, "mine")
    return store


def names(store: Store) -> list[str]:
    return [info.config.name for info in store.runs() if not info.bundled]


def test_a_run_is_listed_and_deleted(cli: Cli, own: Store) -> None:
    for words in (("runs",), ("runs", "list")):
        shown = cli(*words)
        assert (shown.exit_code, "mine" in shown.stdout) == (0, True)
    assert cli("runs", "delete", "mine", "--yes").exit_code == 0
    assert names(own) == []
    assert not (own.workspace / "runs" / "mine").exists()


@pytest.mark.parametrize(("answer", "left"), [("y\n", []), ("n\n", ["mine"]), ("", ["mine"])])
def test_deleting_asks_first(own: Store, answer: str, left: list[str]) -> None:
    result = CliRunner().invoke(app, ["runs", "delete", "mine"], input=answer)
    assert names(own) == left
    assert (result.exit_code == 0) is (left == [])


@pytest.mark.parametrize(
    ("name", "words"), [("nothing", "No run named"), ("demo-lora", "bundled demo"), ("../x", "name")]
)
def test_what_cannot_be_deleted(cli: Cli, own: Store, name: str, words: str) -> None:
    result = cli("runs", "delete", name, "--yes")
    assert result.exit_code == 2
    assert words in result.stderr
    assert names(own) == ["mine"]


def test_resuming_a_run_that_is_not_there_is_refused(cli: Cli, own: Store) -> None:
    result = cli("train", "--name", "mien", "--resume")
    assert result.exit_code == 2
    assert "No run named “mien”. Available: mine." in result.stderr
    assert names(own) == ["mine"]


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_workspace_is_refused(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty: str) -> None:
    monkeypatch.chdir(tmp_path)
    for result in (cli("--workspace", empty, "runs"), cli("runs", f"--workspace={empty}")):
        assert result.exit_code == 2
        assert "--workspace is empty" in result.stderr
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="empty"):
        Store.open(empty)


@pytest.mark.parametrize(
    "name", ["100%", "50%20", "what?", "a#b", "with blank", "?mode=memory", "né", "a'b", 'q"q', "x:y"]
)
def test_a_workspace_may_be_called_anything(tmp_path: Path, name: str) -> None:
    add_run(Store(tmp_path / name, bundled=None), "mine")
    store = Store(tmp_path / name, bundled=None)
    assert names(store) == ["mine"]
    assert store.check() == []
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with sqlite3.connect(tmp_path / name / "index.sqlite") as index:
        assert index.execute("select count(*) from artefacts_2 where kind = 'run'").fetchone() == (1,)
    index.close()


@pytest.mark.parametrize("path", ["~nouser-of-this-machine/x", "a\0b", "\ud800", "x" * 256, "xy/" * 1400])
def test_paths_that_no_file_can_have(cli: Cli, path: str) -> None:
    with pytest.raises(InputError):
        person_path(path)
    with pytest.raises(InputError):
        Store(Path(path), bundled=None)
    if "\0" not in path:
        for words in (("--workspace", path, "runs"), ("import", path, "--name", "x"), ("corpus", "check", path)):
            assert cli(*words).exit_code == 2


@pytest.mark.parametrize(
    "words", [("trace", "demo-lora@base"), ("corpus", "make", "--name"), ("train", "--name", "x", "--transcoders")]
)
def test_half_a_character_is_refused(cli: Cli, words: tuple[str, ...]) -> None:
    """What a shell makes of bytes that are no UTF-8."""
    result = cli(*words, "a\udcffb")
    assert result.exit_code == 2
    assert "is not UTF-8 text" in result.stderr


def test_a_run_is_renamed_and_tagged(cli: Cli, own: Store) -> None:
    assert cli("runs", "tag", "mine", "--tag", "kept", "--tag", "good", "--note", "as planned").exit_code == 0
    assert cli("runs", "rename", "mine", "other", "--yes").exit_code == 0
    assert names(own) == ["other"]
    notes = own.run_notes("other")
    assert (notes.tags, notes.note) == (("kept", "good"), "as planned")
    assert cli("runs", "tag", "other", "--tag", "").exit_code == 0
    assert own.run_notes("other") == notes.model_copy(update={"tags": ()})
    assert cli("runs", "tag", "mine").exit_code == 2
    assert "bundled demo" in cli("runs", "rename", "demo-lora", "x", "--yes").stderr


def test_probes_of_another_corpus_are_measured_on_imported_runs_alone(cli: Cli, store: Store) -> None:
    for name, imported in (("here", False), ("theirs", True)):
        config = RunConfig(name=name, corpus="none", imported=imported)
        with store.new_run(config) as folder:
            (folder / "checkpoints").mkdir()
    told = cli("probe", "here", "--corpus", "demo")
    assert told.exit_code == 2
    assert "“here” was trained here on the corpus “none”" in told.stderr
    told = cli("probe", "theirs")
    assert told.exit_code == 2
    assert "was imported without a corpus, whose probes are needed. Measure those of one first" in told.stderr
    assert cli("probe", "theirs", "--corpus", "nowhere").exit_code == 2
    assert "no scores. Measure those of a corpus: probe theirs --corpus NAME" in cli("curves", "theirs").stdout
