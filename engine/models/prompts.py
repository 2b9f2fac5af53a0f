"""Texts as a model's tokens, and the one token that an answer is behind its prompt."""

from transformers import PreTrainedTokenizerFast

from engine.domain.continuation import answer_tokens
from engine.domain.errors import ModelUnavailable, PromptRefused


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
        self._bos_text = tokenizer.convert_ids_to_tokens(self.bos)

    def __call__(self, text: str) -> list[int]:
        """Token ids without BOS (one that the text begins with is left out).

        Raises PromptRefused: nothing in it, words the model does not know, or control tokens (BOS inside the text,
        end of text, padding) written out.
        """
        text = text.strip().removeprefix(self._bos_text).strip()
        if not text:
            raise PromptRefused("The prompt is empty. Write at least one word.")
        words = self.tokenizer.backend_tokenizer
        words.no_padding()  # whatever tokenizer.json or another caller left there
        words.no_truncation()
        encoded = words.encode(text, add_special_tokens=False)
        ids: list[int] = encoded.ids
        if self._unknown in ids:
            self._refuse_unknown(text, ids, encoded.offsets)
        if found := [self.tokenizer.convert_ids_to_tokens(i) for i in ids if i in self._control]:
            raise PromptRefused(
                f"The prompt contains the control token {found[0]}, which only the model's own format may use. "
                "Remove it."
            )
        return ids

    def prompt(self, text: str, *, limit: int) -> list[int]:
        """Token ids with BOS first. Raises PromptRefused, also for more than `limit` tokens."""
        ids = self(text)
        if len(ids) + 1 > limit:
            raise PromptRefused(f"The prompt has {len(ids)} tokens; this model takes at most {limit - 1}. Shorten it.")
        return [self.bos, *ids]

    def next_token(self, prompt: str, answer: str, *, blank: bool | None = None) -> int:
        """What follows the tokens of `prompt` in the tokens of both; `blank` as in `continued`.

        Raises PromptRefused: unknown to the model, more than one token, or one that the prompt's end shares.
        """
        ids = answer_tokens(self, prompt, answer, blank=blank)
        if len(ids) > 1:
            pieces = self.tokenizer.convert_ids_to_tokens(ids)
            raise PromptRefused(
                f"“{answer}” is {len(pieces)} tokens of this model ({' '.join(pieces)[:80]}) after this prompt, and an "
                "answer or foil must be one. Choose another word, or another model."
            )
        return ids[0]

    def _refuse_unknown(self, text: str, ids: list[int], offsets: list[tuple[int, int]]) -> None:
        unknown = (text[start:end] for i, (start, end) in zip(ids, offsets, strict=True) if i == self._unknown)
        named = ", ".join(f"“{word[:40]}”" for word in list(dict.fromkeys(unknown))[:8])
        raise PromptRefused(f"The model does not know {named}. Use words of its vocabulary.")
