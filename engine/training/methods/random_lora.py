"""LoRA with more rank in layers drawn by the seed: what a choice of layers by circuits must beat."""

from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from engine.domain.corpus import Corpus
from engine.domain.runs import RunConfig
from engine.training.methods.ranks import attach_ranks, drawn_layers

layers = drawn_layers


def attach(
    model: PreTrainedModel, config: RunConfig, _tokenizer: PreTrainedTokenizerFast, _corpus: Corpus
) -> PeftModel:
    """The layers are the config's, where `layers` has put them. Raises InputError for one that there is not."""
    return attach_ranks(model, config)
