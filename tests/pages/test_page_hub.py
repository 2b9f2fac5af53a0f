"""Checkpoints on the hub: nothing is asked of it until somebody presses the button, and then no weights."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from page_texts import texts
from streamlit.testing.v1 import AppTest

from engine.domain.jobs import ImportCheckpoints
from pages._ui import session
from tests.hub_server import LocalHub

OpenPage = Callable[..., AppTest]


@pytest.fixture
def lab(hub: LocalHub, tmp_path: Path) -> LocalHub:
    hub.repos["lab/tiny"] = {}
    for name in ("step0", "step10", "step20"):
        (folder := tmp_path / name).mkdir()
        (folder / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
        (folder / "model.safetensors").write_bytes(name.encode() * 500_000)
        hub.repos["lab/tiny"][name] = folder
    (adapter := tmp_path / "adapter").mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "org/base"}), encoding="utf-8")
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    hub.repos["me/lora"] = {"main": adapter}
    return hub


def press(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label == label).click().run()
    assert not app.exception
    return app


def test_revisions_are_looked_at_when_asked_and_become_one_run(open_page: OpenPage, lab: LocalHub) -> None:
    app = open_page("models", view="import", folders="lab/tiny", revisions="step0, step10\nstep20")
    assert not app.exception
    assert "lab/tiny@step0, lab/tiny@step10, lab/tiny@step20" in texts(app)
    assert lab.asked == []
    press(app, "Look at the hub")
    table = app.dataframe[0].value
    assert table["step"].tolist() == [10, 20]
    assert table["folder"].tolist() == ["lab/tiny@step10", "lab/tiny@step20"]
    assert next(box for box in app.selectbox if box.label == "Compared with").value == "lab/tiny@step0"
    assert "Downloads 8 MB from the hub into the Hugging Face cache first." in texts(app)
    assert lab.weights_asked() == []
    asked = len(lab.asked)
    app.text_input(key="models steps").set_value("1, 2").run()
    assert app.dataframe[0].value["step"].tolist() == [1, 2]
    assert len(lab.asked) == asked  # the steps are the person's: the hub is not asked again
    press(app, "Import 2 checkpoints")
    (job,) = session.jobs().active()
    assert isinstance(job.request, ImportCheckpoints)
    assert (job.request.name, job.request.steps) == ("tiny", (1, 2))
    assert job.request.folders == ("lab/tiny@step0", "lab/tiny@step10", "lab/tiny@step20")
    assert (job.request.model.source, job.request.model.location) == ("hub", "lab/tiny@step0")


def test_another_base_makes_the_first_revision_a_checkpoint(open_page: OpenPage, lab: LocalHub) -> None:
    app = open_page("models", view="import", folders="lab/tiny@step10\nlab/tiny@step20")
    assert "Revisions" not in [box.label for box in app.text_area]
    press(app, "Look at the hub")
    assert app.dataframe[0].value["step"].tolist() == [20]
    next(box for box in app.selectbox if box.label == "Compared with").set_value("demo").run()
    assert app.dataframe[0].value["step"].tolist() == [10, 20]


def test_an_adapter_is_put_onto_what_it_says(open_page: OpenPage, lab: LocalHub) -> None:
    app = press(open_page("models", view="import", folders="me/lora"), "Look at the hub")
    assert next(box for box in app.text_input if box.label == "Its folder or hub id").value == "org/base"
    assert next(box for box in app.text_input if box.label == "Run name").value == "lora"
    press(app, "Look again")
    assert "Look at the hub" in [button.label for button in app.button]


def test_what_the_hub_does_not_have_is_told(open_page: OpenPage, lab: LocalHub) -> None:
    app = press(open_page("models", view="import", folders="me/nothing"), "Look at the hub")
    assert "The hub has no model “me/nothing”" in texts(app)
    app = open_page("models", view="import", folders="lab/tiny", revisions="<b>")
    assert "is no revision" in texts(app)
