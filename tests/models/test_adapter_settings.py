"""Why an adapter is refused by its settings alone, and that our table of PEFT's settings is PEFT's."""

import dataclasses
import json
from pathlib import Path

import pytest
from peft import PEFT_TYPE_TO_CONFIG_MAPPING, LoraConfig, PeftType

from engine.models.adapter_settings import ORIGIN, PEFT_FIELDS, why_refused
from engine.workflows.checkpoint_folders import CONFIG, WEIGHTS, preview


@pytest.mark.parametrize("kind", PEFT_FIELDS)
def test_the_table_is_what_the_installed_peft_reads(kind: str) -> None:
    theirs = {field.name for field in dataclasses.fields(PEFT_TYPE_TO_CONFIG_MAPPING[PeftType(kind)])}
    assert PEFT_FIELDS[kind] - ORIGIN == theirs - ORIGIN


REFUSED = [
    ({"peft_type": "VERA"}, "is an adapter of type VERA. Supported types: LORA"),
    ({"alora_invocation_tokens": [5]}, "acts only after certain tokens"),
    ({"task_type": "SEQ_CLS"}, "is an adapter of a classifier or reward model (SEQ_CLS)"),
    ({"r": "4"}, 'says in adapter_config.json that r is "4"'),
    ({"r": True}, "says in adapter_config.json that r is true, which is no number"),
    ({"r": 4.5}, "says in adapter_config.json that r is 4.5, which is no whole number above 0"),
    ({"r": 0}, "says in adapter_config.json that r is 0, which is no whole number above 0"),
    ({"target_modules": 5}, "says in adapter_config.json that target_modules is 5, which is no list of names"),
    ({"modules_to_save": "lm_head"}, 'says in adapter_config.json that modules_to_save is "lm_head", which is no list'),
    ({"alpha_pattern": {"v_proj": "8"}}, "says in adapter_config.json that alpha_pattern is"),
    ({"flux_config": {"rank": 2}}, "sets flux_config in adapter_config.json, which PEFT"),
    ({"init_lora_weights": "pissa_niter_4"}, "begins with “pissa_niter_4”"),
    ({"init_lora_weights": "lora_ga"}, "begins with “lora_ga”"),  # PEFT loads it onto a base that it has not changed
]


@pytest.mark.parametrize(("more", "said"), REFUSED)
def test_a_preview_says_what_the_import_would_refuse(more: dict[str, object], said: str, tmp_path: Path) -> None:
    fields = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "task_type": "CAUSAL_LM"}
    folder = tmp_path / "checkpoint-5"
    folder.mkdir()
    (folder / CONFIG).write_text(json.dumps(fields | more), encoding="utf-8")
    (folder / WEIGHTS).write_bytes(b"")
    (one,) = preview([tmp_path]).checkpoints
    assert not one.taken
    assert one.why.startswith(f"it {said}")


def test_what_peft_itself_writes_is_not_refused(tmp_path: Path) -> None:
    LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM").save_pretrained(str(tmp_path))
    fields = json.loads((tmp_path / CONFIG).read_text(encoding="utf-8"))
    assert why_refused(fields | {"flux_config": None}) == ""
