"""A GGUF file as a person has it: added, trained, looked into, removed."""

from pathlib import Path

import pytest

from engine.domain.errors import InputError, NotFound
from engine.domain.jobs import AddModel, NeverCanceled, Train, Where, quiet
from engine.domain.models import ModelSpec
from engine.domain.runs import RunConfig
from engine.store import Store
from engine.workflows import run
from engine.workflows.model_facts import model_facts
from engine.workflows.model_specs import added_spec, model_spec
from tests import gguf_files, tiny

pytest.importorskip("gguf", reason="NO GGUF READER: pip install --no-deps -r requirements-real.txt")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return gguf_files.write_gguf(tmp_path / "My Model.Q8_0.gguf", gguf_files.made("llama"), "llama", kind="Q8_0")


def add(store: Store, spec: ModelSpec) -> ModelSpec:
    return store.model(run(store, AddModel(model=spec), quiet, NeverCanceled()))


def test_it_is_added_trained_looked_into_and_removed(demo_store: Store, file: Path) -> None:
    with pytest.raises(InputError, match=r"is a GGUF file. Add it first: .*`python -m engine models add "):
        model_spec(str(file), tuple(demo_store.models()))
    spec = add(demo_store, added_spec(str(file)))
    folder = Path(spec.location)
    assert (spec.name, spec.source) == ("my-model.q8_0", "folder")
    assert folder.is_relative_to(demo_store.workspace / "cache" / "gguf")
    facts = model_facts(demo_store, spec)
    assert (facts.family, facts.n_layers, facts.problem) == ("Llama", 2, "")
    assert facts.converted is not None
    assert facts.converted.stored_as == "Q8_0, F32"
    assert model_spec(str(file), tuple(demo_store.models())) == spec  # from now on the file names it
    demo_store.save_corpus(tiny.tiny_corpus())
    config = RunConfig(name="mine", model=spec, corpus="tiny", n_steps=2, capture_every=1)
    run(demo_store, Train(config=config), quiet, NeverCanceled())
    found = run(demo_store, Where(a="mine@base", b="mine@step2", prompt="the cat feels"), quiet, NeverCanceled())
    assert found
    demo_store.delete_model(spec.name)
    assert folder.is_dir()  # the run needs it
    demo_store.save_model(spec)
    demo_store.delete_run("mine")
    demo_store.delete_model(spec.name)
    assert not folder.exists()
    assert file.is_file()
    with pytest.raises(NotFound):
        demo_store.model(spec.name)


def test_it_keeps_its_name_and_another_file_gets_its_own(demo_store: Store, file: Path, tmp_path: Path) -> None:
    spec = add(demo_store, added_spec(str(file)))
    assert added_spec(str(file), tuple(demo_store.models())).name == spec.name
    other = tmp_path / "other" / file.name
    other.parent.mkdir()
    gguf_files.write_gguf(other, gguf_files.made("qwen2"), "qwen2")
    assert add(demo_store, added_spec(str(other), tuple(demo_store.models()))).name != spec.name
    demo_store.save_model(spec.model_copy(update={"name": "twin"}))
    demo_store.delete_model(spec.name)
    assert Path(spec.location).is_dir()  # its twin needs it


def test_a_damaged_description_can_be_removed(demo_store: Store, file: Path) -> None:
    spec = add(demo_store, added_spec(str(file)))
    (demo_store.workspace / "models" / f"{spec.name}.json").write_text("{", encoding="utf-8")
    demo_store.delete_model(spec.name)
    assert spec.name not in {one.name for one in demo_store.models()}
