"""What is to be learned: constraints, templates, probes; corpora in and out. Plain Python, no torch."""

from engine.corpus.checks import check_corpus
from engine.corpus.files import read_corpus
from engine.corpus.make import make_corpus

__all__ = ["check_corpus", "make_corpus", "read_corpus"]
