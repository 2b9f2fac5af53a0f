"""Training texts as tokens: BOS first, end of text last, padding outside the loss."""

from collections.abc import Callable, Sequence

import torch
from transformers import PreTrainedTokenizerFast

from engine.domain.corpus import Corpus
from engine.domain.errors import InputError, PromptRefused
from engine.models.base import token_ids

Row = dict[str, list[int]]
Batch = dict[str, torch.Tensor]
OUTSIDE_LOSS = -100  # the label that transformers' losses leave out


def training_rows(tokenizer: PreTrainedTokenizerFast, corpus: Corpus, *, limit: int) -> list[Row]:
    """One row of `input_ids` an example, at most `limit` tokens. Raises InputError naming the example."""
    if not corpus.examples:
        raise InputError(f"The corpus “{corpus.name}” has no training examples. Use one that has.")
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    rows = []
    for example in corpus.examples:
        try:
            rows.append({"input_ids": token_ids(tokenizer, example.text, limit=limit - len(end)) + end})
        except PromptRefused as error:
            raise InputError(f"Example “{example.id}” of the corpus “{corpus.name}”: {error}") from error
    return rows


def collator(pad_id: int) -> Callable[[Sequence[Row]], Batch]:
    """Pads rows on the right: `input_ids`, `attention_mask`, `labels`, each (n_rows, n_pos) int64.

    BOS is no label, since nothing predicts it: so a batch's loss is the mean over the predicted tokens.
    """

    def collate(rows: Sequence[Row]) -> Batch:
        width = max(len(row["input_ids"]) for row in rows)
        ids = torch.full((len(rows), width), pad_id)
        mask = torch.zeros_like(ids)
        labels = torch.full_like(ids, OUTSIDE_LOSS)
        for i, row in enumerate(rows):
            tokens = torch.tensor(row["input_ids"])
            ids[i, : len(tokens)] = tokens
            mask[i, : len(tokens)] = 1
            labels[i, 1 : len(tokens)] = tokens[1:]
        return {"input_ids": ids, "attention_mask": mask, "labels": labels}

    return collate
