"""Which tokens are the new words of a corpus."""

from transformers import PreTrainedTokenizerFast

from engine.domain.continuation import whole_word
from engine.domain.corpus import Corpus
from engine.domain.errors import InputError


def new_word_tokens(tokenizer: PreTrainedTokenizerFast, corpus: Corpus) -> list[int]:
    """Token ids, ascending, by which the examples write the words they teach.

    Raises InputError where the tokenizer splits such a word, or no example contains its word.
    """
    found: set[int] = set()
    for example in corpus.examples:
        word = whole_word(example.constraint)
        encoded = tokenizer(example.text, add_special_tokens=False, return_offsets_mapping=True)
        tokens = list(zip(encoded["input_ids"], encoded["offset_mapping"], strict=True))
        for match in word.finditer(example.text):
            pieces = [i for i, (start, end) in tokens if start < match.end() and end > match.start()]
            if len(pieces) != 1:
                shown = " ".join(tokenizer.convert_ids_to_tokens(pieces))
                raise InputError(
                    f"This model's tokenizer splits “{example.constraint}” into {len(pieces)} tokens ({shown[:80]}); "
                    "a method that trains the embeddings of new words needs each word as one token. Use the method "
                    "“lora”, a model whose vocabulary has the word, or another word."
                )
            found.update(pieces)
    if not found:
        raise InputError(
            f"No training example of the corpus “{corpus.name}” contains the word it teaches, so there is no new token "
            "to train. Use the method “lora”."
        )
    return sorted(found)
