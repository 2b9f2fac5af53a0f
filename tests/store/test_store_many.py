"""A workspace with many artefacts: lists are read once, opening looks at names alone, and nothing is overlooked."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from engine.domain.runs import RunNotes
from engine.store import BUNDLED, Store
from engine.store.layout import main_file, scan, stamps_of
from tests.many_runs import copy_graphs, copy_runs


@pytest.fixture
def large(tmp_path: Path) -> Store:
    """Three runs with five graphs each."""
    runs = copy_runs(tmp_path / "workspace", 3)
    copy_graphs(tmp_path / "workspace", runs, 5)
    return Store(tmp_path / "workspace", bundled=BUNDLED)


def test_copies_are_whole(large: Store) -> None:
    assert len([key for key in large.graph_keys() if key.checkpoint.startswith("copy-1@")]) == 5
    assert not large.check()


def test_runs_have_the_steps_that_their_folders_have(large: Store) -> None:
    for info in large.runs():
        folders = sorted(int(path.name[5:]) for path in (large.run_folder(info.name) / "checkpoints").iterdir())
        assert list(info.steps) == folders


def test_stamps_are_those_of_the_main_files() -> None:
    found = {(one.kind, one.name): one for one in scan(BUNDLED)}
    stamps = {(kind, name): stamp for kind, name, stamp in stamps_of(BUNDLED)}
    assert stamps == {key: (BUNDLED / main_file(*key)).stat().st_mtime_ns for key in found}
    assert {"run", "checkpoint", "graph", "corpus", "labels", "study"} <= {kind for kind, _ in stamps}


def test_one_artefact_is_found_without_looking_at_the_others(large: Store) -> None:
    with sqlite3.connect(large.workspace / "index.sqlite") as index:
        for where in ("kind = 'run' and name = 'copy-1'", "kind = 'run'", "parent = 'copy-1' and kind = 'checkpoint'"):
            (plan, *_) = index.execute(f"explain query plan select * from artefacts_2 where {where}").fetchall()  # noqa: S608
            assert plan[3].startswith("SEARCH"), (where, plan)


def test_a_list_of_corpora_tells_pairs_and_words_without_reading_any(
    large: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = large.corpus("demo")
    large.save_corpus(replace(demo, name="bare", probes=(), pairs=()))
    other = Store(large.workspace, bundled=BUNDLED)
    monkeypatch.setattr("engine.store.catalogue.read_corpus", lambda _: pytest.fail("read"))
    monkeypatch.setattr("engine.store.corpora.read_corpus", lambda _: pytest.fail("read"))
    found = {info.name: info for info in other.corpora()}
    assert found["demo"].has_pairs
    assert found["demo"].words == demo.words
    assert not found["bare"].has_pairs
    assert set(found["bare"].words or ()) == {word for one in demo.examples for word in one.text.split()}


def test_a_corpus_of_too_many_words_for_a_list_says_so(large: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.store.catalogue.MOST_WORDS", 10)
    large.save_corpus(replace(large.corpus("demo"), name="many"))
    assert next(info for info in large.corpora() if info.name == "many").words is None


def test_a_list_is_parsed_once_and_again_when_it_changed(large: Store) -> None:
    first, again = large.graph_keys(), large.graph_keys()
    assert all(one is other for one, other in zip(first, again, strict=True))
    config = large.run("copy-0")
    path = large.run_folder("copy-0") / "run.json"
    path.write_text(config.model_copy(update={"seed": 99}).to_json(), encoding="utf-8")
    other = Store(large.workspace, bundled=BUNDLED)  # another process sees it and tells the index
    assert other.run("copy-0").seed == 99
    assert next(info for info in large.runs() if info.name == "copy-0").config.seed == 99


def test_comparisons_of_two_checkpoints_are_those_of_all(large: Store) -> None:
    every = large.comparisons()
    pairs = {frozenset((one.key.a, one.key.b)) for one in every if one.key.a != one.key.b}
    assert pairs
    for a, b in map(sorted, pairs):
        expected = [one for one in every if {one.key.a, one.key.b} == {a, b}]
        assert large.comparisons_of(a, b) == expected
        assert large.comparisons_of(b, a) == expected


def test_notes_of_all_runs_are_read_at_once(large: Store) -> None:
    large.save_run_notes("copy-2", RunNotes(note="odd", tags=("x",)))
    (large.run_folder("copy-1") / "about.json").write_text("{", encoding="utf-8")
    assert large.noted_runs() == {"copy-2": RunNotes(note="odd", tags=("x",))}


def test_what_is_mended_is_listed_without_opening_again(large: Store) -> None:
    path = large.run_folder("copy-0") / "run.json"
    whole = path.read_bytes()
    path.write_bytes(b"{")
    large.sync()
    assert [problem.path for problem in large.unreadable()] == [path]
    assert "copy-0" not in [info.name for info in large.runs()]
    path.write_bytes(whole)
    assert large.unreadable() == []
    assert "copy-0" in [info.name for info in large.runs()]
