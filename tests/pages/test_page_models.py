"""Models & runs: what is offered and why not, runs with what was written on them, room, adding a model."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from page_texts import texts
from safetensors.numpy import save_file
from streamlit.testing.v1 import AppTest

from engine.domain.jobs import AddModel
from engine.domain.models import Converted, ModelSpec
from engine.domain.real_model import NAME as REAL
from engine.domain.runs import RunConfig, RunNotes
from engine.store import Store
from engine.store.converted import write_converted
from engine.workflows.real import offer
from engine.workflows.transcoders import own_set
from pages._ui import session
from tests.store.artefacts import add_checkpoint, add_transcoders, meta

OpenPage = Callable[..., AppTest]


@pytest.fixture
def own(open_page: OpenPage) -> Store:
    """The store of the app."""
    open_page("models")
    return session.store()


def folder_of(tmp_path: Path, kind: str) -> Path:
    folder = tmp_path / f"my-{kind}"
    folder.mkdir()
    config = {"model_type": kind, "num_hidden_layers": 2, "hidden_size": 8}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file({"w": np.zeros((3, 8), dtype=np.float16), "b": np.zeros(8, dtype=np.float16)}, folder / "m.safetensors")
    return folder


def test_the_bundled_model_its_runs_and_what_can_be_done(open_page: OpenPage) -> None:
    app = open_page("models")
    assert not app.exception
    shown = texts(app)
    assert "1,148,800 parameters" in shown
    assert ":green-badge[trace]" in shown
    runs = app.dataframe[-1].value
    assert runs["run"].tolist() == ["demo-lora", "demo-tokens"]
    assert runs["checkpoints"].tolist() == [17, 17]
    assert len(runs["right, by step"][0]) == 17
    assert "Delete" not in [button.label for button in app.button]  # nothing is checked, and these are the demo's


def test_a_model_without_a_family_says_so_and_one_that_is_gone_too(
    open_page: OpenPage, own: Store, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path, "mixtral")
    own.save_model(ModelSpec(name="my-moe", source="folder", location=str(folder), dtype="bfloat16"))
    own.save_model(ModelSpec(name="my-gone", source="folder", location=str(tmp_path / "nowhere")))
    shown = texts(open_page("models", model="my-moe"))
    assert "mixtures of experts" in shown
    assert ":orange-badge[no graphs]" in shown
    assert "32 parameters, stored as F16. Loaded as bfloat16" in shown
    assert "Nothing was fine-tuned from it here yet" in shown
    gone = texts(open_page("models", model="my-gone"))
    assert "is not there any more" in gone
    assert ":gray-badge[not usable now]" in gone


def test_a_model_is_taken_out_of_the_list_and_its_folder_stays(open_page: OpenPage, own: Store, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "llama")
    own.save_model(ModelSpec(name="mine", source="folder", location=str(folder)))
    app = open_page("models", model="mine")
    app.button(key="remove mine").click().run()
    assert not app.exception
    assert [spec.name for spec in own.models()] == ["demo"]
    assert (folder / "config.json").exists()


def test_tags_choose_among_runs(open_page: OpenPage, own: Store) -> None:
    for name in ("one", "two"):
        own.save_run(RunConfig(name=name, corpus="demo"))
    own.save_run_notes("one", RunNotes(note="<b>best</b> so far", tags=("paper", "paper", "a b")))
    app = open_page("models")
    table = app.dataframe[-1].value.set_index("run")
    assert table.loc["one", "note"] == "<b>best</b> so far"
    assert list(table.loc["one", "tags"]) == ["paper", "a b"]
    app.pills(key="models tags").set_value(["paper"]).run()
    assert app.dataframe[-1].value["run"].tolist() == ["one"]


def _with_rename() -> None:
    import streamlit as st

    from pages._ui.models.runs_view import _rename

    _rename("mine")
    st.button("Delete")


def test_a_name_that_is_refused_says_so_where_it_is_typed(own: Store) -> None:
    own.save_run(RunConfig(name="mine", corpus="demo"))
    app = AppTest.from_function(_with_rename).run()
    new = next(box for box in app.text_input if box.label == "New name")
    new.set_value("мой run (2)")
    next(button for button in app.button if button.label == "Rename it").click().run()
    assert not app.exception
    assert "“мой run (2)” is not a valid name. Use 1 to 64 of" in texts(app)
    assert new.proto.max_chars == 64  # as the message says
    assert "Delete" in [button.label for button in app.button]
    app.run()
    assert "is not a valid name" not in texts(app)
    next(box for box in app.text_input if box.label == "New name").set_value("theirs")
    next(button for button in app.button if button.label == "Rename it").click().run()
    assert [info.name for info in own.runs() if not info.bundled] == ["theirs"]


def test_browsing_goes_up_to_the_root_and_down_again(open_page: OpenPage, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "llama")
    app = open_page("models", view="add")
    app.session_state["models new model browser"] = True
    app.session_state["models new model at"] = str(folder)
    app.run()
    assert not app.exception
    assert "a model or a checkpoint" in texts(app)
    assert "Any path can also be typed into the field itself." in texts(app)
    app.button(key="models new model up").click().run()
    assert app.session_state["models new model at"] == str(tmp_path)
    box = next(box for box in app.selectbox if box.label == "Go to")
    assert "my-llama ✓" in box.options
    for _ in tmp_path.parents:
        app.button(key="models new model up").click().run()
    assert app.session_state["models new model at"] == tmp_path.anchor
    assert app.button(key="models new model up").disabled
    assert not app.exception


def test_the_loss_of_an_imported_run_is_the_one_that_was_logged(open_page: OpenPage, own: Store) -> None:
    own.save_run(RunConfig(name="theirs", corpus="none", imported=True))
    add_checkpoint(own, "theirs", 4, loss=0.5, smoothed_loss=None)
    table = open_page("models").dataframe[-1].value.set_index("run")
    assert table.loc["theirs", "loss"] == 0.5


def test_a_folder_becomes_a_job_and_no_hub_is_asked(open_page: OpenPage, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "llama")
    app = open_page("models", view="add")
    app.text_input(key="models new model").set_value(str(folder)).run()
    assert "hub" not in texts(app).split("is taken for")[-1] or "is taken for" not in texts(app)
    next(
        button for button in app.button if button.label == "Add model" and button.key == "add_model my-llama"
    ).click().run()
    assert not app.exception
    (job,) = session.jobs().active()
    assert job.request == AddModel(model=ModelSpec(name="my-llama", source="folder", location=str(folder)))
    app = open_page("models", view="add")  # loaded anew, it knows no more what was typed
    assert "**my-llama** is being added." in texts(app)
    assert "Cancel" in [button.label for button in app.button]


def test_a_folder_may_be_called_as_the_real_model_is(open_page: OpenPage, own: Store, tmp_path: Path) -> None:
    """Both are offered on one page, and the one is not taken for the other."""
    folder = folder_of(tmp_path, "llama").rename(tmp_path / "SmolLM2-135M")
    app = open_page("models", view="add")
    app.text_input(key="models new model").set_value(str(folder)).run()
    assert not app.exception
    assert [button.label for button in app.button].count("Add model") >= 1
    own.save_model(ModelSpec(name=REAL, source="folder", location=str(folder)))
    app = open_page("models", view="add")
    assert f"**{REAL}** is in the list" not in texts(app)
    assert offer(own, REAL, tmp_path / "cache" / REAL).startswith(f"{REAL}-")
    assert next(spec for spec in own.models() if spec.name == REAL).location == str(folder)


def test_a_path_that_is_none_is_told(open_page: OpenPage) -> None:
    app = open_page("models", view="add")
    app.text_input(key="models new model").set_value("./nowhere").run()
    assert "is not a model: there is no such folder" in texts(app)


def test_a_gguf_file_becomes_a_job_and_tells_what_it_is(open_page: OpenPage, own: Store, tmp_path: Path) -> None:
    file = tmp_path / "my.Q8_0.gguf"
    file.write_bytes(b"GGUF" + bytes(100))
    app = open_page("models", view="add")
    app.text_input(key="models new model").set_value(str(file)).run()
    assert "The weights are those of the quantized file" in texts(app)
    next(button for button in app.button if button.key == "add_model my.q8_0").click().run()
    assert session.jobs().active()[0].request == AddModel(
        model=ModelSpec(name="my.q8_0", source="folder", location=str(file))
    )
    folder = folder_of(tmp_path, "llama")
    write_converted(folder, Converted(file=str(file), sha256="0" * 64, stored_as="Q8_0, F32", weights_sha256={}))
    own.save_model(ModelSpec(name="my.q8_0", source="folder", location=str(folder)))
    shown = texts(open_page("models", model="my.q8_0"))
    assert f"Written from {file} (Q8_0, F32): its weights are those of the quantized file" in shown.replace("\\", "")


def test_memory_and_published_sets_that_fit(open_page: OpenPage, own: Store, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "qwen3")
    config = {"model_type": "qwen3", "num_hidden_layers": 28, "hidden_size": 1024, "num_attention_heads": 16}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    spec = ModelSpec(name="my-qwen", source="folder", location=str(folder))
    own.save_model(spec)
    app = open_page("models", model="my-qwen")
    shown = texts(app)
    assert "Comparing two LoRA checkpoints takes about" in shown
    assert "are free" in shown
    assert "trained on Qwen/Qwen3-0.6B" in shown.replace("\\", "")
    assert "gemma" not in shown
    hub_id = "mwhanna/qwen3-0.6b-transcoders-lowl0"
    app.button(key=f"models set {hub_id}").click().run()
    assert own.model("my-qwen").transcoders == hub_id
    assert own_set(own, spec) == hub_id  # of runs that were trained before it was chosen, too
    assert own_set(own, spec.model_copy(update={"location": "elsewhere"})) == ""
    assert ":green-badge[in use]" in texts(app)
    app.button(key=f"models set {hub_id}").click().run()
    assert own.model("my-qwen") == spec


def test_a_set_that_read_fewer_texts_than_it_was_asked_to_says_so(open_page: OpenPage, own: Store) -> None:
    add_transcoders(own, meta("few").model_copy(update={"n_texts": 624}))
    add_transcoders(own, meta("before"))  # as it was kept before texts were counted
    tables = [frame.value for frame in open_page("models").dataframe if "texts read" in frame.value]
    assert dict(zip(tables[0]["set"], tables[0]["texts read"], strict=True))["few"] == "624 of 5,000"
    assert dict(zip(tables[0]["set"], tables[0]["texts read"], strict=True))["before"] == "–"
