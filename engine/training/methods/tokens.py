"""Only the embeddings of the new words are trained (PEFT's trainable tokens); the network stays as it was."""

from peft import PeftModel, TrainableTokensConfig, get_peft_model
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from engine.domain.corpus import Corpus
from engine.domain.runs import RunConfig
from engine.models.base import BUILDING
from engine.training.methods.new_words import new_word_tokens


def attach(model: PreTrainedModel, _config: RunConfig, tokenizer: PreTrainedTokenizerFast, corpus: Corpus) -> PeftModel:
    """Raises InputError where a new word is not one token of this model."""
    # Without target modules PEFT takes the input embeddings, and what is tied to them.
    adapter = TrainableTokensConfig(token_indices=new_word_tokens(tokenizer, corpus), task_type="CAUSAL_LM")
    with BUILDING:
        return get_peft_model(model, adapter)
