"""LoRA on every linear layer, and the embeddings of the new words beside it (PEFT's `trainable_token_indices`)."""

from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from engine.domain.corpus import Corpus
from engine.domain.runs import RunConfig
from engine.models.base import BUILDING
from engine.training.methods.new_words import new_word_tokens
from engine.training.methods.start import draw_lora, stores_inputs_first


def attach(model: PreTrainedModel, config: RunConfig, tokenizer: PreTrainedTokenizerFast, corpus: Corpus) -> PeftModel:
    """Raises InputError where a new word is not one token of this model."""
    adapter = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        target_modules="all-linear",
        trainable_token_indices=new_word_tokens(tokenizer, corpus),  # of the input embeddings
        fan_in_fan_out=stores_inputs_first(model),
        task_type="CAUSAL_LM",
    )
    with BUILDING:
        return draw_lora(get_peft_model(model, adapter), config.seed)
