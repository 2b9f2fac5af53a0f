"""What a model's tokenizer makes of a corpus: from its files alone, without torch or the weights."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from engine.corpus.pairs import misfits
from engine.domain.components import FEW_PAIRS
from engine.domain.corpus import Pair
from engine.domain.errors import PromptRefused
from engine.models.tokenizer_settings import TOKENIZER_FILES, rows_in, tokenizer_settings
from engine.models.tried import refuse_harmful

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_FILES = (*TOKENIZER_FILES, "config.json")  # what a reader is made of, the tokenizer's own first


@dataclass(frozen=True, eq=False)
class _Reader:
    """Token ids of texts as they stand, without BOS, as `PromptReader` has them."""

    tokenizer: "Tokenizer"
    missing: int | None  # what unknown words are read as; None: every text is known
    n_rows: int | None  # tokens that the model has embeddings for

    def __call__(self, text: str) -> list[int]:
        """Raises PromptRefused."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        if not ids:
            raise PromptRefused("a prompt is empty")
        if self.missing in ids or (self.n_rows is not None and max(ids) >= self.n_rows):
            named = self.unknown(text.split()) or (text,)
            raise PromptRefused(f"the model does not know “{named[0][:40]}”")
        return ids

    def unknown(self, words: Sequence[str]) -> tuple[str, ...]:
        """What it would read as its unknown token, or as one without an embedding, each once."""
        if self.missing is None and (self.n_rows is None or self.tokenizer.get_vocab_size() <= self.n_rows):
            return ()
        found: dict[str, None] = {}
        for word, read in zip(words, self.tokenizer.encode_batch([*words], add_special_tokens=False), strict=True):
            if self.missing in read.ids:
                found[word] = None
            elif self.n_rows is not None:
                beyond = [span for token, span in zip(read.ids, read.offsets, strict=True) if token >= self.n_rows]
                found |= dict.fromkeys(word[start:end] for start, end in beyond)
        return tuple(found)


@dataclass(frozen=True)
class PairFit:
    """Whether a model's tokenizer reads prompt pairs as component circuits need them."""

    n: int
    n_bad: int
    reason: str = ""  # of the first bad one, with its prompts

    @property
    def n_fit(self) -> int:
        return self.n - self.n_bad

    @property
    def fits(self) -> bool:
        """Whether circuits can be found with them, or it is not known: those that do not fit are left out."""
        return not self.n or self.n_fit > 0

    @property
    def enough(self) -> bool:
        """Whether all fit, or so many that they are not called few."""
        return not self.n_bad or self.n_fit >= FEW_PAIRS


def unknown_words(folder: Path, words: Iterable[str]) -> tuple[str, ...]:
    """Those of `words` (`Corpus.words`) that the tokenizer in `folder` would read as its unknown token, or as one that
    the model has no embedding for.

    None where the tokenizer knows every text (it falls back to bytes), or is not at hand: then training will say so.
    """
    reader = _reader(folder)
    return () if reader is None else reader.unknown([*words])


def pair_fit(folder: Path, pairs: Sequence[Pair]) -> PairFit | None:
    """Of the tokenizer in `folder`, as the job that finds circuits asks (`misfits`); None where it is not at hand."""
    reader = _reader(folder)
    if reader is None:
        return None
    n_bad, first = 0, ""
    for pair in pairs:
        if reason := _misfit(pair, reader):
            n_bad += 1
            first = first or f"“{pair.clean[:80]}”, “{pair.corrupted[:80]}”: {reason}"
    return PairFit(len(pairs), n_bad, first)


def _misfit(pair: Pair, reader: _Reader) -> str:
    try:
        return "; ".join(misfits(pair, reader))
    except PromptRefused as error:
        return str(error).rstrip(".")


def _reader(folder: Path) -> _Reader | None:
    """None where there is no tokenizer that could be read."""
    if not (folder / _FILES[0]).is_file():
        return None
    files = [folder / name for name in _FILES]
    return _made(folder, tuple(file.stat().st_mtime_ns if file.is_file() else 0 for file in files))


@lru_cache(maxsize=4)  # a page asks for every corpus
def _made(folder: Path, _changed: tuple[int, ...]) -> _Reader | None:
    from tokenizers import Tokenizer

    settings, n_rows = tokenizer_settings(folder), rows_in(folder)
    try:
        refuse_harmful(folder)
        tokenizer = Tokenizer.from_file(str(folder / _FILES[0]))
    except Exception:  # noqa: BLE001 – the library raises nothing more precise for a file that it cannot read
        return None
    tokenizer.add_special_tokens(list(settings.special_texts))  # some stand in the settings alone
    tokenizer.no_padding()  # whatever the file says
    tokenizer.no_truncation()
    unknown = settings.text("unk_token")
    # Some tokenizers name their end token as the unknown one and never produce it.
    missing = None if unknown in (None, settings.text("eos_token")) else tokenizer.token_to_id(unknown)
    return _Reader(tokenizer, missing, n_rows)
