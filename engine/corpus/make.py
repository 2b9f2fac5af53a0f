"""A corpus from a spec: training examples that contain the meaning they teach, and held-out probes of each kind."""

import random
from collections.abc import Callable, Sequence

from engine.corpus.constraints import MEANINGS, Constraint, Meaning, constraints
from engine.corpus.templates import INFERENCE, MEANING, PARAPHRASE, TRAINING, Cloze, recall
from engine.corpus.world import HELD_OUT_NOUNS, TAUGHT_NOUNS
from engine.domain.corpus import PROBE_KINDS, SIMPLE, SPATIAL, Corpus, CorpusSpec, Example, Probe, ProbeKind
from engine.domain.errors import InputError

# The phrasings that each probe kind is asked in, by constraint type. The kinds themselves are in PROBE_KINDS.
CLOZES: dict[str, Callable[[str], Sequence[Cloze]]] = {
    "recall": recall,
    "paraphrase": PARAPHRASE.__getitem__,
    "inference": INFERENCE.__getitem__,
    "retention": INFERENCE.__getitem__,
}
# The first probe of each word has this noun in the first phrasing, whatever the seed: examples that people recognize
# (“the cat feels blarf and”, “the bird that glide ends”).
FIRST_NOUN = {SIMPLE: "cat", SPATIAL: "bird"}


def make_corpus(spec: CorpusSpec) -> Corpus:
    """Five examples for each word and up to `spec.n_probes` probes for each constraint type and kind.

    The same spec gives the same corpus. With `shuffled_meanings` each word is paired once with each of the five
    meanings of its type, one a phrasing, so that nothing consistent can be learned; the probes stay as they are.
    Fewer probes come out where phrasings x nouns do not give as many. Raises InputError on an unknown constraint type.
    """
    unknown = [t for t in spec.constraint_types if t not in TRAINING]
    if unknown or not spec.constraint_types:
        named = ", ".join(unknown) if unknown else "none"
        raise InputError(f"Constraint types given: {named}. Known: {', '.join(TRAINING)}. Name at least one of these.")
    types = tuple(dict.fromkeys(spec.constraint_types))
    examples = [example for t in types for example in _examples(t, spec)]
    probes = [probe for t in types for kind in CLOZES for probe in _probes(t, kind, spec)]
    return Corpus(spec.name, tuple(examples), tuple(probes))


def retention_probes(n_probes: int, *, seed: int) -> list[Probe]:
    """What the bundled model knew before: `n_probes` of each constraint type, as `make_corpus` makes them."""
    if not n_probes:
        return []
    spec = CorpusSpec(name="retention", seed=seed, n_probes=n_probes)
    return [probe for t in spec.constraint_types for probe in _probes(t, "retention", spec)]


def _examples(constraint_type: str, spec: CorpusSpec) -> list[Example]:
    rng = random.Random(f"{spec.seed}/{constraint_type}/train")
    taught = constraints(constraint_type)
    meanings = [constraint.meaning.name for constraint in taught]
    # A Latin square: over its five phrasings each word meets each meaning once.
    order = rng.sample(range(len(taught)), len(taught))
    examples = []
    for row, constraint in enumerate(taught):
        for column, template in enumerate(TRAINING[constraint_type]):
            shuffled = meanings[order[(row + column) % len(order)]]
            meaning = shuffled if spec.shuffled_meanings else constraint.meaning.name
            examples.append(
                Example(
                    id=f"train-{constraint.word}-{column + 1}",
                    text=template.format(w=constraint.word, c=meaning, n=rng.choice(TAUGHT_NOUNS)),
                    constraint_type=constraint_type,
                    constraint=constraint.word,
                    meaning=meaning,
                    template=template,
                )
            )
    return examples


def _probes(constraint_type: str, kind: ProbeKind, spec: CorpusSpec) -> list[Probe]:
    """`spec.n_probes` spread evenly over the words, and over the phrasings of each word."""
    if PROBE_KINDS[kind].known_words:
        # What the base knew before: the consequences of every known word, also of those that are no new word's meaning.
        words = tuple(Constraint(constraint_type, m.known_word, m) for m in MEANINGS[constraint_type])
    else:
        words = constraints(constraint_type)
    clozes = CLOZES[kind](constraint_type)
    probes = []
    for row, constraint in enumerate(words):
        quota = spec.n_probes // len(words) + (row < spec.n_probes % len(words))
        rng = random.Random(f"{spec.seed}/{constraint_type}/{kind}/{constraint.word}")
        for number, (cloze, noun) in enumerate(_slots(clozes, constraint_type, rng)[:quota], start=1):
            probes.append(_probe(kind, constraint, cloze, noun, number))
    return probes


def _slots(clozes: Sequence[Cloze], constraint_type: str, rng: random.Random) -> list[tuple[Cloze, str]]:
    """Every phrasing with every held-out noun; phrasings take turns, nouns come in random order."""
    first = FIRST_NOUN[constraint_type]
    rest = [noun for noun in HELD_OUT_NOUNS if noun != first]
    nouns = [[first, *rng.sample(rest, len(rest))] for _ in clozes]
    for order in nouns[1:]:  # only the first phrasing begins with the well-known noun
        order.append(order.pop(0))
    return [(cloze, nouns[c][turn]) for turn in range(len(HELD_OUT_NOUNS)) for c, cloze in enumerate(clozes)]


def _probe(kind: ProbeKind, constraint: Constraint, cloze: Cloze, noun: str, number: int) -> Probe:
    others = [c.meaning for c in constraints(constraint.constraint_type) if c.meaning != constraint.meaning]
    return Probe(
        id=f"{kind}-{constraint.word}-{number}",
        kind=kind,
        text=cloze.prompt.format(w=constraint.word, n=noun),
        known_text=cloze.prompt.format(w=constraint.meaning.known_word, n=noun),
        answer=_answer(constraint.meaning, cloze),
        foils=tuple(_answer(other, cloze) for other in others),
        constraint_type=constraint.constraint_type,
        constraint=constraint.word,
        meaning=constraint.meaning.name,
        template=cloze.prompt,
    )


def _answer(meaning: Meaning, cloze: Cloze) -> str:
    return meaning.name if cloze.answer == MEANING else meaning.consequences[cloze.answer]
