"""Training texts as tokens: BOS first, end of text last, prompts and padding outside the loss."""

from collections.abc import Callable, Sequence
from typing import NotRequired, TypedDict

import torch
from transformers import PreTrainedTokenizerFast

from engine.domain.corpus import Corpus, Example
from engine.domain.errors import InputError, PromptRefused
from engine.models.chat import chat_texts
from engine.models.prompts import PromptReader


class TokenRow(TypedDict):
    """One training text as tokens."""

    input_ids: list[int]
    loss_from: NotRequired[int]  # the first token that is learned; 1, all but BOS, where the text has no prompt


Batch = dict[str, torch.Tensor]
OUTSIDE_LOSS = -100  # the label that transformers' losses leave out


def training_rows(tokenizer: PreTrainedTokenizerFast, corpus: Corpus, *, limit: int) -> list[TokenRow]:
    """One row an example, at most `limit` tokens. Raises InputError naming the example.

    Of an example with a prompt only what follows the prompt is learned, so that its loss is the answer's.
    """
    if not corpus.examples:
        raise InputError(f"The corpus “{corpus.name}” has no training examples. Use one that has some.")
    read, rows, chats = PromptReader(tokenizer), [], _chats(tokenizer, corpus)
    for place, example in enumerate(corpus.examples):
        try:
            rows.append(_row(read, example, chats.get(place), limit))
        except PromptRefused as error:
            raise InputError(f"Example “{example.id}” of the corpus “{corpus.name}”: {error}") from error
    return rows


def _chats(tokenizer: PreTrainedTokenizerFast, corpus: Corpus) -> dict[int, tuple[str | PromptRefused, ...]]:
    """Of examples with messages, by place: the text, and the prompt, which is all but the last message."""
    spoken = {place: (one.messages, one.messages[:-1]) for place, one in enumerate(corpus.examples) if one.messages}
    texts = iter(chat_texts(tokenizer, [turns for both in spoken.values() for turns in both]))
    return {place: (next(texts), next(texts)) for place in spoken}


def _row(
    read: PromptReader, example: Example, chat: tuple[str | PromptRefused, ...] | None, limit: int
) -> TokenRow:  # fmt: skip
    text, asked = example.text, example.prompt
    if chat is not None:
        text, asked = map(_said, chat)
    end = [] if _ends(read.tokenizer, text) else [read.tokenizer.eos_token_id]
    ids = read.prompt(text, limit=limit - len(end))
    if not asked:
        return {"input_ids": ids + end}
    prompt = read.prompt(asked, limit=limit)
    if len(prompt) >= len(ids) or ids[: len(prompt)] != prompt:
        raise PromptRefused(
            f"The text “{text[:80]}” does not begin with the tokens of its prompt “{asked[:80]}” and "
            "continue with an answer: its end and the answer share a token. Let the prompt end where a token does, "
            "such as before the blank."
        )
    return {"input_ids": ids + end, "loss_from": len(prompt)}


def _said(text: str | PromptRefused) -> str:
    """Raises PromptRefused where there is none."""
    if isinstance(text, PromptRefused):
        raise text
    return text


def _ends(tokenizer: PreTrainedTokenizerFast, text: str) -> bool:
    """Whether a text needs no end token: the model has none, or the text ends in it, as a chat does."""
    return tokenizer.eos_token is None or text.rstrip().endswith(tokenizer.eos_token)


def collator(pad_id: int) -> Callable[[Sequence[TokenRow]], Batch]:
    """Pads rows on the right: `input_ids`, `attention_mask`, `labels`, each (n_rows, n_pos) int64.

    BOS is no label, since nothing predicts it: so a batch's loss is the mean over the tokens that are learned.
    """

    def collate(rows: Sequence[TokenRow]) -> Batch:
        width = max(len(row["input_ids"]) for row in rows)
        ids = torch.full((len(rows), width), pad_id)
        mask = torch.zeros_like(ids)
        labels = torch.full_like(ids, OUTSIDE_LOSS)
        for i, row in enumerate(rows):
            tokens, start = torch.tensor(row["input_ids"]), row.get("loss_from", 1)
            ids[i, : len(tokens)] = tokens
            mask[i, : len(tokens)] = 1
            labels[i, start : len(tokens)] = tokens[start:]
        return {"input_ids": ids, "attention_mask": mask, "labels": labels}

    return collate
