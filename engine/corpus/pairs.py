"""Prompt pairs of a corpus: its own, or made from its probes; and what is wrong with them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache

from engine.corpus.world import vocabulary
from engine.domain.continuation import Tokens, answer_tokens, whole_word
from engine.domain.corpus import PROBE_KINDS, Corpus, Pair, Probe
from engine.domain.errors import BadLine, InputError, PromptRefused
from engine.domain.numbers import plural


def pairs_of(corpus: Corpus) -> tuple[Pair, ...]:
    """The corpus's own pairs; where it has none, one for each probe that can be turned into another word's.

    The corrupted prompt has the same phrasing and noun with another new word of the type, one that another answer is
    right for. Retention probes make none: they ask for what was known before. Raises InputError where there are none.
    """
    pairs = corpus.pairs or _from_probes([probe for probe in corpus.probes if not PROBE_KINDS[probe.kind].known_words])
    if not pairs:
        raise InputError(
            f"The corpus “{corpus.name}” has no prompt pairs, and none can be made from its probes: that takes two "
            "words of one constraint type, asked about in the same phrasing. Choose a corpus that has pairs."
        )
    return pairs


def _from_probes(probes: list[Probe]) -> tuple[Pair, ...]:
    answers: dict[tuple[str, str], dict[str, str]] = {}  # (type, phrasing) -> word -> its answer
    for probe in probes:
        answers.setdefault((probe.constraint_type, probe.template), {})[probe.constraint] = probe.answer
    made = (_corrupted(probe, answers[probe.constraint_type, probe.template]) for probe in probes)
    return tuple(pair for pair in made if pair is not None)


def _corrupted(probe: Probe, answers: dict[str, str]) -> Pair | None:
    """With the next word of the type that has another answer, so that every word is used equally often."""
    words = list(answers)
    at = words.index(probe.constraint)
    for other in (*words[at + 1 :], *words[:at]):
        corrupted = other.join(whole_word(probe.constraint).split(probe.text))
        if answers[other] != probe.answer and corrupted != probe.text:
            return Pair(
                id=f"pair-{probe.id}"[:80],
                clean=probe.text,
                corrupted=corrupted,
                answer=probe.answer,
                corrupted_answer=answers[other],
                constraint_type=probe.constraint_type,
                blank=probe.blank,
            )
    return None


def pair_problems(lines: Iterable[tuple[int, Pair]], tokens: Tokens) -> list[BadLine]:
    """Pairs by line number that a model with this tokenizer cannot be measured on.

    Clean and corrupted prompt must have as many tokens as each other, and their answers begin with different ones.
    """
    bad = []
    for number, pair in lines:
        try:
            bad += [BadLine(number, reason) for reason in misfits(pair, tokens)]
        except PromptRefused as error:
            bad.append(BadLine(number, str(error)))
    return bad


def misfits(pair: Pair, tokens: Tokens) -> list[str]:
    """Why a model with this tokenizer cannot be measured on a pair; the one place that says so.

    Raises PromptRefused.
    """
    clean, corrupted = len(tokens(pair.clean)), len(tokens(pair.corrupted))
    reasons = []
    if clean != corrupted:
        reasons.append(f"“clean” has {plural(clean, 'token')} and “corrupted” {corrupted}; they must be equally long")
    right, wrong = _answers(pair, tokens)
    if right[0] == wrong[0]:
        several = len(right) + len(wrong) > 2
        reasons.append(
            f"“answer” “{pair.answer[:80]}” and “corrupted_answer” “{pair.corrupted_answer[:80]}” "
            + ("begin with the same token, and circuits are of the first" if several else "are the same token")
        )
    return reasons


def _answers(pair: Pair, tokens: Tokens) -> tuple[Sequence[object], Sequence[object]]:
    right, wrong = (pair.clean, pair.answer), (pair.corrupted, pair.corrupted_answer)
    return answer_tokens(tokens, *right, blank=pair.blank), answer_tokens(tokens, *wrong, blank=pair.blank)


def fitting(corpus: Corpus, tokens: Tokens) -> Corpus:
    """Without the pairs that `pair_problems` finds or whose answers have several tokens, and without the probes of the
    same prompts: a task's answers are counted in tokens.

    Raises InputError where no pair is left.
    """
    bad = {problem.number for problem in pair_problems(enumerate(corpus.pairs), tokens)}
    fit = [(number, pair) for number, pair in enumerate(corpus.pairs) if number not in bad]
    bad |= {number for number, pair in fit if any(len(ids) > 1 for ids in _answers(pair, tokens))}
    left_out = {corpus.pairs[number].clean for number in bad}
    pairs = tuple(pair for number, pair in enumerate(corpus.pairs) if number not in bad)
    if not pairs:
        raise InputError(
            f"None of the {len(corpus.pairs)} pairs of “{corpus.name}” fits this model's tokenizer: the prompts differ "
            "in length, or answers have several tokens. Use a smaller limit, or a model that has numbers as tokens."
        )
    return replace(corpus, pairs=pairs, probes=tuple(probe for probe in corpus.probes if probe.text not in left_out))


def pairs_in_words(lines: Iterable[tuple[int, Pair]]) -> list[BadLine]:
    """`pair_problems` for the bundled model, whose tokens are words, of those pairs that it knows every word of."""
    known = _known_words()
    meant = [(n, pair) for n, pair in lines if known.issuperset(pair.clean.split() + pair.corrupted.split())]
    read = known.union(*([*pair.answer.split(), *pair.corrupted_answer.split()] for _, pair in meant))

    def words(text: str) -> list[str]:
        if unknown := [word for word in text.split() if word not in read]:
            raise PromptRefused(f"The bundled model does not know “{unknown[0][:40]}”. Use words of its vocabulary.")
        return text.split()

    return pair_problems(meant, words)


@cache
def _known_words() -> frozenset[str]:
    return frozenset(vocabulary())
