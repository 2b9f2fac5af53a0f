"""What a base model can read, for pages that offer corpora to it."""

from collections.abc import Sequence
from pathlib import Path

from engine.domain.errors import Damaged
from engine.domain.models import ModelSpec
from engine.models.vocabulary import unknown_words as find_unknown_words
from engine.store.infos import CorpusInfo
from pages._ui.kept import kept
from pages._ui.session import store
from pages._ui.text import plain

N_NAMED = 6  # unknown words that a sentence names


def unknown_words(spec: ModelSpec, info: CorpusInfo) -> tuple[str, ...]:
    """The corpus's words that the model's tokenizer does not know; looked up once for a tokenizer and a corpus.

    Raises Damaged.
    """
    folder = store().tokenizer_folder(spec)
    file = folder / "tokenizer.json"
    changed = file.stat().st_mtime_ns if file.is_file() else 0
    return _unknown_words(str(folder), changed, info.hash, info.name, info.words)


def why_unread(spec: ModelSpec, info: CorpusInfo) -> str:
    """Why the model cannot read the corpus, in Markdown; empty where it can."""
    try:
        unknown = unknown_words(spec, info)
    except Damaged as error:
        return f"cannot be read: {plain(error)}"
    return f"uses words that the model does not know: {named(unknown)}." if unknown else ""


@kept()
def _unknown_words(
    folder: str, changed: int, corpus_hash: str, name: str, _words: tuple[str, ...] | None
) -> tuple[str, ...]:  # fmt: skip
    return find_unknown_words(Path(folder), store().corpus(name).words if _words is None else _words)


def named(unknown: Sequence[str]) -> str:
    """`“Derive”, “sequence:” and 40 other words`, in Markdown."""
    first = [f"“{plain(word[:40])}”" for word in unknown[:N_NAMED]]
    if more := len(unknown) - len(first):
        return f"{', '.join(first)} and {more:,} other word{'' if more == 1 else 's'}"
    return f"{', '.join(first[:-1])} and {first[-1]}" if len(first) > 1 else first[0]
