"""What has a row in the table of families, and what is said of what has none."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, OlmoConfig, OPTConfig, PretrainedConfig, StableLmConfig

from engine.components.model import ComponentModel
from engine.domain.errors import ModelUnavailable
from engine.domain.model_families import FAMILY_TITLES, UNSUPPORTED
from engine.domain.models import ModelSpec
from engine.models.base import load_base
from engine.models.families import FAMILIES, family_of, family_of_config
from engine.models.hook_points import READS, WRITES
from engine.models.parts import Parts
from engine.models.transcoders import new_transcoders
from engine.training.methods import METHODS
from engine.training.probing import run_probes
from tests.families import CONFIGS, loaded_family
from tests.tiny import tiny_corpus, tiny_tokenizer

_TINY = {
    "vocab_size": len(tiny_tokenizer()), "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "max_position_embeddings": 32, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip


def test_rows_are_of_families_that_transformers_has_and_name_known_hook_points() -> None:
    assert FAMILIES.keys() == FAMILY_TITLES.keys()
    assert not FAMILIES.keys() & UNSUPPORTED.keys()
    for row in FAMILIES.values():
        assert row.reads in READS
        assert row.writes in WRITES
        assert (row.fused == "no") == (len(row.projections) == 3)


@pytest.fixture
def without_row(tmp_path: Path) -> Path:
    model = AutoModelForCausalLM.from_config(StableLmConfig(**_TINY, intermediate_size=24))
    model.save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    return tmp_path


def test_a_family_without_a_row_is_loaded_probed_and_trained_but_not_traced(without_row: Path) -> None:
    loaded = load_base(ModelSpec(name="other", source="folder", location=str(without_row)))
    assert loaded.family == "stablelm"
    results = run_probes(loaded.model, loaded.tokenizer, tiny_corpus().probes)
    assert len(results.correct) == len(tiny_corpus().probes)
    for refused in (lambda: new_transcoders(loaded, 8, 2), lambda: ComponentModel(loaded.model)):
        with pytest.raises(
            ModelUnavailable, match=r"“stablelm” models.*not supported\. Training and probes.*Llama \(ll"
        ):
            refused()
    from tests.training.conftest import run_config

    config, corpus = run_config(loaded.spec, "run"), tiny_corpus()
    with pytest.raises(ModelUnavailable, match="“stablelm”"):
        METHODS["ia3"].attach(loaded.model, config, loaded.tokenizer, corpus)
    tuned = METHODS["lora"].attach(loaded.model, config, loaded.tokenizer, corpus)
    assert any(parameter.requires_grad for parameter in tuned.parameters())


@pytest.mark.parametrize("kind", UNSUPPORTED)
def test_why_there_is_no_row_is_said(kind: str) -> None:
    config = PretrainedConfig()
    config.model_type = kind
    with pytest.raises(ModelUnavailable) as error:
        family_of_config(config)
    assert f"not supported: {UNSUPPORTED[kind]}. Training" in str(error.value)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (OlmoConfig(**_TINY, intermediate_size=24, clip_qkv=8.0), "queries, keys and values are clipped"),
        (OPTConfig(**_TINY, ffn_dim=24, do_layer_norm_before=False), "norms follow the blocks"),
        (OPTConfig(**_TINY, ffn_dim=24, word_embed_proj_dim=8), "embeddings have 8 numbers and its stream 16"),
    ],
)
def test_configurations_that_a_row_does_not_describe_are_refused(config: PretrainedConfig, says: str) -> None:
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    with pytest.raises(ModelUnavailable, match=says):
        family_of(model)


@pytest.mark.parametrize("family", CONFIGS)
def test_the_body_of_a_model_makes_no_logits(family: str) -> None:
    """What transformers calls the base model is the whole one for some families."""
    parts, ran = Parts(loaded_family(family).model), []
    hook = parts.unembedding.register_forward_hook(lambda *_: ran.append(1))
    hidden = parts.body(input_ids=torch.tensor([[1, 20, 7]])).last_hidden_state
    hook.remove()
    assert hidden.shape == (1, 3, parts.d_model)
    assert not ran
