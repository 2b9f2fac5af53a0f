"""A name never becomes a path outside the workspace, at any door."""

import string
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from engine.domain.corpus import Corpus
from engine.domain.errors import Damaged, InputError, NameRefused, NotFound, TracelapseError
from engine.domain.models import DEMO_MODEL, ModelSpec
from engine.domain.runs import RunConfig
from engine.store import Store, claims
from tests.store.artefacts import add_run, corpus, meta, state

DOORS: dict[str, Callable[[Store, str], object]] = {
    "corpus": lambda store, name: store.corpus(name),
    "delete_corpus": lambda store, name: store.delete_corpus(name),
    "model": lambda store, name: store.model(name) if name != "demo" else store.corpus("missing"),
    "run": lambda store, name: store.run(name),
    "run_folder": lambda store, name: store.run_folder(name),
    "checkpoints": lambda store, name: store.checkpoints(name),
    "checkpoint": lambda store, name: store.checkpoint(f"{name}@base"),
    "new_checkpoint": lambda store, name: store.new_checkpoint(name, state(1)).__enter__(),
    "losses": lambda store, name: store.losses(name),
    "probe_results": lambda store, name: store.probe_results(name),
    "resume_folder": lambda store, name: store.resume_folder(name),
    "new_resume_state": lambda store, name: store.new_resume_state(name),
    "delete_resume_state": lambda store, name: store.delete_resume_state(name),
    "delete_run": lambda store, name: store.delete_run(name),
    "transcoder_set": lambda store, name: store.transcoder_set(name),
    "transcoder_folder": lambda store, name: store.transcoder_folder(name),
}
HOSTILE = [
    "",
    ".",
    "..",
    "../x",
    "/etc/passwd",
    "a/b",
    "a\\b",
    "a\0b",
    "nul",
    "con.txt",
    "é",
    "A",
    "x" * 65,
    "-a",
    "a..b",
]
many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def tree(folder: Path) -> set[str]:
    """Everything around the workspace; the index's own files may change."""
    return {str(path) for path in folder.rglob("*") if not path.name.startswith("index.")}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_refused_at_every_door(store: Store, tmp_path: Path, door: str, name: str) -> None:
    before = tree(tmp_path)
    with pytest.raises((InputError, NotFound)):
        DOORS[door](store, name)
    assert tree(tmp_path) == before


@many
@given(name=st.text(max_size=70) | st.text(alphabet=string.ascii_lowercase + "./-_0@", max_size=12))
@example(name="..")
@example(name="\u2028")
def test_any_text_is_refused_or_unknown(store: Store, tmp_path: Path, name: str) -> None:
    before = tree(tmp_path)
    for door in DOORS.values():
        with pytest.raises((InputError, NotFound)):
            door(store, name)
    assert tree(tmp_path) == before


@many
@given(name=st.text(alphabet=string.ascii_lowercase + "./-_0\\", min_size=1, max_size=12))
@example(name="a.b_c-0")
def test_what_is_saved_lies_inside_the_workspace(store: Store, tmp_path: Path, name: str) -> None:
    claims.own(store.workspace)  # which the first write would make
    before = tree(tmp_path)
    try:
        store.save_corpus(Corpus(name, corpus().examples, ()))
    except NameRefused:
        assert tree(tmp_path) == before
        return
    made = tree(tmp_path) - before - {str(store.workspace / "corpora")}
    folder = store.workspace / "corpora" / name
    assert made <= {str(folder), str(folder / "corpus.jsonl")}
    assert store.corpus(name).name == name
    assert name in [info.name for info in store.corpora()]
    assert store.check() == []
    store.delete_corpus(name)


@pytest.mark.parametrize("name", HOSTILE)
def test_records_refuse_hostile_names_themselves(name: str) -> None:
    with pytest.raises(ValidationError):
        RunConfig(name=name, corpus="c")
    with pytest.raises(ValidationError):
        ModelSpec(name=name, source="hub")


@pytest.mark.parametrize("text", ["", "one", "@", "one@", "one@-1%", "one@step", "one@base/..", "../one@base"])
def test_what_is_no_checkpoint_reference(store: Store, text: str) -> None:
    with pytest.raises(InputError):
        store.checkpoint(text)


def test_a_run_that_is_a_link_to_elsewhere_is_refused(store: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "elsewhere", bundled=None)
    add_run(other, "one")
    (store.workspace / "runs").mkdir()
    (store.workspace / "runs" / "one").symlink_to(other.workspace / "runs" / "one")
    for use in (store.run, store.run_folder, store.checkpoints, store.delete_run):
        with pytest.raises(Damaged, match="points outside the workspace"):
            use("one")
    store.rebuild()
    assert store.runs() == []
    assert "points outside" in store.check()[0].reason
    assert other.check() == []


def test_bundled_names_cannot_be_taken_or_deleted(tmp_path: Path) -> None:
    demo = Store(tmp_path / "demo", bundled=None)
    add_run(demo, "shown")
    with demo.new_transcoder_set(meta("set", ("shown@base",))):
        pass
    demo.close()
    before = tree(tmp_path / "demo")
    store = Store(tmp_path / "workspace", bundled=tmp_path / "demo")
    refused: list[Callable[[], object]] = [
        lambda: store.save_corpus(corpus("words")),
        lambda: store.delete_corpus("words"),
        lambda: store.save_run(RunConfig(name="shown", corpus="words")),
        lambda: store.delete_run("shown"),
        lambda: store.new_checkpoint("shown", state(3)).__enter__(),
        lambda: store.new_resume_state("shown"),
        lambda: store.delete_resume_state("shown"),
        lambda: store.save_losses("shown", store.losses("shown")),
        lambda: store.save_probe_results("shown", 0, store.probe_results("shown")[0]),
        lambda: store.new_transcoder_set(meta("set")).__enter__(),
        lambda: store.save_model(ModelSpec(name="demo", source="hub", location="x")),
    ]
    for use in refused:
        with pytest.raises(NameRefused):
            use()
    store.save_model(DEMO_MODEL)  # changes nothing
    assert tree(tmp_path / "demo") == before
    assert [info.bundled for info in store.runs()] == [True]
    assert issubclass(NameRefused, TracelapseError)
