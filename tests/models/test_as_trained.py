"""A checkpoint is what PEFT runs, whatever kind of adapter it is; one that cannot be is refused by name."""

import copy
import json
import warnings
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file

from engine.domain.errors import Damaged, InputError
from engine.models import as_trained, sharing
from engine.models.adapters import CONFIG, WEIGHTS
from engine.models.as_trained import check_as_trained
from engine.models.base import LoadedModel
from engine.models.sharing import checkpoint_model, own_bytes
from tests.families import loaded_family

TOKENS = torch.tensor([[1, 20, 7, 33, 45]])
KINDS: dict[str, dict[str, object]] = {
    "plain": {"target_modules": ["q_proj"]},
    "lora_bias": {"target_modules": ["q_proj", "down_proj"], "lora_bias": True},
    "bias_all": {"target_modules": ["q_proj"], "bias": "all"},
    "dora": {"target_modules": "all-linear", "use_dora": True},
    "rslora": {"target_modules": ["q_proj", "down_proj"], "use_rslora": True},
    "ranks": {"target_modules": ["q_proj", "v_proj"], "rank_pattern": {"v_proj": 4}, "alpha_pattern": {"v_proj": 64}},
    "some layers": {"target_modules": ["q_proj"], "layers_to_transform": [1], "layers_pattern": "layers"},
    "parameters": {"target_modules": [], "target_parameters": ["mlp.down_proj.weight"]},
    "norms": {"target_modules": ["q_proj"], "modules_to_save": ["norm", "input_layernorm"]},
    "pissa": {"target_modules": ["q_proj", "v_proj"], "init_lora_weights": "pissa"},
    "olora": {"target_modules": ["q_proj", "v_proj"], "init_lora_weights": "olora"},
    "embeddings": {"target_modules": ["q_proj", "embed_tokens"]},
    "output": {"target_modules": ["q_proj", "lm_head"]},
    "both ends": {"target_modules": ["q_proj", "embed_tokens", "lm_head"]},
    "saved output": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    "saved embeddings": {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"]},
    "saved ends": {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "lm_head"]},
}


@pytest.fixture(autouse=True)
def _peft_may_warn() -> None:
    """Of tied embeddings that an adapter touches, which is what is tested here."""
    warnings.simplefilter("ignore")


def saved(loaded: LoadedModel, folder: Path, **settings: object) -> Path:
    """As PEFT saves it, with weights that matter."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = LoraConfig(r=2, lora_alpha=8, task_type="CAUSAL_LM", **settings)  # type: ignore[arg-type]
        tuned = get_peft_model(copy.deepcopy(loaded.model), config)
        with torch.no_grad():
            for parameter in tuned.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.3 * torch.randn_like(parameter))
    tuned.save_pretrained(str(folder))
    return folder


def test_what_is_used_is_what_peft_runs(tmp_path: Path) -> None:
    """Embeddings of the one family are tied, those of the other are not."""
    for family in ("gemma2", "llama"):
        loaded = loaded_family(family)
        before = {name: value.clone() for name, value in loaded.model.state_dict().items()}
        untuned = loaded.model(input_ids=TOKENS).logits
        for kind, settings in KINDS.items():
            folder = saved(loaded, tmp_path / family / kind, **settings)
            peft = PeftModel.from_pretrained(copy.deepcopy(loaded.model), folder).eval()
            with torch.no_grad():
                theirs, checked = (model(input_ids=TOKENS).logits for model in (peft, check_as_trained(loaded, folder)))
                ours = checkpoint_model(loaded, folder)(input_ids=TOKENS).logits
            for found in (ours, checked):
                torch.testing.assert_close(found, theirs, rtol=1e-4, atol=1e-4, msg=lambda text, k=kind: f"{k}: {text}")
            assert not torch.allclose(ours, untuned, rtol=1e-2), kind
            left = loaded.model.state_dict()
            assert all(torch.equal(left[name], value) for name, value in before.items()), kind


@pytest.mark.parametrize("kind", ["plain", "bias_all", "dora", "ranks", "saved output"])
def test_peft_runs_an_adapter_on_the_weights_of_the_base_itself(kind: str, tmp_path: Path) -> None:
    """So that to import one takes no second copy of a model of gigabytes."""
    loaded = loaded_family("llama")
    folder = saved(loaded, tmp_path, **KINDS[kind])
    tuned = check_as_trained(loaded, folder)
    assert isinstance(tuned, PeftModel)
    n_saved = sum(value.nbytes for value in load_file(folder / WEIGHTS).values())
    weights = next(loaded.model.parameters()).nbytes + n_saved  # PEFT copies the module that is saved whole
    assert own_bytes(tuned, loaded) <= (n_saved if kind != "saved output" else weights)
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())


def without_targets(loaded: LoadedModel, folder: Path, missing: bool, **settings: object) -> Path:
    saved(loaded, folder, target_modules=["q_proj", "v_proj"], **settings)
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8")) | {"target_modules": None}
    if missing:
        del config["target_modules"]
    (folder / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.mark.parametrize("missing", [True, False])
def test_modules_that_are_not_named_are_those_that_peft_takes_for_the_family(tmp_path: Path, missing: bool) -> None:
    loaded = loaded_family("llama")
    folder = without_targets(loaded, tmp_path, missing)
    with torch.no_grad():
        ours, theirs, base = (
            model(input_ids=TOKENS).logits
            for model in (
                checkpoint_model(loaded, folder),
                PeftModel.from_pretrained(copy.deepcopy(loaded.model), folder).eval(),
                loaded.model,
            )
        )
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(ours, base, rtol=1e-2)
    check_as_trained(loaded, folder)


@pytest.mark.parametrize("missing", [True, False])
def test_a_base_that_would_be_changed_where_nothing_is_named_is_left_alone(tmp_path: Path, missing: bool) -> None:
    loaded = loaded_family("llama")
    before = {name: value.clone() for name, value in loaded.model.state_dict().items()}
    folder = without_targets(loaded, tmp_path, missing, init_lora_weights="pissa")
    with pytest.raises(Damaged, match="target_modules names nothing"):
        checkpoint_model(loaded, folder)
    assert all(torch.equal(value, before[name]) for name, value in loaded.model.state_dict().items())


def test_the_tied_end_that_an_adapter_does_not_touch_stays_the_bases(tmp_path: Path) -> None:
    loaded = loaded_family("gemma2")
    embeddings = loaded.model.get_input_embeddings().weight
    model = checkpoint_model(loaded, saved(loaded, tmp_path, target_modules=["embed_tokens"]))
    assert model.get_output_embeddings().weight is embeddings
    assert not torch.equal(model.get_input_embeddings().weight, embeddings)


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("alora_invocation_tokens", [5, 6], "acts only after certain tokens"),
        ("layer_replication", [[0, 2], [1, 2]], "repeats layers"),
        ("init_lora_weights", "pissa_niter_4", "Convert it to plain LoRA"),
    ],
)
def test_what_is_no_one_set_of_weights_is_refused_by_name(
    setting: str, value: object, said: str, tmp_path: Path
) -> None:
    loaded = loaded_family("llama")
    folder = saved(loaded, tmp_path, target_modules=["q_proj"])
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    (folder / CONFIG).write_text(json.dumps(config | {setting: value}), encoding="utf-8")
    with pytest.raises(InputError, match=said):
        check_as_trained(loaded, folder)


def test_one_that_answers_otherwise_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a kind of adapter were not merged as it runs: what is held is the base."""
    loaded = loaded_family("llama")
    folder = saved(loaded, tmp_path, target_modules=["q_proj"], modules_to_save=["norm"])
    monkeypatch.setattr(as_trained, "checkpoint_model", lambda loaded, _: checkpoint_model(loaded, None))
    with pytest.raises(InputError, match=r"answers differently than PEFT runs it .*modules_to_save"):
        check_as_trained(loaded, folder)


@pytest.mark.parametrize("kind", ["plain", "dora", "pissa"])
def test_weights_of_its_own_that_do_not_fit_are_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the system ends the app. Plain LoRA has none: it stays beside the base's."""
    loaded = loaded_family("llama")
    folder = saved(loaded, tmp_path, **KINDS[kind])
    monkeypatch.setattr(sharing, "free_memory", lambda device, wanted: 1000)
    if kind == "plain":
        checkpoint_model(loaded, folder)
        return
    with pytest.raises(InputError, match=r"weights of its own: 1 MB of them .* 1 MB are free on cpu"):
        checkpoint_model(loaded, folder)
