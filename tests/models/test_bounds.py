"""What a folder may ask for is told from the heads of its files and the parts of its patterns, before any work."""

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import LlamaConfig

from engine.domain.errors import Damaged, InputError
from engine.models.bounds import (
    refuse_endless,
    refuse_larger_than_weights,
    refuse_other_sizes,
    why_endless,
)

FINE = [
    r"q_proj",
    r".*\.(q_proj|v_proj)$",
    r"^(?!lm_head).*\.layers\.\d+\.self_attn\.(q|k|v|o)_proj",
    r"model\.layers\.(0|1|23)\.mlp\.(?:gate|up|down)_proj",
    r".*\.\d{1,3}\.attn",
    r"(?:.*?(?:language|text).*?(?:self_attn|mlp).*?(?:q_proj|k_proj).*?)|(?:\bmodel\.layers\.[\d]{1,}\.mlp)",
]
ENDLESS = [
    r"([a-z_.0-9]+)+!",
    r"(a|aa)+b",
    r"(a*)*b",
    r"(?:[a-z]+\.?)*!",
    r".*.*.*.*.*.*.*!",
    r"(x+x+)+y",
    r"(.*)\1\1!",
    "(?:ab|a)" * 30 + "!",
    "a?" * 30 + "a" * 30,
    "(?=([a-z]+)+!).*",
    "a" * 3000,
    "(" * 2000,
    "(",
]


@pytest.mark.parametrize("pattern", FINE)
def test_patterns_as_people_write_them_are_taken(pattern: str) -> None:
    assert why_endless(pattern) == ""
    for name in ("model.layers.11.self_attn.q_proj", "a" * 40, "." * 40, "model." * 6):
        re.fullmatch(pattern, name)  # ends


@pytest.mark.parametrize("pattern", ENDLESS, ids=range(len(ENDLESS)))
def test_patterns_that_could_take_for_ever_are_refused_unmatched(pattern: str) -> None:
    assert why_endless(pattern)


@pytest.mark.parametrize(
    "fields",
    [
        {"target_modules": ENDLESS[0]},
        {"exclude_modules": ENDLESS[0]},
        {"rank_pattern": {ENDLESS[0]: 4}},
        {"alpha_pattern": {ENDLESS[0]: 4}},
        {"layers_pattern": [ENDLESS[0]]},
        {"modules_to_save": [ENDLESS[0]]},
    ],
)
def test_wherever_peft_takes_a_pattern(fields: dict[str, object]) -> None:
    with pytest.raises(InputError, match="could take for ever"):
        refuse_endless(Path("adapter"), fields)


def test_names_and_nothing_are_no_patterns() -> None:
    refuse_endless(Path("adapter"), {"target_modules": ["q_proj", "("], "rank_pattern": {}, "modules_to_save": None})


def test_a_rank_has_to_fit_into_the_tensors(tmp_path: Path) -> None:
    weights = tmp_path / "adapter_model.safetensors"
    save_file({"x.lora_A.weight": torch.zeros(4, 32), "x.lora_B.weight": torch.zeros(32, 4)}, weights)
    for fields in ({"r": 4}, {"r": 8, "rank_pattern": {"x": 4}}, {"rank_pattern": {"x": [True] * 4}}):
        refuse_larger_than_weights(tmp_path, weights, fields)
    for fields in ({"r": 2_000_000}, {"r": 4, "rank_pattern": {"x": 2_000_000}}, {"r": 4, "init_r": 33}):
        with pytest.raises(InputError, match="no side of its tensors is longer than 32"):
            refuse_larger_than_weights(tmp_path, weights, fields)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({}, ""),
        ({"num_hidden_layers": 3}, "3 layers, and the weights have 2"),
        ({"intermediate_size": 65}, "intermediate_size is 65, and no side of the weights is longer than 64"),
        ({"vocab_size": 10**9}, "vocab_size is 1,000,000,000"),
        ({"hidden_size": 10**9}, "hidden_size is"),
    ],
)
def test_a_model_is_as_large_as_its_weights(tmp_path: Path, said: dict[str, int], why: str) -> None:
    own = {"num_hidden_layers": 2, "hidden_size": 16, "intermediate_size": 64, "vocab_size": 40}
    tensors = {f"model.layers.{layer}.mlp.up_proj.weight": torch.zeros(64, 16) for layer in range(2)}
    save_file(tensors | {"model.embed_tokens.weight": torch.zeros(40, 16)}, tmp_path / "model.safetensors")
    config = LlamaConfig(**(own | said))
    if not why:
        refuse_other_sizes(tmp_path, config)
        return
    with pytest.raises(Damaged, match=why):
        refuse_other_sizes(tmp_path, config)
