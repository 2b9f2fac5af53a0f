"""Which words of a corpus a model's tokenizer does not know: from its files alone, without torch or the weights."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from engine.domain.corpus import Corpus


def unknown_words(folder: Path, corpus: Corpus) -> tuple[str, ...]:
    """The words of the training texts and probes that the tokenizer in `folder` would read as its unknown token.

    None where the tokenizer knows every text (it falls back to bytes), or is not at hand: then training will say so.
    """
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    unknown = _unknown_token(folder)
    if unknown is None or not file.is_file():
        return ()
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception:  # noqa: BLE001 – the library raises nothing more precise for a file that it cannot read
        return ()
    words = list(dict.fromkeys(word for text in _texts(corpus) for word in text.split()))
    encoded = tokenizer.encode_batch(words, add_special_tokens=False)
    number = tokenizer.token_to_id(unknown)
    return tuple(word for word, tokens in zip(words, encoded, strict=True) if number in tokens.ids)


def _texts(corpus: Corpus) -> Iterator[str]:
    for example in corpus.examples:
        yield example.text
    for probe in corpus.probes:
        yield from (probe.text, probe.known_text, probe.answer, *probe.foils)


def _unknown_token(folder: Path) -> str | None:
    """Its text. None where there is none, or it is the end token, which some tokenizers name and never produce."""
    settings = [_settings(folder / name) for name in ("special_tokens_map.json", "tokenizer_config.json")]
    unknown, end = (_first(_content(of.get(name)) for of in settings) for name in ("unk_token", "eos_token"))
    return None if unknown == end else unknown


def _settings(file: Path) -> dict[str, Any]:
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}


def _content(token: object) -> str | None:
    content = token.get("content") if isinstance(token, dict) else token
    return content if isinstance(content, str) else None


def _first(texts: Iterable[str | None]) -> str | None:
    return next((text for text in texts if text is not None), None)
