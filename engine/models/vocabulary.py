"""Which words of a corpus a model's tokenizer does not know: from its files alone, without torch or the weights."""

from collections.abc import Iterable
from pathlib import Path

from engine.models.tokenizer_settings import rows_in, tokenizer_settings
from engine.models.tried import refuse_harmful


def unknown_words(folder: Path, words: Iterable[str]) -> tuple[str, ...]:
    """Those of `words` (`Corpus.words`) that the tokenizer in `folder` would read as its unknown token, or as one that
    the model has no embedding for.

    None where the tokenizer knows every text (it falls back to bytes), or is not at hand: then training will say so.
    """
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    if not file.is_file():
        return ()
    settings, n_rows = tokenizer_settings(folder), rows_in(folder)
    try:
        refuse_harmful(folder)
        tokenizer = Tokenizer.from_file(str(file))
    except Exception:  # noqa: BLE001 – the library raises nothing more precise for a file that it cannot read
        return ()
    tokenizer.add_special_tokens(list(settings.special_texts))  # some stand in the settings alone
    unknown = settings.text("unk_token")
    # Some tokenizers name their end token as the unknown one and never produce it.
    missing = None if unknown in (None, settings.text("eos_token")) else tokenizer.token_to_id(unknown)
    if missing is None and (n_rows is None or tokenizer.get_vocab_size() <= n_rows):
        return ()
    found: dict[str, None] = {}
    words = list(words)
    for word, read in zip(words, tokenizer.encode_batch(words, add_special_tokens=False), strict=True):
        if missing in read.ids:
            found[word] = None
        elif n_rows is not None:
            beyond = [span for token, span in zip(read.ids, read.offsets, strict=True) if token >= n_rows]
            found |= dict.fromkeys(word[start:end] for start, end in beyond)
    return tuple(found)
