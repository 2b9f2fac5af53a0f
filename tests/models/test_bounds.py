"""What an adapter's configuration asks for is bounded, and what people really write passes."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from engine.domain.errors import Damaged, InputError
from engine.models import bounds
from engine.models.configs import model_config

NAMES = [f"model.layers.{layer}.{kind}_proj" for layer in range(2) for kind in ("self_attn.q", "mlp.down")]
ENDLESS = "([a-z_.0-9]+)+!"


@pytest.mark.parametrize(
    "config",
    [
        {"target_modules": ENDLESS},
        {"exclude_modules": ENDLESS},
        {"rank_pattern": {ENDLESS: 4}},
        {"alpha_pattern": {ENDLESS: 4}},
        {"layers_pattern": [ENDLESS]},
        {"modules_to_save": [ENDLESS]},
        {"target_modules": "(" * 20_000 + "a" + ")*" * 20_000},
    ],
    ids=lambda config: next(iter(config)),
)
def test_a_pattern_without_an_end_is_refused(config: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "LIMIT_S", 0.3)
    with pytest.raises(InputError, match=f"its.json: {next(iter(config))} holds a pattern that takes too long"):
        bounds.refuse_endless("its.json", config, NAMES)


@pytest.mark.parametrize(
    "config",
    [
        {"target_modules": r"(?:.*?(?:language|text).*?(?:self_attn|mlp).*?(?:q_proj).*?)|(?:\bmodel\.layers.*)"},
        {"target_modules": ["q_proj", ENDLESS]},  # PEFT compares the words of a list, and matches none
        {"rank_pattern": {r"layers\.(1|2)\..*": 8}, "modules_to_save": None},
        {"target_modules": "([a-z"},  # no pattern: PEFT says so
    ],
)
def test_patterns_that_people_write_pass(config: dict[str, object]) -> None:
    bounds.refuse_endless("its.json", config, NAMES)


def test_ranks_are_held_to_the_file(tmp_path: Path) -> None:
    weights = tmp_path / "adapter_model.safetensors"
    save_file({"a": np.zeros((2000, 3), np.float16)}, weights)
    about = tmp_path / "adapter_config.json"
    bounds.refuse_ranks(about, {"r": 2000}, weights)
    bounds.refuse_ranks(about, {"r": 64, "rank_pattern": {"q_proj": 1024}}, weights)
    for config in ({"r": 2_000_000}, {"r": 4, "rank_pattern": {"q_proj": 2001}}, {"init_r": 10**9}):
        with pytest.raises(InputError, match=r"adapter_config.json says that the rank is .*holds no matrix of that"):
            bounds.refuse_ranks(about, json.loads(json.dumps(config)), weights)


def test_layers_are_bounded_before_a_configuration_lists_them(tmp_path: Path) -> None:
    config = {"model_type": "gemma2", "architectures": ["Gemma2ForCausalLM"], "num_hidden_layers": 10**10}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for _ in range(2):  # without weights beside it, and with some
        with pytest.raises(Damaged, match=r"config\.json is damaged: it says that num_hidden_layers is 10,000,000,000"):
            model_config(tmp_path)
        save_file({"embed": np.zeros((40, 8), np.float16)}, tmp_path / "model.safetensors")


@pytest.mark.parametrize("said", [{"num_hidden_layers": 100_000}, {"intermediate_size": 10**9}, {"vocab_size": 500}])
def test_a_base_is_held_to_its_files_before_room_is_made(said: dict[str, int], tmp_path: Path) -> None:
    save_file({"embed": np.zeros((40, 8), np.float16), "up": np.zeros((16, 8), np.float16)}, tmp_path / "a.safetensors")
    fits: dict[str, object] = {"num_hidden_layers": 2, "hidden_size": 8, "intermediate_size": 16, "vocab_size": 40}
    bounds.refuse_sizes(tmp_path, fits)
    with pytest.raises(Damaged, match=f"{next(iter(said))} is .*the files hold nothing of that size"):
        bounds.refuse_sizes(tmp_path, fits | said)
