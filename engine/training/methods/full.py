"""Every weight of the network is trained."""

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from engine.domain.corpus import Corpus
from engine.domain.runs import RunConfig


def attach(
    model: PreTrainedModel, _config: RunConfig, _tokenizer: PreTrainedTokenizerFast, _corpus: Corpus
) -> PreTrainedModel:
    """The model itself, with gradients for all its parameters."""
    return model.requires_grad_(requires_grad=True)
