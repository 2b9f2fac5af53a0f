"""What is told of a model without loading it is what loading finds."""

import json
from pathlib import Path

import pytest

from engine.domain.errors import ModelUnavailable
from engine.domain.jobs import AddModel, AddRealModel, NeverCanceled, quiet
from engine.domain.models import DEMO_MODEL, ModelSpec
from engine.models.base import load_base
from engine.store import Store
from engine.workflows import run
from engine.workflows.model_facts import model_facts
from tests import tiny

FAMILIES = {
    "Llama": tiny.tiny_llama,
    "Gemma 2": tiny.tiny_gemma2,
    "Qwen 3": tiny.tiny_qwen3,
    "GPT-NeoX": tiny.tiny_neox,
}


@pytest.mark.parametrize("title", FAMILIES)
def test_headers_tell_what_loading_finds(demo_store: Store, tmp_path: Path, title: str) -> None:
    folder = FAMILIES[title](tmp_path / "model")
    spec = ModelSpec(name="tiny", source="folder", location=str(folder))
    facts = model_facts(demo_store, spec)
    loaded = load_base(spec, folder)
    assert facts.family == title
    assert (facts.n_layers, facts.d_model) == (loaded.n_layers, loaded.d_model)
    assert facts.n_parameters == loaded.model.num_parameters()
    assert (facts.written_as, facts.no_circuits, facts.problem) == ("F32", "", "")


def test_damage_is_a_problem_and_no_error(demo_store: Store, tmp_path: Path) -> None:
    folder = tiny.tiny_llama(tmp_path / "model")
    spec = ModelSpec(name="tiny", source="folder", location=str(folder))
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    for broken in (b"", whole[:20], b"\xff" * 64, (9).to_bytes(8, "little") + b'{"a": 1} ', b"\x02" + bytes(7) + b"[]"):
        weights.write_bytes(broken)
        assert str(folder) in model_facts(demo_store, spec).problem
    weights.unlink()
    assert "no safetensors weights" in model_facts(demo_store, spec).problem
    (folder / "config.json").write_text("[" * 100_000, encoding="utf-8")
    assert str(folder) in model_facts(demo_store, spec).problem
    (folder / "config.json").write_text("[]", encoding="utf-8")
    assert "no object" in model_facts(demo_store, spec).problem
    assert model_facts(demo_store, DEMO_MODEL).n_parameters == 1_148_800


def test_a_model_is_added_whole_or_not_at_all(demo_store: Store, tmp_path: Path) -> None:
    folder = tiny.tiny_llama(tmp_path / "model")
    request = AddModel(model=ModelSpec(name="tiny", source="folder", location=str(folder)))
    assert run(demo_store, request, quiet, NeverCanceled()) == "tiny"
    assert [spec.name for spec in demo_store.models()] == ["demo", "tiny"]
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": {"bits": 4}}), encoding="utf-8")
    other = AddModel(model=request.model.model_copy(update={"name": "other"}))
    with pytest.raises(ModelUnavailable):
        run(demo_store, other, quiet, NeverCanceled())
    assert [spec.name for spec in demo_store.models()] == ["demo", "tiny"]


@pytest.mark.real
def test_the_real_model_is_offered_with_its_corpus(demo_store: Store, real_folder: Path) -> None:
    (demo_store.workspace / "cache").mkdir()
    (demo_store.workspace / "cache" / "smollm2-135m").symlink_to(real_folder)
    assert run(demo_store, AddRealModel(), quiet, NeverCanceled()) == "smollm2-135m"
    facts = model_facts(demo_store, demo_store.model("smollm2-135m"))
    assert (facts.family, facts.n_layers, facts.n_parameters) == ("Llama", 30, 134_515_008)
    assert "english" in {info.name for info in demo_store.corpora()}
