"""Checkpoints from elsewhere: what lies there, what it is put onto, one button, where to go then."""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from page_texts import texts
from streamlit.testing.v1 import AppTest

from engine.domain.errors import InputError
from engine.domain.jobs import ImportCheckpoints, Request
from engine.domain.models import ModelSpec
from engine.jobs import JobManager
from engine.store import BUNDLED
from pages._ui import session

OpenPage = Callable[..., AppTest]
PATIENCE_S = 20.0


def checkpoint(folder: Path, *, step: int, base: str = "") -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base}), encoding="utf-8")
    (folder / "adapter_model.safetensors").write_text(str(step), encoding="utf-8")
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}), encoding="utf-8")
    return folder


def failed(request: Request) -> None:
    def fail(*_: object) -> str:
        raise InputError("It does not fit this base.")

    ended(request, fail, "failed")


def ended(request: Request, run: Callable[..., str], state: str) -> None:
    """A job of this request, as another process left it."""
    manager = JobManager(session.store(), run=run)
    job_id, deadline = manager.submit(request), time.monotonic() + PATIENCE_S
    while manager.job(job_id).state != state:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    manager.close()


def canceled_all() -> None:
    deadline = time.monotonic() + PATIENCE_S
    for job in session.jobs().active():
        session.jobs().cancel(job.id)
    while session.jobs().active():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_without_a_folder_it_says_what_to_name(open_page: OpenPage) -> None:
    app = open_page("models", view="import")
    assert not app.exception
    assert "Name the folder that your training left" in texts(app)
    assert "Start training" not in [button.label for button in app.button]


def test_what_is_there_is_shown_before_anything_is_taken_in(open_page: OpenPage, tmp_path: Path) -> None:
    out = tmp_path / "my-tune" / "out"
    for step in (2, 4):
        checkpoint(out / f"checkpoint-{step}", step=step, base="org/model")
    app = open_page("models", view="import", folders=str(out))
    assert not app.exception
    table = app.dataframe[0].value
    assert table["step"].tolist() == [2, 4]
    assert table["folder"].tolist() == ["checkpoint-2", "checkpoint-4"]
    assert table["taken"].tolist() == [True, True]
    base = next(box for box in app.text_input if box.label == "Its folder or hub id")
    assert base.value == "org/model"  # as the checkpoints say it
    assert next(box for box in app.text_input if box.label == "Run name").value == "my-tune"
    next(button for button in app.button if button.label == "Import 2 checkpoints").click().run()
    assert not app.exception
    (job,) = session.jobs().active()
    assert isinstance(job.request, ImportCheckpoints)
    assert (job.request.name, job.request.folders) == ("my-tune", (str(out),))
    assert (job.request.model.source, job.request.model.location) == ("hub", "org/model")


def test_what_lies_beside_the_checkpoints_is_left_out_and_can_be_imported_alone(
    open_page: OpenPage, tmp_path: Path
) -> None:
    out = tmp_path / "my-tune" / "out"
    for step in (2, 4):
        checkpoint(out / f"checkpoint-{step}", step=step)
    (out / "merged").mkdir()
    shutil.copyfile(BUNDLED / "base" / "config.json", out / "merged" / "config.json")
    (out / "merged" / "model.safetensors").write_bytes(b"all")
    app = open_page("models", view="import", folders=str(out))
    assert "Import 2 checkpoints" in [button.label for button in app.button]
    assert "**merged** is left out: it is a full model, while the others are adapters" in texts(app)
    assert "--" not in texts(app)
    assert "Write the steps of all" not in texts(app)  # one run of adapters and a model says little
    next(button for button in app.button if button.label == "Import it alone").click().run()
    assert not app.exception
    assert app.dataframe[0].value["folder"].tolist() == ["merged"]
    assert next(box for box in app.selectbox if box.label == "Base model").value == "demo"  # of its shape
    assert "Import 1 checkpoint" in [button.label for button in app.button]


def test_runs_side_by_side_are_offered_one_by_one(open_page: OpenPage, tmp_path: Path) -> None:
    for run in ("run-1", "run-2"):
        for step in (2, 4):
            folder = checkpoint(tmp_path / "out" / run / f"checkpoint-{step}", step=step)
            (folder / "adapter_model.safetensors").write_text(f"{run} {step}", encoding="utf-8")
    app = open_page("models", view="import", folders=str(tmp_path / "out"))
    assert not app.exception
    assert "These look like 2 runs" in texts(app)
    assert "Are they one run? Write the steps of all 4 under “Steps”, in the order of the table." in texts(app)
    offered = [button for button in app.button if button.key and button.key.startswith("import run ")]
    assert [button.label.replace("\\", "").replace("\u2060", "") for button in offered] == [
        "run-1: 2 checkpoints",
        "run-2: 2 checkpoints",
    ]
    offered[1].click().run()
    assert not app.exception
    assert app.query_params["folders"] == str(tmp_path / "out" / "run-2")
    assert next(box for box in app.text_input if box.label == "Run name").value == "run-2"
    assert "These look like" not in texts(app)
    assert "Import 2 checkpoints" in [button.label for button in app.button]


def test_a_step_can_be_given_in_the_browser(open_page: OpenPage, tmp_path: Path) -> None:
    for step in (2, 4):
        checkpoint(tmp_path / f"checkpoint-{step}", step=step)
    (checkpoint(tmp_path / "best", step=7) / "trainer_state.json").unlink()
    app = open_page("models", view="import", folders=str(tmp_path))
    assert "Write the steps of all 3 under “Steps”" in texts(app)
    app.text_input(key="models steps").set_value("2, 4, 5").run()
    assert app.dataframe[0].value["step"].tolist() == [2, 4, 5]
    assert "Import 3 checkpoints" in [button.label for button in app.button]
    app.text_input(key="models steps").set_value("").run()
    app = open_page("models", view="import", folders="\n".join(str(tmp_path / one) for one in ("checkpoint-4", "best")))
    assert "its step is not told" in texts(app)
    assert "--" not in texts(app)
    assert "Write the steps of all 2 under “Steps”" in texts(app)


def test_a_known_base_is_chosen_by_itself(open_page: OpenPage, tmp_path: Path) -> None:
    checkpoint(tmp_path / "final_adapter", step=3)
    app = open_page("models", view="import", folders=str(tmp_path / "final_adapter"))
    assert next(box for box in app.selectbox if box.label == "Base model").value == "demo"
    next(box for box in app.text_input if box.label == "Run name").set_value("demo-lora").run()
    assert "There is already a run named “demo-lora”" in texts(app)
    next(box for box in app.text_input if box.label == "Run name").set_value("My run").run()
    assert "“My run” is not a valid name. Use 1 to 64 of" in texts(app)


def test_a_known_model_of_the_name_that_they_say_is_chosen(open_page: OpenPage, tmp_path: Path) -> None:
    """As a script says its base that named it by a relative path, or on another machine."""
    session.store().save_model(ModelSpec(name="my-base", source="folder", location=str(tmp_path / "my-base")))
    checkpoint(tmp_path / "final_adapter", step=3, base="D:\\models\\my-base")
    app = open_page("models", view="import", folders=str(tmp_path / "final_adapter"))
    assert next(box for box in app.selectbox if box.label == "Base model").value == "my-base"


def test_another_base_than_the_one_that_they_say_is_warned_of(open_page: OpenPage, tmp_path: Path) -> None:
    session.store().save_model(ModelSpec(name="my-base", source="folder", location=str(tmp_path / "my-base")))
    checkpoint(tmp_path / "final_adapter", step=3, base=str(tmp_path / "my-base"))
    app = open_page("models", view="import", folders=str(tmp_path / "final_adapter"))
    warned = "These checkpoints say that they were trained from my-base. Put onto"
    assert warned not in texts(app)
    base = next(box for box in app.selectbox if box.label == "Base model")
    base.set_value("demo").run()
    assert f"{warned} demo" in texts(app)
    assert "Import 1 checkpoint" in [button.label for button in app.button]
    other = next(box for box in app.selectbox if box.label == "Base model")
    other.set_value(other.options[-1]).run()  # a folder or hub id that is typed
    assert warned not in texts(app)
    next(box for box in app.text_input if box.label == "Its folder or hub id").set_value(str(tmp_path)).run()
    assert f"{warned} {tmp_path}" in texts(app)


def test_a_failure_is_of_the_very_settings_that_failed(open_page: OpenPage, tmp_path: Path) -> None:
    session.store().save_model(ModelSpec(name="my-base", source="folder", location=str(tmp_path / "my-base")))
    checkpoint(tmp_path / "final_adapter", step=3, base=str(tmp_path / "my-base"))
    app = open_page("models", view="import", folders=str(tmp_path / "final_adapter"))
    next(button for button in app.button if button.label == "Import 1 checkpoint").click().run()
    (job,) = session.jobs().active()
    canceled_all()
    failed(job.request)
    app.run()
    assert "It does not fit this base." in texts(app)
    assert "Try again" in [button.label for button in app.button]
    next(box for box in app.selectbox if box.label == "Base model").set_value("demo").run()
    assert "It does not fit this base." not in texts(app)
    assert "Import 1 checkpoint" in [button.label for button in app.button]


def test_an_import_under_way_is_shown_to_a_page_that_is_loaded_anew(open_page: OpenPage, tmp_path: Path) -> None:
    for step in (2, 4):
        checkpoint(tmp_path / "a tune" / f"checkpoint-{step}", step=step)
    folder = str(tmp_path / "a tune")
    app = open_page("models", view="import", folders=folder)
    app.text_input(key="models steps").set_value("20, 40").run()
    next(box for box in app.selectbox if box.label == "Corpus").set_value("demo").run()
    next(box for box in app.text_input if box.label == "Run name").set_value("my-own-name").run()
    next(button for button in app.button if button.label == "Import 2 checkpoints").click().run()

    app = open_page("models", view="import", folders=folder + "/")
    assert not app.exception
    assert (
        "**my-own-name** is being imported onto **demo**, with the probes of **demo**. Its steps are 20, 40."
        in texts(app)
    )
    assert [button.label for button in app.button if button.label.startswith(("Import", "Cancel"))] == ["Cancel"]
    assert not [box for box in app.text_input if box.label == "Run name"]

    canceled_all()
    app.run()
    assert not app.exception
    assert app.dataframe[0].value["step"].tolist() == [20, 40]  # the form as it was asked for
    assert next(box for box in app.selectbox if box.label == "Corpus").value == "demo"
    assert next(box for box in app.text_input if box.label == "Run name").value == "my-own-name"
    assert "Import 2 checkpoints" in [button.label for button in app.button]


def test_what_was_imported_is_offered_again_only_when_asked_for(open_page: OpenPage, tmp_path: Path) -> None:
    folder = str(checkpoint(tmp_path / "final_adapter", step=3))
    open_page("models", view="import")
    base = session.store().model("demo")
    request = ImportCheckpoints(name="demo-lora", folders=(folder,), model=base, corpus="demo")
    ended(request, lambda *_: "demo-lora", "done")
    app = open_page("models", view="import", folders=folder)
    assert not app.exception
    assert "**demo-lora**: " in texts(app)
    assert not [box for box in app.text_input if box.label == "Run name"]
    next(button for button in app.button if button.label == "Import them again under another name").click().run()
    assert not app.exception
    assert "taken in" not in texts(app)
    assert next(box for box in app.text_input if box.label == "Run name").value == "final_adapter"
    assert "Import 1 checkpoint" in [button.label for button in app.button]


def test_what_cannot_be_taken_is_told_and_offers_no_button(open_page: OpenPage, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "<b>x</b>" / "checkpoint-2", step=2)
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    app = open_page("models", view="import", folders=str(folder.parent))
    assert not app.exception
    assert "never read" in app.dataframe[0].value["note"][0]
    assert not [button for button in app.button if button.label.startswith("Import")]
    app = open_page("models", view="import", folders=str(tmp_path / "nowhere"))
    assert "is not a folder" in texts(app)


def test_steps_that_are_none_are_told(open_page: OpenPage, tmp_path: Path) -> None:
    checkpoint(tmp_path / "a", step=2)
    app = open_page("models", view="import", folders=str(tmp_path / "a"))
    app.text_input(key="models steps").set_value("ten").run()
    assert "are no steps" in texts(app)
    app.text_input(key="models steps").set_value("10").run()
    assert app.dataframe[0].value["step"].tolist() == [10]


def test_full_fine_tunes_are_shown_with_what_will_be_stored(open_page: OpenPage, tmp_path: Path) -> None:
    for step in (2, 4):
        folder = tmp_path / "out" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
        (folder / "model.safetensors").write_bytes(b"x" * 3_000_000)
    app = open_page("models", view="import", folders=str(tmp_path / "out"))
    assert not app.exception
    table = app.dataframe[0].value
    assert table["kind"].tolist() == ["full", "full"]
    assert "Stored of each: what differs from the base, at most 3 MB" in texts(app)
    assert list(table.columns) == ["step", "taken", "folder", "kind"]  # a cell would cut what is stored
    assert not [button for button in app.button if button.label.startswith("Import 2")]  # no model here is of its shape
    base = next(box for box in app.text_input if box.label == "Its folder or hub id")
    base.set_value("org/model").run()
    assert "Import 2 checkpoints" in [button.label for button in app.button]
