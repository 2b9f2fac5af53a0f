"""What is to be learned: constraints, tasks, templates, probes; corpora in and out. Plain Python, no torch."""

from engine.corpus.checks import check_corpus, line_problems
from engine.corpus.columns import Columns, columns_of
from engine.corpus.csv_rows import corpus_csv
from engine.corpus.files import corpus_from, parse_corpus, read_corpus
from engine.corpus.joined import joined
from engine.corpus.make import make_corpus
from engine.corpus.pairs import fitting, pair_problems, pairs_of
from engine.corpus.tables import Table, read_table
from engine.corpus.tasks import TASKS, make_task
from engine.domain.corpus import Corpus, CorpusSpec, TaskSpec


def make_any(spec: CorpusSpec | TaskSpec) -> Corpus:
    """The corpus of words or of a task. Raises what `make_corpus` and `make_task` do."""
    return make_task(spec) if isinstance(spec, TaskSpec) else make_corpus(spec)


__all__ = [
    "TASKS",
    "Columns",
    "Table",
    "check_corpus",
    "columns_of",
    "corpus_csv",
    "corpus_from",
    "fitting",
    "joined",
    "line_problems",
    "make_any",
    "make_corpus",
    "make_task",
    "pair_problems",
    "pairs_of",
    "parse_corpus",
    "read_corpus",
    "read_table",
]
