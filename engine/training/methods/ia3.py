"""IA³: learned factors on what attention and MLPs pass on (Liu et al. 2022, arXiv 2205.05638), through PEFT."""

from peft import IA3Config, PeftModel, get_peft_model
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from engine.domain.corpus import Corpus
from engine.domain.errors import ModelUnavailable
from engine.domain.runs import RunConfig
from engine.models.base import BUILDING

_SPLIT = (("k_proj", "v_proj", "down_proj"), ("down_proj",))
# Family -> modules that are scaled, and those of them whose input is scaled in place of the output. GPT-NeoX keeps
# queries, keys and values in one matrix, so that queries are scaled too.
_TARGETS = {
    "llama": _SPLIT,
    "gemma2": _SPLIT,
    "qwen3": _SPLIT,
    "gpt_neox": (("query_key_value", "dense_4h_to_h"), ("dense_4h_to_h",)),
}


def attach(
    model: PreTrainedModel, _config: RunConfig, _tokenizer: PreTrainedTokenizerFast, _corpus: Corpus
) -> PeftModel:
    """Factors of 1 on keys, values and what the MLP's last matrix reads. Raises ModelUnavailable."""
    family = model.config.model_type
    if family not in _TARGETS:
        raise ModelUnavailable(f"IA³ does not support “{family}” models. Supported: {', '.join(_TARGETS)}. Use lora.")
    targets, inputs = _TARGETS[family]
    adapter = IA3Config(target_modules=list(targets), feedforward_modules=list(inputs), task_type="CAUSAL_LM")
    with BUILDING:
        return get_peft_model(model, adapter)
