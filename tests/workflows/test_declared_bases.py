"""Whether checkpoints are put onto the base that they say: by its place, its name, or neither."""

import json
from pathlib import Path

import pytest

from engine.domain.imports import FoundCheckpoint
from engine.domain.models import DEMO_MODEL, ModelSpec
from engine.store import Store
from engine.workflows.declared_bases import another_base, likely_base


def saying(*bases: str) -> list[FoundCheckpoint]:
    return [
        FoundCheckpoint(step=row, path=Path(f"/out/{row}"), kind="adapter", taken=True, why="", base=base)
        for row, base in enumerate(bases, 1)
    ]


@pytest.fixture
def store(demo_store: Store, tmp_path: Path) -> Store:
    for name in ("one", "two"):
        demo_store.save_model(ModelSpec(name=name, source="folder", location=str(tmp_path / name)))
    return demo_store


def test_the_same_base_however_it_is_written(store: Store, tmp_path: Path) -> None:
    one = ModelSpec(name="one", source="folder", location=str(tmp_path / "one"))
    hub = ModelSpec(name="m", source="hub", location="lab/Tiny@step0")
    for model, said in (
        (one, str(tmp_path / "one")), (one, f"{tmp_path}/two/../one"), (one, "D:\\models\\one"), (one, "lab/One"),
        (one, ""), (hub, "lab/Tiny"), (hub, "lab/Tiny@step0"), (hub, "/home/me/tiny/"), (DEMO_MODEL, "data/demo/base"),
        (DEMO_MODEL, "demo"), (DEMO_MODEL, str(store.base_folder(DEMO_MODEL))),
    ):  # fmt: skip
        assert another_base(store, model, saying(said)) == "", said


def test_another_base_is_told_by_its_name(store: Store, tmp_path: Path) -> None:
    two = ModelSpec(name="two", source="folder", location=str(tmp_path / "two"))
    told = another_base(store, two, saying(str(tmp_path / "one"), "lab/other", str(tmp_path / "two")))
    assert told == (
        "These checkpoints say that they were trained from one and lab/other. Put onto two, they make another model "
        "than the one that was trained, unless both are the same."
    )
    assert "Put onto demo," in another_base(store, DEMO_MODEL, saying("lab/other"))  # no model of this name is known
    elsewhere = ModelSpec(name="one-1a2b3c", source="folder", location=str(tmp_path / "copy" / "one"))
    told = another_base(store, elsewhere, saying(str(tmp_path / "one")))  # of equal names, but not the one they say
    assert f"trained from one. Put onto {tmp_path / 'copy' / 'one'}," in told
    assert another_base(store, two, saying("a\0b"))  # no path at all


def full(folder: Path, *, size: int, base: str = "") -> FoundCheckpoint:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "hidden_size": size}), encoding="utf-8")
    return FoundCheckpoint(step=1, path=folder, kind="full", taken=True, why="", base=base)


def test_a_full_model_that_says_no_base_is_likely_one_of_its_shape(store: Store, tmp_path: Path) -> None:
    full(tmp_path / "one", size=8)
    full(tmp_path / "two", size=16)
    merged = full(tmp_path / "merged", size=16)
    store.save_model(ModelSpec(name="merged", source="folder", location=str(merged.path)))  # no base of itself
    for found, name in ((merged, "two"), (full(tmp_path / "other", size=32), None)):
        base = likely_base(store, [found])
        assert (base.name if base else None) == name
    said = likely_base(store, [full(tmp_path / "merged", size=16, base=str(tmp_path / "one"))])
    assert said is not None
    assert said.name == "one"
    assert likely_base(store, saying("lab/other")) is None
    assert likely_base(store, saying("")) is None  # an adapter that says none: nothing is known of it
