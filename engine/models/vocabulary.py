"""Which words of a corpus a model's tokenizer does not know: from its files alone, without torch or the weights."""

from collections.abc import Iterator
from pathlib import Path

from engine.domain.corpus import Corpus
from engine.models.tokenizer_settings import tokenizer_settings


def unknown_words(folder: Path, corpus: Corpus) -> tuple[str, ...]:
    """The words of the training texts and probes that the tokenizer in `folder` would read as its unknown token.

    None where the tokenizer knows every text (it falls back to bytes), or is not at hand: then training will say so.
    """
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    settings = tokenizer_settings(folder)
    unknown = settings.text("unk_token")
    if unknown == settings.text("eos_token"):  # some tokenizers name it and never produce it
        return ()
    if unknown is None or not file.is_file():
        return ()
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception:  # noqa: BLE001 – the library raises nothing more precise for a file that it cannot read
        return ()
    tokenizer.add_special_tokens(list(settings.special_texts))  # some stand in the settings alone
    words = list(dict.fromkeys(word for text in _texts(corpus) for word in text.split()))
    encoded = tokenizer.encode_batch(words, add_special_tokens=False)
    number = tokenizer.token_to_id(unknown)
    return tuple(word for word, tokens in zip(words, encoded, strict=True) if number in tokens.ids)


def _texts(corpus: Corpus) -> Iterator[str]:
    for example in corpus.examples:
        yield example.text
    for probe in corpus.probes:
        yield from (probe.text, probe.known_text, probe.answer, *probe.foils)
