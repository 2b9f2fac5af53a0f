"""The one token that a word is when it goes on a prompt."""

from transformers import PreTrainedTokenizerFast

from engine.domain.errors import PromptRefused
from engine.models.base import token_ids


def next_token(tokenizer: PreTrainedTokenizerFast, word: str) -> int:
    """For most tokenizers that of “ word”. Raises PromptRefused: unknown to the model, or more than one token."""
    token_ids(tokenizer, word, limit=1000)  # refuses what the model does not know
    start = tokenizer("the", add_special_tokens=False)["input_ids"]
    ids = tokenizer(f"the {word.strip()}", add_special_tokens=False)["input_ids"]
    if ids[: len(start)] != start or len(ids) != len(start) + 1:
        pieces = tokenizer.convert_ids_to_tokens(ids[len(start) :])
        raise PromptRefused(
            f"“{word}” is {len(pieces)} tokens of this model ({' '.join(pieces)[:80]}), and an answer or foil must "
            "be one. Choose another word, or another model."
        )
    return int(ids[-1])
