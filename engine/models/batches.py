"""Many texts through a replacement model at once."""

import logging
from collections.abc import Iterator, Sequence

import torch
from torch.nn.utils.rnn import pad_sequence

from engine.domain.errors import PromptRefused
from engine.domain.features import MOST_TOKENS
from engine.domain.numbers import plural
from engine.models.base import LoadedModel
from engine.models.prompts import PromptReader

_log = logging.getLogger(__name__)


def tokenised(loaded: LoadedModel, texts: Sequence[str]) -> tuple[list[torch.Tensor], int]:
    """The different texts as token ids, each (n_pos,) with BOS first; and of how many only the beginning was taken,
    MOST_TOKENS or as many as the model takes. Those the model cannot read are left out."""
    read, limit = PromptReader(loaded.tokenizer), min(MOST_TOKENS, loaded.n_positions)
    prompts, n_cut = [], 0
    for text in dict.fromkeys(texts):
        try:
            ids = [read.bos, *read(text)]
        except PromptRefused as error:
            _log.info("A text was left out: %s", error)
            continue
        n_cut += len(ids) > limit
        prompts.append(torch.tensor(ids[:limit]))
    return prompts, n_cut


def beginnings(n_cut: int) -> str:
    """Behind what is told while texts are read: ` (of 2 long texts the beginning)`; empty where none is cut."""
    return f" (of {plural(n_cut, 'long text')} the beginning)" if n_cut else ""


def batches(prompts: Sequence[torch.Tensor], *, most: int, most_pairs: int) -> Iterator[Sequence[torch.Tensor]]:
    """In their order: at most so many together, and of all pairs of places that attention looks at, with padding."""
    batch: list[torch.Tensor] = []
    for prompt in prompts:
        longest = max(len(other) for other in (*batch, prompt))
        if batch and (len(batch) == most or longest**2 * (len(batch) + 1) > most_pairs):
            yield batch
            batch = []
        batch.append(prompt)
    if batch:
        yield batch


def padded(prompts: Sequence[torch.Tensor], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids (n_prompts, n_pos) int64, and where they are tokens to look at: neither padding nor position 0."""
    # Padding stands on the right, where causal attention never lets it reach a token.
    tokens = pad_sequence(list(prompts), batch_first=True).to(device)
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
    places = torch.arange(tokens.shape[1], device=device)
    return tokens, (places > 0) & (places < lengths[:, None])
