"""A corpus as tables: what it trains on, what it asks, its pairs, and how many of each."""

from collections import Counter

import streamlit as st

from engine.corpus import pairs_of
from engine.corpus.csv_rows import foils_cell
from engine.domain.corpus import PROBE_KINDS, Corpus
from engine.domain.errors import InputError
from engine.domain.numbers import plural
from pages._ui.kept import kept
from pages._ui.text import words

Table = list[dict[str, str]]
Counts = list[dict[str, str | int]]
EXAMPLES, PROBES, PAIRS, COUNTS = "Training examples", "Probes", "Prompt pairs", "Counts"


@kept()
def tables(_corpus: Corpus, corpus_hash: str) -> dict[str, Table]:
    """The tables by title, with the columns of a CSV file: a table that is saved from its menu can be imported."""
    examples = [
        {
            "text": line.text, "constraint": line.constraint, "meaning": line.meaning,
            "constraint_type": words(line.constraint_type),
        }
        for line in _corpus.examples
    ]  # fmt: skip
    probes = [
        {
            "text": line.text, "answer": line.answer, "foils": foils_cell(line.foils), "kind": line.kind,
            "constraint": line.constraint, "meaning": line.meaning, "constraint_type": words(line.constraint_type),
        }
        for line in _corpus.probes
    ]  # fmt: skip
    return {EXAMPLES: examples, PROBES: probes, PAIRS: _pair_rows(_corpus)}


def titles(part: str, *, task: bool) -> dict[str, str]:
    """What a table's columns are called on the page."""
    if part == PAIRS:
        return {
            "clean": "Clean prompt", "answer": "Right answer", "corrupted": "Corrupted prompt",
            "corrupted_answer": "Its right answer", "constraint_type": "Constraint type",
        }  # fmt: skip
    return {
        "text": "Prompt" if part == PROBES else "Text", "answer": "Right answer", "foils": "Foils",
        "kind": "Probe kind", "constraint": "Problem" if task else "Word", "meaning": "Answer" if task else "Meaning",
        "constraint_type": "Constraint type",
    }  # fmt: skip


def counts(corpus: Corpus) -> Counts:
    """One row a constraint type: how many training examples, how many probes of each kind, how many pairs."""
    trained = Counter(line.constraint_type for line in corpus.examples)
    held_out = Counter((line.constraint_type, line.kind) for line in corpus.probes)
    pairs = Counter(row["constraint_type"] for row in _pair_rows(corpus))
    of_pairs = "prompt pairs" if corpus.pairs or not pairs else "prompt pairs from probes"
    rows: Counts = []
    for name in corpus.constraint_types:
        kinds = {f"{info.title} probes": held_out[name, kind] for kind, info in PROBE_KINDS.items()}
        rows.append(
            {
                "constraint type": words(name),
                "training examples": trained[name],
                **kinds,
                of_pairs: pairs[words(name)],
            }
        )
    return rows


def show_counts(corpus: Corpus) -> None:
    """The table of counts."""
    rows = counts(corpus)
    headings: dict[str, str | None] = {column: column.capitalize() for row in rows for column in row}
    st.dataframe(rows, hide_index=True, column_config=headings)


def summary(corpus: Corpus) -> str:
    """`50 training examples, 320 probes (80 recall, …) and 20 prompt pairs`: what the file itself has."""
    by_kind = Counter(line.kind for line in corpus.probes)
    kinds = ", ".join(f"{by_kind[kind]} {info.title}" for kind, info in PROBE_KINDS.items() if by_kind[kind])
    parts = [
        plural(len(corpus.examples), "training example") if corpus.examples else "",
        f"{plural(len(corpus.probes), 'probe')} ({kinds})" if corpus.probes else "",
        plural(len(corpus.pairs), "prompt pair") if corpus.pairs else "",
    ]
    *first, last = [part for part in parts if part]
    return f"{', '.join(first)} and {last}" if first else last


def is_task(corpus: Corpus) -> bool:
    """Whether problems are taught rather than words."""
    return any(line.prompt for line in corpus.examples)


def taught(corpus: Corpus) -> tuple[str, int]:
    """What the training examples teach, and how many of it; without any, what the probes ask about. Texts of no word
    teach none."""
    if is_task(corpus):
        return "Problems trained on", len({line.constraint for line in corpus.examples})
    if corpus.examples:
        return "New words", len({line.constraint for line in corpus.examples if line.constraint != line.text})
    asked = [probe for probe in corpus.probes if not PROBE_KINDS[probe.kind].known_words]
    return "Words asked about", len({probe.constraint for probe in asked if probe.constraint != probe.text})


def _pair_rows(corpus: Corpus) -> Table:
    """One row a pair, its own or made from its probes; none where none can be made."""
    try:
        pairs = pairs_of(corpus)
    except InputError:
        return []
    return [
        {
            "clean": pair.clean, "answer": pair.answer, "corrupted": pair.corrupted,
            "corrupted_answer": pair.corrupted_answer, "constraint_type": words(pair.constraint_type),
        }
        for pair in pairs
    ]  # fmt: skip
