"""LoRA on every linear layer except the output (Hu et al. 2021, arXiv 2106.09685)."""

from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from engine.domain.corpus import Corpus
from engine.domain.runs import RunConfig
from engine.models.base import BUILDING
from engine.training.methods.start import draw_lora, stores_inputs_first


def attach(
    model: PreTrainedModel, config: RunConfig, _tokenizer: PreTrainedTokenizerFast, _corpus: Corpus
) -> PeftModel:
    """Low-rank matrices of rank `config.rank`, scaled by alpha / rank."""
    adapter = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        target_modules="all-linear",
        fan_in_fan_out=stores_inputs_first(model),
        task_type="CAUSAL_LM",
    )
    with BUILDING:
        return draw_lora(get_peft_model(model, adapter), config.seed)
