"""Many texts through a replacement model at once."""

import logging
from collections.abc import Sequence

import torch
from torch.nn.utils.rnn import pad_sequence

from engine.domain.errors import PromptRefused
from engine.models.base import LoadedModel
from engine.models.prompts import PromptReader

_log = logging.getLogger(__name__)


def tokenised(loaded: LoadedModel, texts: Sequence[str]) -> list[torch.Tensor]:
    """The different texts as token ids, each (n_pos,) with BOS first; those the model cannot read are left out."""
    read, prompts = PromptReader(loaded.tokenizer), []
    for text in dict.fromkeys(texts):
        try:
            prompts.append(torch.tensor(read.prompt(text, limit=loaded.n_positions)))
        except PromptRefused as error:
            _log.info("A text was left out: %s", error)
    return prompts


def padded(prompts: Sequence[torch.Tensor], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids (n_prompts, n_pos) int64, and where they are tokens to look at: neither padding nor position 0."""
    # Padding stands on the right, where causal attention never lets it reach a token.
    tokens = pad_sequence(list(prompts), batch_first=True).to(device)
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
    places = torch.arange(tokens.shape[1], device=device)
    return tokens, (places > 0) & (places < lengths[:, None])
