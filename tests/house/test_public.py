"""What a notebook imports: small, quick, documented; its pages say what the code says, and the notebook runs."""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import engine
from engine.domain.errors import InputError, NotFound
from engine.domain.names import CheckpointRef
from engine.workspace import WhereActed
from tests.analysis.test_acted_tables import acted
from tests.house.notebook_pages import API, NOTEBOOK, api_page, notebook


def test_everything_public_is_there_and_documented() -> None:
    for name in engine.__all__:
        thing = getattr(engine, name)
        if name != "__version__":
            assert inspect.getdoc(thing), name
        for attribute, value in vars(thing).items() if inspect.isclass(thing) else ():
            if not attribute.startswith("_"):
                assert inspect.getdoc(value), f"{name}.{attribute}"
    with pytest.raises(AttributeError, match="nothing"):
        _ = engine.nothing


def test_it_is_imported_and_opened_without_torch() -> None:
    code = "import engine, sys; engine.open(); assert not {'torch', 'streamlit', 'typer'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


@pytest.mark.parametrize(
    ("own", "told"), [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")]
)
def test_waiting_threads_let_go_of_their_core_unless_the_person_says_how_they_wait(
    own: dict[str, str], told: str
) -> None:
    code = "import engine, os; print(os.environ.get('GOMP_SPINCOUNT'))"
    inherited = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=inherited | own, check=True, capture_output=True, text=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.stdout.strip() == told


def test_the_pages_say_what_the_code_says() -> None:
    assert API.read_text(encoding="utf-8") == api_page()


def test_the_notebook_shows_what_it_gives_when_it_is_run() -> None:
    assert NOTEBOOK.read_text(encoding="utf-8") == notebook()


def test_a_difference_shows_itself_and_is_kept_as_a_page(tmp_path: Path) -> None:
    found = engine.open().compare("demo-lora@100%", "demo-tokens@300", "the cat feels blarf and")
    shown = found._repr_html_()
    assert shown.startswith('<iframe sandbox="allow-scripts allow-downloads"')
    assert "<script" not in shown  # it is the frame's text, escaped
    page = found.show("graphs").save(tmp_path / "graphs.html")
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert len(found.edges) == len(found.diff.edges)
    assert set(found.places["layer"]) == {"embeddings", *(f"L{layer}" for layer in range(found.diff.a.n_layers))}


def test_layers_are_named_as_in_the_app() -> None:
    """By hand: nothing at layer 0 but at “bl” and “arf”."""
    found = WhereActed(engine.open()._store, acted())
    assert set(found.places["layer"]) == {"embeddings", "L0", "L1", "L2", "L3", "output"}
    assert found.matrices["layer"].tolist() == ["L0", "L3", "L1", "output", "L2", "embeddings"]


def test_a_number_names_a_checkpoint() -> None:
    assert CheckpointRef.parse("demo-lora@150") == CheckpointRef.parse("demo-lora@step150")
    for wrong in ("demo-lora@", "demo-lora@-5", "demo-lora@1e3", "demo-lora@٣", "demo-lora@1234567890"):
        with pytest.raises(InputError):
            CheckpointRef.parse(wrong)
    with pytest.raises(NotFound):
        engine.open().checkpoints("nobody")
