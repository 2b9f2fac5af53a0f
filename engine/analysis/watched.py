"""Which probes circuits are traced on, at every checkpoint of a run."""

from collections.abc import Sequence
from itertools import zip_longest

from engine.domain.corpus import Corpus, Probe, ProbeKind

_AT_ONCE = 2  # phrasings of a word that are taken before the next word has its turn: one noise floor needs two


def watched_probes(corpus: Corpus, kind: ProbeKind, n: int) -> tuple[Probe, ...]:
    """Up to `n` probes of one kind of each constraint type, in the order of the corpus's types.

    Words in the order of the corpus, two phrasings each, the same two for all words; where `n` is more than that, the
    next two phrasings of every word, and then the same phrasings with other nouns. So 4 are two words in two
    phrasings. A word that lacks a phrasing gives what it has. () where the corpus has no probes of the kind.
    """
    types = dict.fromkeys(probe.constraint_type for probe in corpus.probes)
    return tuple(
        probe
        for constraint_type in types
        for probe in _of_type([p for p in corpus.probes if (p.constraint_type, p.kind) == (constraint_type, kind)])[:n]
    )


def _of_type(probes: Sequence[Probe]) -> list[Probe]:
    """All of them, in the order in which they are taken."""
    templates = list(dict.fromkeys(probe.template for probe in probes))
    words = dict.fromkeys(probe.constraint for probe in probes)
    queues = [_of_word([p for p in probes if p.constraint == word], templates) for word in words]
    turns = [[queue[start : start + _AT_ONCE] for start in range(0, len(queue), _AT_ONCE)] for queue in queues]
    return [probe for turn in zip_longest(*turns, fillvalue=[]) for pair in turn for probe in pair]


def _of_word(probes: Sequence[Probe], templates: Sequence[str]) -> list[Probe]:
    """Each phrasing once in the order of `templates`, then each a second time, …"""
    by_template = [[probe for probe in probes if probe.template == template] for template in templates]
    return [probe for turn in zip_longest(*by_template) for probe in turn if probe is not None]
