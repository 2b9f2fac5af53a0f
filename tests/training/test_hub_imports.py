"""Checkpoints on the hub, through huggingface_hub itself and a hub on this machine: look, import, use, delete."""

import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch
from huggingface_hub.utils import tqdm as bars
from peft import LoraConfig, PeftModel, get_peft_model
from tqdm.contrib.concurrent import ensure_lock
from transformers import AutoModelForCausalLM

from engine.domain.errors import Canceled, InputError, ModelUnavailable
from engine.domain.hub import HubId
from engine.domain.imports import ImportPreview
from engine.domain.jobs import AddModel, Where
from engine.domain.models import ModelSpec
from engine.models.base import LoadedModel, encode, load_base
from engine.models.hub import list_files, without_bars
from engine.models.sharing import checkpoint_model
from engine.store import Store
from engine.workflows.added_vocabulary import what_is_kept
from engine.workflows.adding import add_model
from engine.workflows.checkpoint_folders import preview
from engine.workflows.checkpoint_order import step_in
from engine.workflows.hub_checkpoints import first_revision, hub_ids, look_at
from engine.workflows.imports import import_adapters
from engine.workflows.model_facts import model_facts
from engine.workflows.where import where
from tests.hub_server import LocalHub
from tests.tiny import tiny_qwen3
from tests.training.conftest import Never, quiet

PROMPT = "the cat feels blarf and"


def seen(*ids: str, steps: tuple[int, ...] = ()) -> ImportPreview:
    return preview([Path(one) for one in ids], steps=steps, looked=look_at(hub_ids(ids)))


def take_in(store: Store, *ids: str, model: ModelSpec, steps: tuple[int, ...] = (), **how: Any) -> None:
    given = {"name": "mine", "corpus": None, "report": quiet, "cancel": Never()}
    import_adapters(store, ids, model=model, steps=steps, **{**given, **how})


def tuned(base: Path, amount: float) -> Any:
    model = AutoModelForCausalLM.from_pretrained(base)
    made = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for one in model.parameters():
            one.add_(amount * torch.randn(one.shape, generator=made))
    return model


@pytest.fixture(scope="module")
def adapters(llama: ModelSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Trainer pushes: adapters in `checkpoint-2` and `checkpoint-4`, the last one at the root too, and pickles."""
    out = tmp_path_factory.mktemp("pushed")
    for step in (2, 4):
        made = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM", init_lora_weights=False)
        torch.manual_seed(step)
        folder = out / f"checkpoint-{step}"
        get_peft_model(AutoModelForCausalLM.from_pretrained(llama.location), made).save_pretrained(folder)
        (folder / "trainer_state.json").write_text(f'{{"global_step": {step}, "max_steps": 4}}', encoding="utf-8")
        (folder / "optimizer.bin").write_bytes(b"\x80\x02 never fetched")
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copyfile(out / "checkpoint-4" / name, out / name)
    (out / "README.md").write_text("about it", encoding="utf-8")
    return out


@pytest.fixture(scope="module")
def revisions(llama: ModelSpec, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model with a revision a step, as pretraining leaves them."""
    root, made = tmp_path_factory.mktemp("revisions"), {}
    for name, amount in {"step0": 0.0, "step1000": 0.1, "step2000-tokens4B": 0.2}.items():
        made[name] = Path(shutil.copytree(llama.location, root / name))
        tuned(Path(llama.location), amount).save_pretrained(made[name])
    return made


@pytest.fixture
def pythia(hub: LocalHub, revisions: dict[str, Path]) -> LocalHub:
    hub.repos["lab/tiny-pythia"] = dict(revisions)
    return hub


def test_adapters_are_looked_at_then_taken_in(
    taught: Store, hub: LocalHub, adapters: Path, llama: ModelSpec, tmp_path: Path
) -> None:
    hub.repos["me/lora"] = {"main": adapters}
    found = seen("me/lora")
    assert [(one.step, str(one.path), one.taken) for one in found.checkpoints] == [
        (2, "me/lora/checkpoint-2", True), (4, "me/lora/checkpoint-4", True), (None, "me/lora", False),
    ]  # fmt: skip
    assert found.checkpoints[2].same_as == Path("me/lora/checkpoint-4")
    size = (adapters / "checkpoint-2" / "adapter_model.safetensors").stat().st_size
    assert found.download_bytes == 2 * size
    assert hub.weights_asked() == []
    take_in(taught, "me/lora", model=llama)
    fetched = [name.rpartition("/resolve/")[2].partition("/")[2] for name in hub.weights_asked()]
    assert sorted(fetched) == ["checkpoint-2/adapter_model.safetensors", "checkpoint-4/adapter_model.safetensors"]
    assert not [one for one in hub.asked if one.endswith((".bin", "README.md"))]
    assert seen("me/lora").download_bytes == 0
    loaded = load_base(llama)
    expected = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(llama.location), adapters / "checkpoint-4"
    )
    ids = encode(loaded, PROMPT)
    held = checkpoint_model(loaded, taught.checkpoint("mine@100%").adapter)
    torch.testing.assert_close(held(ids).logits, expected.eval()(ids).logits, rtol=1e-4, atol=1e-5)
    assert where(taught, Where(a="mine@base", b="mine@step2", prompt=PROMPT), quiet, Never())
    shutil.rmtree(tmp_path / "hub-cache")  # the run has what it needs
    assert taught.check() == []
    taught.delete_run("mine")
    assert taught.runs() == []


def test_revisions_of_a_model_become_one_run(taught: Store, pythia: LocalHub, tmp_path: Path) -> None:
    ids = [f"lab/tiny-pythia@{name}" for name in pythia.repos["lab/tiny-pythia"]]
    looked = look_at(hub_ids(ids))
    assert first_revision(ids, looked) == ids[0]
    found = preview([Path(one) for one in ids], looked=looked)
    assert [(one.step, one.kind, one.taken) for one in found.checkpoints] == [
        (1000, "full", True), (2000, "full", True), (None, "full", False),
    ]  # fmt: skip
    assert "step 0, where training began: name it as the base" in found.checkpoints[2].why
    assert "only a reference to its files in the Hugging Face cache" in found.checkpoints[0].stored
    assert pythia.weights_asked() == []
    reports: list[tuple[float, str]] = []
    spec = ModelSpec(name="start", source="hub", location=ids[0])
    take_in(taught, *ids, model=spec, report=lambda *one: reports.append(one))
    assert [c.label for c in taught.checkpoints("mine")] == ["base", "50%", "100%"]
    assert any(f"downloading {ids[1]}: " in message and " of " in message for _, message in reports)
    assert reports[-1][0] == 1.0
    loaded = load_base(spec)
    for checkpoint, name in zip(taught.checkpoints("mine")[1:], ids[1:], strict=True):
        same_as_transformers(loaded, checkpoint.adapter, pythia.repos["lab/tiny-pythia"][name.partition("@")[2]])
    (told,) = what_is_kept(taught, "mine")
    assert told.startswith("50%, 100%: nearly all differs from the base, so the weights of lab/tiny-pythia stay in")
    shutil.rmtree(tmp_path / "hub-cache" / "models--lab--tiny-pythia" / "blobs")
    with pytest.raises(Exception, match=r"cannot be found.*huggingface-cli download lab/tiny-pythia --revision"):
        checkpoint_model(loaded, taught.checkpoint("mine@100%").adapter)
    taught.delete_run("mine")


def same_as_transformers(loaded: LoadedModel, adapter: Path | None, folder: Path) -> None:
    ids = encode(loaded, PROMPT)
    how = loaded.model.config._attn_implementation
    theirs = AutoModelForCausalLM.from_pretrained(folder, attn_implementation=how)
    assert torch.equal(checkpoint_model(loaded, adapter)(ids).logits, theirs(ids).logits)


def test_revisions_without_steps_are_asked_for_them(pythia: LocalHub) -> None:
    names = pythia.repos["lab/tiny-pythia"]
    names |= {"v1": names.pop("step1000"), "v2": names.pop("step2000-tokens4B")}
    ids = ("lab/tiny-pythia@v1", "lab/tiny-pythia@v2")
    assert [(one.why, one.needs_step) for one in seen(*ids).refused] == [
        ("its step is not told: give those of all", True)
    ] * 2
    assert [(one.step, str(one.path)) for one in seen(*ids, steps=(5, 9)).taken] == [(5, ids[0]), (9, ids[1])]
    assert first_revision(ids, look_at(hub_ids(ids))) == ids[0]


def test_a_cancel_ends_the_download_and_the_next_goes_on_from_there(
    taught: Store, pythia: LocalHub, llama: ModelSpec, tmp_path: Path
) -> None:
    class WhenHalf:
        def check(self) -> None:
            if pythia.half_sent.is_set() and list((tmp_path / "hub-cache").rglob("*.incomplete")):
                raise Canceled

    pythia.go_on.clear()
    with pytest.raises(Canceled):
        take_in(taught, "lab/tiny-pythia@step1000", model=llama, cancel=WhenHalf())
    pythia.go_on.set()
    assert taught.runs() == []
    take_in(taught, "lab/tiny-pythia@step1000", model=llama)
    assert [c.step for c in taught.checkpoints("mine")] == [0, 1000]


def test_what_cannot_be_had_is_told_in_the_persons_words(hub: LocalHub, adapters: Path) -> None:
    hub.repos["me/lora"] = {"main": adapters, "step7": adapters}
    hub.repos["me/closed"] = {"main": adapters}
    hub.gated.add("me/closed")
    hub.repos["me/empty"] = {"main": adapters / "nothing"}
    for given, told in (
        ("me/nothing", "no model “me/nothing”.*If you mean a folder on this machine: there is none called me/nothing"),
        ("me/lora@step8", "me/lora has no revision “step8”. It has main, step7."),
        ("me/closed", "me/closed is gated: accept its license at https://huggingface.co/me/closed"),
        ("me/lora/checkpoint-9", "me/lora has no folder “checkpoint-9”"),
    ):
        with pytest.raises(ModelUnavailable, match=told):
            seen(given)
    with pytest.raises(InputError, match=r"^me/empty holds no checkpoint"):
        seen("me/empty")
    assert [str(one.path) for one in seen("me/lora/checkpoint-2@step7").taken] == ["me/lora/checkpoint-2@step7"]


def test_a_folder_tells_its_step_before_the_revision_does(hub: LocalHub, adapters: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(adapters, tmp_path / "out")
    for state in folder.rglob("trainer_state.json"):
        state.unlink()
    hub.repos["me/lora"] = {"step7": folder}
    assert [one.step for one in seen("me/lora@step7").taken] == [2, 4]
    assert [one.step for one in seen("me/lora/checkpoint-2@step7").taken] == [2]
    for step in (2, 4):
        shutil.rmtree(folder / f"checkpoint-{step}")
    assert [one.step for one in seen("me/lora@step7").taken] == [7]


def test_more_files_than_can_be_looked_at_are_refused(
    hub: LocalHub, adapters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repos["me/lora"] = {"main": adapters}
    monkeypatch.setattr("engine.workflows.hub_checkpoints._MOST_FILES", 5)
    with pytest.raises(InputError, match=r"^me/lora holds 13 files. Give a folder of it, me/lora/FOLDER, of at most 5"):
        seen("me/lora")
    assert [one.step for one in seen("me/lora/checkpoint-2").taken] == [2]


def test_refused_kinds_are_named_by_their_id(hub: LocalHub, tmp_path: Path) -> None:
    (folder := tmp_path / "pickled").mkdir()
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x02")
    hub.repos["me/pickled"] = {"main": folder}
    (one,) = seen("me/pickled@main").refused
    assert "pickled weights (pytorch_model.bin), which are never read" in one.why
    assert "from_pretrained('me/pickled', revision='main')" in one.why
    assert hub.weights_asked() == []


def test_without_a_network_the_cache_is_what_there_is(
    taught: Store, hub: LocalHub, adapters: Path, llama: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repos["me/lora"] = {"main": adapters / "checkpoint-4"}
    take_in(taught, "me/lora", model=llama)
    hub.repos["me/other"] = {"main": adapters / "checkpoint-2"}
    seen("me/other")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    take_in(taught, "me/lora", model=llama, name="again")
    assert [c.step for c in taught.checkpoints("again")] == [0, 4]
    (one,) = seen("me/other").refused  # its weights were never fetched
    assert "without a network" in one.why
    with pytest.raises(
        ModelUnavailable, match=r"me/never is not on this machine, also as a folder, and there is no network"
    ):
        seen("me/never")


def test_links_of_the_cache_that_leave_it_are_not_followed(
    taught: Store, hub: LocalHub, adapters: Path, llama: ModelSpec, tmp_path: Path
) -> None:
    hub.repos["me/lora"] = {"main": adapters / "checkpoint-4"}
    take_in(taught, "me/lora", model=llama)
    (link,) = (tmp_path / "hub-cache").glob("models--me--lora/snapshots/*/adapter_model.safetensors")
    link.unlink()
    link.symlink_to(adapters / "checkpoint-2" / "adapter_model.safetensors")
    with pytest.raises(InputError, match=r"^me/lora cannot be taken in: .*a link to a file outside its folder"):
        take_in(taught, "me/lora", model=llama, name="again")


def test_names_that_leave_their_folder_are_passed_over(
    hub: LocalHub, adapters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests import hub_server

    hub.repos["me/lora"] = {"main": adapters / "checkpoint-4"}
    real = hub_server._about
    monkeypatch.setattr(
        hub_server, "_about",
        lambda folder, path: real(folder, path) | ({"rfilename": "../../x.json"} if path.suffix == ".bin" else {}),
    )  # fmt: skip
    listed = [one.name for one in list_files(HubId(name="me/lora")).files]
    assert "adapter_model.safetensors" in listed
    assert not [name for name in listed if ".." in name]
    assert [one.step for one in seen("me/lora").taken] == [4]


def test_an_adapter_is_no_model(taught: Store, pythia: LocalHub, adapters: Path) -> None:
    pythia.repos["me/lora"] = {"main": adapters}
    add = lambda location: AddModel(model=ModelSpec(name="m", source="hub", location=location))  # noqa: E731
    with pytest.raises(ModelUnavailable, match=r"me/lora is an adapter, not a model. Import it as checkpoints"):
        add_model(taught, add("me/lora"), quiet, Never())
    assert pythia.weights_asked() == []
    told: list[str] = []
    assert add_model(taught, add("lab/tiny-pythia@step0"), lambda _, said: told.append(said), Never()) == "m"
    assert any(said.startswith("downloading lab/tiny-pythia@step0: ") for said in told)


def test_a_base_that_lies_in_the_cache_is_used_without_asking(taught: Store, pythia: LocalHub, tmp_path: Path) -> None:
    spec = ModelSpec(name="m", source="hub", location="lab/tiny-pythia@step0")
    seen(spec.location)
    assert "not on this machine yet" in model_facts(taught, spec).problem  # its config.json is
    tuned(pythia.repos["lab/tiny-pythia"]["step0"], 0.1).save_pretrained(
        sharded := tmp_path / "sharded", max_shard_size="40KB"
    )
    shutil.copyfile(pythia.repos["lab/tiny-pythia"]["step0"] / "tokenizer.json", sharded / "tokenizer.json")
    pythia.repos["lab/tiny-pythia"]["step0"] = sharded
    add_model(taught, AddModel(model=spec), quiet, Never())
    pythia.asked.clear()
    load_base(spec)
    add_model(taught, AddModel(model=spec), quiet, Never())
    assert pythia.asked == []
    min((tmp_path / "hub-cache").glob("models--*/snapshots/*/model-*.safetensors")).unlink()
    load_base(spec)
    assert pythia.asked  # a shard was missing


def test_another_kind_of_model_is_refused_before_it_is_downloaded(
    taught: Store, pythia: LocalHub, tmp_path: Path
) -> None:
    spec = ModelSpec(name="other", source="folder", location=str(tiny_qwen3(tmp_path / "qwen")))
    told = r"^lab/tiny-pythia@step1000 is no fine-tune of “other”: it is a llama model, and the base is a qwen3 model"
    with pytest.raises(InputError, match=told):
        take_in(taught, "lab/tiny-pythia@step1000", model=spec)
    assert pythia.weights_asked() == []


def test_a_download_that_breaks_off_is_told(taught: Store, hub: LocalHub, adapters: Path, llama: ModelSpec) -> None:
    hub.repos["me/lora"] = {"main": adapters / "checkpoint-4"}
    hub.broken.add("adapter_model.safetensors")
    told = r"^me/lora could not be downloaded: 410 .* what is here already is kept"
    with pytest.raises(ModelUnavailable, match=told):
        take_in(taught, "me/lora", model=llama)
    assert taught.runs() == []


@pytest.mark.parametrize(
    ("revision", "step"),
    [
        ("step0", 0), ("step143000", 143_000), ("step20000-tokens84B", 20_000), ("stage1-step150-tokens1B", 150),
        ("stage2-ingredient1-step1000-tokens5B", 1000), ("stage1-step-40000", 40_000), ("ckpt_100", 100),
        ("main", None), ("v2", None), ("0123456789abcdef0123456789abcdef01234567", None), ("refs/pr/1", None),
    ],
)  # fmt: skip
def test_steps_in_the_names_of_revisions(revision: str, step: int | None) -> None:
    assert step_in(revision) == step


def test_a_disk_without_room_is_told_before_the_download(
    hub: LocalHub, adapters: Path, taught: Store, llama: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repos["me/lora"] = {"main": adapters}
    full = SimpleNamespace(disk_usage=lambda _: SimpleNamespace(free=10))
    monkeypatch.setattr("engine.models.hub.shutil", full)
    with pytest.raises(ModelUnavailable, match=r"has 1 MB left. Free some space, or start Tracelapse with HF_HOME"):
        take_in(taught, "me/lora", model=llama)
    assert hub.weights_asked() == []


def test_a_download_ends_with_the_process_that_asked_for_it(
    hub: LocalHub, adapters: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repos["me/lora"] = {"main": adapters / "checkpoint-4"}
    hub.go_on.clear()
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    asking = (
        "from engine.domain.hub import HubId; from engine.domain.jobs import NeverCanceled, quiet;"
        "from engine.models.hub import fetch, list_files;"
        "fetch(list_files(HubId(name='me/lora')), quiet, NeverCanceled())"
    )
    with subprocess.Popen([sys.executable, "-c", asking], cwd=Path(__file__).parents[2]) as process:
        try:
            assert hub.half_sent.wait(60)
            (download,) = psutil.Process(process.pid).children()
        finally:
            process.kill()
    until = time.monotonic() + 60
    while download.is_running() and download.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until
        time.sleep(0.05)


def test_downloads_at_a_time_do_not_take_each_others_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sets the lock of the bars and puts back what was there. Two that found none both took theirs away again."""
    monkeypatch.delattr(bars, "_lock", raising=False)
    with without_bars(), ensure_lock(bars):
        assert "_lock" in vars(bars)
    assert "_lock" in vars(bars)
