"""Whether checkpoints are put onto the base that they say: by its place, its name, or neither."""

from pathlib import Path

import pytest

from engine.domain.imports import FoundCheckpoint
from engine.domain.models import DEMO_MODEL, ModelSpec
from engine.store import Store
from engine.workflows.declared_bases import another_base


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
