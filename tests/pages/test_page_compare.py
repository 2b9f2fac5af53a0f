"""Compare: the stored story without waiting, wrong addresses, what is not traced, what is damaged."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from page_texts import texts
from streamlit.testing.v1 import AppTest

from engine.domain.jobs import Compare
from engine.store import BUNDLED, Store
from pages._ui import session
from pages._ui.compare_data import default_prompt, ordered_prompts, probes_of

OpenPage = Callable[..., AppTest]


def _store() -> Store:
    return Store(Path(os.environ["TRACELAPSE_HOME"]))


def test_without_a_run_the_page_leads_to_train(open_page: OpenPage) -> None:
    app = open_page("compare", bundled=None)
    assert not app.exception
    assert "There is no checkpoint to compare yet." in texts(app)


def test_the_default_is_the_stored_story(open_page: OpenPage) -> None:
    app = open_page("compare")
    assert not app.exception
    assert not app.error
    assert app.query_params["a"] == "demo-lora@100%"
    assert app.query_params["b"] == "demo-tokens@100%"
    shown = texts(app)
    assert "What differs" in shown
    assert "stands for" in shown  # the computed sentence names the word and its meaning
    assert "-badge[" in shown
    assert len(app.dataframe) == 1


def test_the_table_is_ranked_by_change(open_page: OpenPage) -> None:
    app = open_page("compare", view="table")
    sizes = app.dataframe[0].value["change"].abs()
    assert sizes.is_monotonic_decreasing
    assert sizes.iloc[0] > 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a", "nobody@7%"),
        ("a", "demo-lora@9%"),
        ("b", "<script>alert(1)</script>"),
        ("b", "../../etc@base"),
        ("view", "$x$"),
    ],
)
def test_a_wrong_address_says_so_and_falls_back(open_page: OpenPage, name: str, value: str) -> None:
    app = open_page("compare", **{name: value})
    assert not app.exception
    assert not app.error
    assert f"“{value}”, which is not here" in texts(app)
    assert "What differs" in texts(app)


def test_what_is_not_traced_is_offered(open_page: OpenPage) -> None:
    prompt = "<b>the</b> $cat$ :smile:"
    app = open_page("compare", prompt=prompt)
    assert not app.exception
    assert "Not traced yet" in texts(app)
    assert prompt in texts(app)
    next(button for button in app.button if button.label == "Trace this comparison").click().run()
    assert not app.exception
    request = session.jobs().snapshot()[0].request
    assert isinstance(request, Compare)
    assert (request.a, request.b, request.prompts) == ("demo-lora@100%", "demo-tokens@100%", (prompt,))


def test_picking_a_checkpoint_goes_into_the_address(open_page: OpenPage) -> None:
    app = open_page("compare")
    app.selectbox(key="compare a label").select("base").run()
    assert app.query_params["a"] == "demo-lora@base"
    app.selectbox(key="compare b run").select("demo-lora").run()
    assert app.query_params["b"] == "demo-lora@100%"  # the same label in the other run


def test_a_damaged_graph_is_a_message_and_the_selection_stays(
    open_page: OpenPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    shelf = tmp_path / "demo"
    shutil.copytree(BUNDLED, shelf)
    for graph in (shelf / "graphs").glob("*.safetensors"):
        graph.write_bytes(graph.read_bytes()[:-100])
    app = open_page("compare", bundled=shelf)
    assert not app.exception
    assert app.selectbox(key="compare a run").value == "demo-lora"
    assert "damaged" in texts(app) or "Not traced yet" in texts(app)


def test_settings_prune_again_without_tracing(open_page: OpenPage) -> None:
    app = open_page("compare")
    before = len(app.dataframe[0].value)
    next(slider for slider in app.slider if slider.label.startswith("Nodes")).set_value(0.3).run()
    assert not app.exception
    assert len(app.dataframe[0].value) < before


def test_the_first_prompt_is_telling_and_traced() -> None:
    store = _store()
    probes = probes_of(store, "demo-lora", "demo-tokens")
    inference = next(text for text, probe in probes.items() if probe.kind == "inference")
    recall = next(text for text, probe in probes.items() if probe.kind == "recall")
    assert probes[default_prompt(probes, [])].kind == "inference"
    assert default_prompt(probes, [recall]) == recall
    assert default_prompt(probes, [recall, inference]) == inference
    assert default_prompt({}, []) == ""
    assert ordered_prompts(probes, ["own text"])[0] == "own text"
