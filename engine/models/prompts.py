"""Texts as a model's tokens, and those that an answer is behind its prompt."""

from collections.abc import Iterable
from functools import cached_property
from itertools import pairwise

from tokenizers import Encoding
from transformers import PreTrainedTokenizerFast

from engine.domain.chat import Message
from engine.domain.continuation import answer_tokens
from engine.domain.errors import ModelUnavailable, PromptRefused
from engine.models.chat import chat_texts

_SYSTEM = (Message(role="system", content="x"),)
_SPOKEN = tuple(Message(role=role, content="x") for role in ("user", "assistant", "user", "assistant"))


def bos_id(tokenizer: PreTrainedTokenizerFast) -> int:
    """What stands at position 0: BOS, or the pad or end token where the model has none (as circuit-tracer does)."""
    candidates = (tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id)
    for candidate in candidates:
        if candidate is not None:
            return int(candidate)
    raise ModelUnavailable("This model's tokenizer has no BOS, pad or end token, but a prompt must start with one.")


class PromptReader:
    """Reads texts with one tokenizer; what it asks that for is asked once, so make one for many texts."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        """Raises ModelUnavailable where nothing could stand at position 0."""
        self.tokenizer = tokenizer
        self.bos = bos_id(tokenizer)
        self._control = {self.bos, tokenizer.eos_token_id, tokenizer.pad_token_id}
        # Some tokenizers (GPT-2's, GPT-NeoX's) name their end token as the unknown one but never produce it themselves.
        unknown = tokenizer.unk_token_id
        self._unknown = None if unknown == tokenizer.eos_token_id else unknown
        self._n_rows: int | None = getattr(tokenizer, "n_rows", None)

    def __call__(self, text: str) -> list[int]:
        """Token ids of the text as it stands, without BOS (one that the text begins with is left out).

        Raises PromptRefused: nothing in it, words the model does not know or has no embedding for, or control tokens
        (BOS inside the text, end of text, padding) where the model's own chat format does not put them.
        """
        encoded = self._encoded(text)
        ids, offsets = encoded.ids, encoded.offsets
        if ids[:1] == [self.bos]:
            ids, offsets = ids[1:], offsets[1:]
        if not ids or not text[offsets[0][0] :].strip():
            raise PromptRefused("The prompt is empty. Write at least one word.")
        if self._unknown in ids:
            self._refuse_unknown(text, ids, offsets)
        if self._n_rows is not None and max(ids) >= self._n_rows:
            self._refuse_rowless(text, ids, offsets)
        if not self._control.isdisjoint(ids):
            self._refuse_out_of_place(ids)
        return ids

    def prompt(self, text: str, *, limit: int) -> list[int]:
        """Token ids with BOS first. Raises PromptRefused, also for more than `limit` tokens."""
        ids = self(text)
        if len(ids) + 1 > limit:
            raise PromptRefused(f"The prompt has {len(ids)} tokens; this model takes at most {limit - 1}. Shorten it.")
        return [self.bos, *ids]

    def answer(self, prompt: str, answer: str, *, blank: bool | None = None) -> list[int]:
        """What follows the tokens of `prompt` in the tokens of both; `blank` as in `continued`.

        Raises PromptRefused: unknown to the model, or it begins with a token that the prompt's end shares.
        """
        return list(answer_tokens(self, prompt, answer, blank=blank))

    def next_token(self, prompt: str, answer: str, *, blank: bool | None = None) -> int:
        """The first token of `answer`: what circuits, graphs and changes are of. Raises as `answer`."""
        return self.answer(prompt, answer, blank=blank)[0]

    def _encoded(self, text: str) -> Encoding:
        words = self.tokenizer.backend_tokenizer
        words.no_padding()  # whatever tokenizer.json or another caller left there
        words.no_truncation()
        try:
            return words.encode(text, add_special_tokens=False)
        except (TypeError, UnicodeError) as error:  # a lone surrogate
            raise PromptRefused(f"The text “{text[:80]!a}” holds half a character. Write it anew.") from error

    def _refuse_out_of_place(self, ids: list[int]) -> None:
        neighbours = pairwise([self.bos, *(i for i in ids if i in self._special)])
        wrong = [after for before, after in neighbours if after in self._control and (before, after) not in self._turns]
        if wrong:
            raise PromptRefused(
                f"The prompt contains the control token {self.tokenizer.convert_ids_to_tokens(wrong[0])} where the "
                "model's own chat format does not put it. Remove it."
            )

    @cached_property
    def _special(self) -> frozenset[int]:
        added = self.tokenizer.added_tokens_decoder.items()
        return frozenset({i for i, token in added if token.special} | self._control)

    @cached_property
    def _turns(self) -> set[tuple[int, int]]:
        """Which special token may come after which: as in what the chat template makes of a conversation.

        Where there is no template: the end token, behind one that is nothing but special and so begins a turn.
        """
        conversations = [[*lead, *_SPOKEN[:n]] for lead in ((), _SYSTEM) for n in range(1, len(_SPOKEN) + 1)]
        found: set[tuple[int, int]] = set()
        for text in chat_texts(self.tokenizer, conversations):
            if isinstance(text, str):
                ids = self._encoded(text).ids
                found |= set(pairwise([self.bos, *(i for i in ids[ids[:1] == [self.bos] :] if i in self._special)]))
        if not found and self.tokenizer.eos_token_id is not None:
            found = {(i, self.tokenizer.eos_token_id) for i in self._special - self._control}
        return found

    def _refuse_unknown(self, text: str, ids: list[int], offsets: list[tuple[int, int]]) -> None:
        unknown = (text[start:end] for i, (start, end) in zip(ids, offsets, strict=True) if i == self._unknown)
        raise PromptRefused(f"The model does not know {_named(unknown)}. Use words of its vocabulary.")

    def _refuse_rowless(self, text: str, ids: list[int], offsets: list[tuple[int, int]]) -> None:
        n_rows = self._n_rows or 0
        beyond = (text[start:end] for i, (start, end) in zip(ids, offsets, strict=True) if i >= n_rows)
        raise PromptRefused(
            f"The model has no embedding for {_named(beyond)}: its tokenizer has more tokens than its {n_rows:,} rows. "
            "Resize the embeddings (resize_token_embeddings) where the tokens were added and save the model "
            "again, or use the tokenizer that the model was trained with."
        )


def _named(words: Iterable[str]) -> str:
    return ", ".join(f"“{word[:40]}”" for word in list(dict.fromkeys(words))[:8])
