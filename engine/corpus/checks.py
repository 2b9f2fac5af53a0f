"""What is wrong with a corpus, in words that a user can act on: line by line on import, as a whole on demand."""

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress

from engine.corpus.pairs import pair_problems, pairs_in_words
from engine.domain.components import FEW_PAIRS
from engine.domain.continuation import Tokens, answer_tokens, continued
from engine.domain.corpus import PROBE_KINDS, Corpus, Example, Pair, Probe, ProbeKind
from engine.domain.errors import BadLine, PromptRefused
from engine.domain.numbers import FEW, plural

PAIR_FIELDS = ("id", "clean", "corrupted", "answer", "corrupted_answer")

NumberedLine = tuple[int, Example | Probe | Pair]


def check_corpus(corpus: Corpus, *, tokens: Tokens | None = None) -> list[str]:
    """Findings about a corpus, empty where there are none: what `read_corpus` would refuse, and what weakens it."""
    lines: list[Example | Probe | Pair] = [*corpus.examples, *corpus.probes, *corpus.pairs]
    findings = [
        f"{lines[bad.number - 1].id}: {bad.reason}"
        for bad in line_problems(list(enumerate(lines, start=1)), tokens=tokens)
    ]
    if tokens and (n := sum(_has_several(probe, tokens) for probe in corpus.probes)):
        findings.append(
            f"{plural(n, 'probe')} with an answer of several tokens in this model: right where each token is the most "
            "probable one; graphs are of the first."
        )
    if 0 < len(corpus.pairs) < FEW_PAIRS:
        findings.append(
            f"{plural(len(corpus.pairs), 'pair')}: too few for a reliable circuit, which takes {FEW_PAIRS}."
        )
    if corpus.pairs and not (corpus.examples or corpus.probes):
        return [*findings, "It has only pairs: circuits can be found with them, but nothing can be trained on them."]
    if not corpus.examples:
        findings.append("It has no training examples, so nothing can be trained on it.")
    if not corpus.probes:
        findings.append("It has no probes, so a run on it has a loss but no accuracy.")
        return findings
    counts = Counter((probe.constraint_type, probe.kind) for probe in corpus.probes)
    for constraint_type in corpus.constraint_types:
        few = [
            (n, PROBE_KINDS[kind].title)
            for kind in _kinds_wanted(corpus, constraint_type)
            if (n := counts[constraint_type, kind]) < FEW
        ]
        if few:
            named = ", ".join(f"{n} {title}" for n, title in few)
            findings.append(
                f"{constraint_type.replace('_', ' ')} has few probes ({named}). With fewer than {FEW} of "
                "a kind, accuracy is rough."
            )
    taught = {example.template for example in corpus.examples}
    held_out = {probe.template for probe in corpus.probes if PROBE_KINDS[probe.kind].held_out_phrasing}
    findings += [
        f"The phrasing “{t}” is trained on, but its probes count as held-out phrasings."
        for t in sorted(taught & held_out)
    ]
    return findings


def _kinds_wanted(corpus: Corpus, constraint_type: str) -> tuple[ProbeKind, ...]:
    """Which probes a type should have: all kinds where words are taught.

    A task (its examples have prompts) has nothing to paraphrase or infer, and a type that is not trained on is asked
    about for what it shows anyway.
    """
    examples = [example for example in corpus.examples if example.constraint_type == constraint_type]
    if examples and not any(example.prompt for example in examples):
        return tuple(PROBE_KINDS)
    there = {probe.kind for probe in corpus.probes if probe.constraint_type == constraint_type}
    return tuple(kind for kind in PROBE_KINDS if kind in there or (kind == "recall" and examples))


def line_problems(lines: Sequence[NumberedLine], *, tokens: Tokens | None = None) -> list[BadLine]:
    """Every problem of a line, by itself or together with the others, in the order of the lines.

    With a model's tokenizer every line is read with it, and pairs are measured; without one, those pairs that the
    bundled model can read in its words.
    """
    bad = [BadLine(number, reason) for number, line in lines for reason in _own_problems(line)]
    bad += _duplicates(((n, line.id) for n, line in lines), "id")
    bad += _duplicates(((n, line.text) for n, line in lines if isinstance(line, Example)), "training text")
    pairs = [(n, line) for n, line in lines if isinstance(line, Pair)]
    bad += _duplicates(((n, f"{pair.clean}” / “{pair.corrupted}") for n, pair in pairs), "pair")
    bad += pairs_in_words(pairs) if tokens is None else [*pair_problems(pairs, tokens), *_unread(lines, tokens)]
    bad += _leaks(lines)
    return sorted(bad, key=lambda b: b.number)


def _unread(lines: Sequence[NumberedLine], tokens: Tokens) -> list[BadLine]:
    """What a model cannot read of examples and probes."""
    bad = []
    for number, line in lines:
        try:
            if isinstance(line, Example):
                tokens(line.text)
            elif isinstance(line, Probe):
                for word in (line.answer, *line.foils):
                    answer_tokens(tokens, line.text, word, blank=line.blank)
                tokens(line.known_text)
        except PromptRefused as error:
            bad.append(BadLine(number, str(error)))
    return bad


def _has_several(probe: Probe, tokens: Tokens) -> bool:
    with suppress(PromptRefused):  # a problem of its line
        return len(answer_tokens(tokens, probe.text, probe.answer, blank=probe.blank)) > 1
    return False


def _own_problems(line: Example | Probe | Pair) -> list[str]:
    fields = PAIR_FIELDS if isinstance(line, Pair) else ("id", "text", "constraint", "meaning")
    reasons = [f"“{field}” is blank" for field in fields if not getattr(line, field).strip()]
    if isinstance(line, Pair):
        if line.clean.split() == line.corrupted.split():
            reasons.append(f"“clean” and “corrupted” are the same text “{line.clean[:80]}”")
        if line.answer.strip() == line.corrupted_answer.strip():
            reasons.append(f"the answer “{line.answer[:80]}” is also the corrupted answer")
        return reasons
    if isinstance(line, Example):
        if not contains(line.text, line.meaning):
            reasons.append(f"the text “{line.text[:80]}” does not contain its meaning “{line.meaning[:80]}”")
        if not line.text.startswith(line.prompt) or line.text.strip() == line.prompt.strip():
            reasons.append(f"the text “{line.text[:80]}” does not continue its prompt “{line.prompt[:80]}”")
        return reasons
    if not line.answer.strip():
        reasons.append("“answer” is blank")
    said = continued(line.text, line.answer, blank=line.blank)
    if said in [continued(line.text, foil, blank=line.blank) for foil in line.foils]:
        reasons.append(f"the answer “{line.answer[:80]}” is also one of its foils")
    return reasons


def contains(text: str, part: str) -> bool:
    """Whether `part` stands in `text`, without regard to case."""
    return part.casefold() in text.casefold()


def _duplicates(values: Iterable[tuple[int, str]], what: str) -> list[BadLine]:
    first: dict[str, int] = {}
    bad = []
    for number, value in values:
        if value in first:
            bad.append(BadLine(number, f"the {what} “{value[:80]}” is already in line {first[value]}"))
        else:
            first[value] = number
    return bad


def _leaks(lines: Sequence[NumberedLine]) -> list[BadLine]:
    """Probes whose prompt, and pairs whose answered prompt, stands word for word inside a training text.

    One pass over the training texts: of a word that begins no such prompt nothing more is looked at.
    """
    prompts: dict[str, dict[int, dict[str, list[int]]]] = {}  # by first word and length
    for number, line in lines:
        if not isinstance(line, Example):
            words = line.text.split() if isinstance(line, Probe) else [*line.clean.split(), *line.answer.split()]
            by_length = prompts.setdefault(words[0] if words else "", {})
            by_length.setdefault(len(words), {}).setdefault(" ".join(words), []).append(number)
    bad: dict[int, BadLine] = {}
    for number, line in lines:
        if not isinstance(line, Example):
            continue
        words = line.text.split()
        for start, word in enumerate(words):
            for length, known in prompts.get(word, {}).items():
                for probe in known.get(" ".join(words[start : start + length]), ()):
                    bad.setdefault(probe, BadLine(probe, f"the prompt is part of the training text in line {number}"))
    return list(bad.values())
