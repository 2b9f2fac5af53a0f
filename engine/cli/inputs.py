"""From what a user writes to what the engine takes: models, corpora, fractions."""

import hashlib
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.output import note
from engine.domain.errors import CorpusRefused, InputError, NameRefused, NotFound
from engine.domain.paths import person_path
from engine.domain.words import listed
from engine.workflows.model_specs import slug

if TYPE_CHECKING:
    from engine.corpus import Columns, Table
    from engine.domain.continuation import Tokens
    from engine.domain.corpus import Corpus
    from engine.store import Store

CORPUS_FILE = "a CSV, JSONL or Parquet file"


def looks_like_file(text: str) -> bool:
    """Is it a path rather than the name of a stored corpus?"""
    return "/" in text or "\\" in text or text.lower().endswith((".jsonl", ".json", ".csv", ".tsv", ".parquet"))


def stored_corpus(store: "Store", text: str) -> "Corpus":
    """The corpus stored under that name, or that file, read and saved in the workspace under its stem.

    Raises NotFound, Damaged, CorpusRefused (bad lines), InputError (another corpus has that name).
    """
    path = person_path(text)
    if not looks_like_file(text):
        try:
            return store.corpus(text)
        except NotFound:
            if not path.is_file():
                raise
    return save_corpus_file(store, path)


def corpus_in(
    path: Path,
    name: str,
    *,
    tokens: "Tokens | None" = None,
    columns: "Columns | None" = None,
    asked_name: str = "",
) -> "Corpus":
    """The corpus in a file; the columns that are not taken are told. `asked_name`: the one that was asked for.

    Raises as `read_corpus`; where the columns are not those of a corpus, with the option that says which is which.
    """
    from engine.corpus import corpus_from, read_table
    from engine.corpus.tables import file_bytes

    table = read_table(file_bytes(path), path.name)
    try:
        corpus = corpus_from(table, path.name, name, tokens=tokens, columns=columns)
    except CorpusRefused:
        if columns is None and table.is_foreign:
            _propose(table, path, asked_name)
        raise
    if columns is not None and (left := columns.left_out(table)):
        note(f"Left out of {path.name}: {listed([f'“{column}”' for column in left])}.")
    return corpus


def _propose(table: "Table", path: Path, name: str) -> None:
    """The command that reads the file as the Corpus page would, to be pasted; nothing where no column is likely."""
    from engine.corpus.columns import columns_text, values_text
    from engine.corpus.format import FORMS
    from engine.corpus.guesses import guessed

    form, likely = guessed(table)
    if not likely.of:
        return
    command = ["python", "-m", "engine", "corpus", "import", str(path), "--columns", columns_text(likely)]
    if likely.values:
        command += ["--values", values_text(likely)]
    if name:
        command += ["--name", name]
    missing = [f"{one}=COLUMN" for one in FORMS[form].needs if one not in {*likely.of, *likely.values}]
    also = f", and add {listed(missing)} to the columns" if missing else ""
    note(f"Its rows look like {FORMS[form].title.lower()}. Say which column is which{also}: {shlex.join(command)}")


def save_corpus_file(store: "Store", path: Path, *, name: str = "", columns: "Columns | None" = None) -> "Corpus":
    """Read a corpus file and keep it under the name or its stem; the same content under that name is fine."""
    if not path.is_file():
        raise InputError(f"There is no corpus file {path}. Give {CORPUS_FILE}, or the name of a stored corpus.")
    known = name or _name_of(path)
    corpus = corpus_in(path, known, columns=columns, asked_name=name)
    if known not in (name, path.stem):
        note(f"{path.name} is the corpus “{known}” here.")
    there = {info.name: info for info in store.corpora()}.get(corpus.name)
    if there is None:
        store.save_corpus(corpus)
    elif there.hash != corpus.hash:
        raise InputError(
            f"The workspace already has a corpus named “{corpus.name}” with different content "
            f"({there.hash}; {path} has {corpus.hash}). Rename the file, or use `{corpus.name}` for the stored one."
        )
    return corpus


def _name_of(path: Path) -> str:
    """Its stem as far as a name may have it; a number made of the stem where nothing of it may stand, as of дані."""
    try:
        return slug(path.stem)
    except NameRefused:
        return f"corpus-{hashlib.sha256(path.stem.encode()).hexdigest()[:8]}"


def as_read(store: "Store", checkpoint: str, text: str) -> str:
    """A prompt as the checkpoint's model reads it: as it was typed; messages as JSON in the model's chat format.

    What cannot be seen in the call is shown. Raises NotFound, PromptRefused, Damaged, ModelUnavailable.
    """
    from engine.domain.words import with_edges
    from engine.workflows.chat import as_prompt

    prompt = as_prompt(store, checkpoint.partition("@")[0], text)
    if prompt.strip() and (shown := with_edges(prompt)) != text:
        note(f"The prompt as it is read: {shown}")
    return prompt


def transcoder_set(text: str) -> str:
    """The name of a stored set as it is, a folder as its whole path, so that the same set always has the same name."""
    folder = person_path(text)
    return str(folder.resolve()) if text.strip() and looks_like_file(text) and folder.is_dir() else text


def fractions(text: str) -> tuple[float, ...]:
    """`0.25,0.5,1` -> (0.25, 0.5, 1.0); empty text gives none. Raises InputError."""
    values = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        try:
            value = float(part)
        except ValueError:
            value = -1.0
        if not 0 < value <= 1:
            raise InputError(
                f"“{part[:40]}” is not a fraction of the run. Give numbers above 0 and up to 1, such as 0.25,0.5,1."
            )
        values.append(value)
    return tuple(values)


def kind_option(kind: str) -> str:
    """What a command is given for probes of this kind; nothing for the usual one."""
    return "" if kind == "paraphrase" else f" --kind {kind}"
