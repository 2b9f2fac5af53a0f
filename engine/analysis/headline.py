"""One sentence on what the two sides of a comparison answer, for someone who never heard of a circuit.

It is computed from the output probabilities alone, and claims nothing that they do not show.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.analysis.mean_graph import RIGHT_ANSWER
from engine.domain.continuation import output_for
from engine.domain.corpus import PROBE_KINDS, Probe
from engine.domain.diffs import MEAN_COLUMNS, GraphDiff
from engine.domain.graphs import AttributionGraph
from engine.domain.numbers import percent

Piece = tuple[str, bool]  # a text, and whether it is emphasised

_NEAR = 0.6  # an output at least this likely, relative to the first one, counts as said too
_AT_MOST = 3


def as_text(sentence: Sequence[Piece]) -> str:
    """Without emphasis."""
    return "".join(text for text, _ in sentence)


@dataclass(frozen=True)
class _Answer:
    """What one side says: its likeliest outputs, and how likely the right one is (None where it is not known)."""

    said: tuple[str, ...]
    p_said: float
    p_right: float | None

    def gives(self, right: str) -> bool:
        return right in self.said

    def how_likely(self, right: str) -> str:
        """The probability of the right output, and what comes before it."""
        ahead = self.said[: self.said.index(right)] if right in self.said else ()
        return percent(self.p_right) + (f", close behind {' and '.join(ahead)}" if ahead else "")


def headline(diff: GraphDiff, probe: Probe | None = None) -> tuple[Piece, ...]:
    """The sentence as (text, emphasised) pieces, to be joined as they are.

    With the probe that the prompt belongs to, it says which side gives the right answer; without, what each says.
    Of an answer of several tokens it is about the first. A probe whose answer neither graph was traced to is not used,
    nor one of another prompt. Of a mean circuit (`engine.analysis.aggregate`) it says how likely the right answer is on
    average.
    """
    if MEAN_COLUMNS[0] in diff.nodes and RIGHT_ANSWER in diff.a.target_tokens:
        return _on_average(_answer(diff.a, RIGHT_ANSWER), _answer(diff.b, RIGHT_ANSWER), diff.a.key.prompt)
    right = _right(probe, diff) if probe is not None else None
    a, b = _answer(diff.a, right), _answer(diff.b, right)
    if not a.said or not b.said:
        return (("Neither graph was traced to an output.", False),)
    body = _unjudged(a, b) if probe is None or right is None else _judged(a, b, right, probe.answer.strip())
    return (*_premise(probe if right is not None else None), *body)


def _on_average(a: _Answer, b: _Answer, prompts: str) -> tuple[Piece, ...]:
    """`prompts`: what they are, in words."""
    return (
        (f"On average over {prompts} the right answer gets ", False),
        (percent(a.p_right), True),
        (" in A and ", False),
        (percent(b.p_right), True),
        (" in B.", False),
    )


def _right(probe: Probe, diff: GraphDiff) -> str | None:
    """The output that is the probe's answer, or its first token; None where the graphs are of something else."""
    output = output_for(diff.a.target_tokens, probe.answer)
    return output.strip() if output and probe.text.split() == diff.a.key.prompt.split() else None


def _answer(graph: AttributionGraph, right: str | None) -> _Answer:
    likely = sorted(zip(graph.target_probability.tolist(), graph.target_tokens, strict=True), key=lambda item: -item[0])
    words = [(p, token.strip() or token) for p, token in likely]
    near = tuple(token for p, token in words[:_AT_MOST] if p >= _NEAR * words[0][0])
    p_right = next((p for p, token in words if token == right), None)
    return _Answer(said=near, p_said=words[0][0] if words else 0.0, p_right=p_right)


def _premise(probe: Probe | None) -> list[Piece]:
    """What the new word means, where the prompt has it.

    A meaning that is no more than the answer may be anything that was asked about the word: its color, its home.
    """
    if probe is None or PROBE_KINDS[probe.kind].known_words or probe.constraint not in probe.text.split():
        return []
    if probe.meaning.strip().casefold() == probe.answer.strip().casefold():
        return []
    return [(probe.constraint, True), (" stands for ", False), (probe.meaning, True), (". ", False)]


def _judged(a: _Answer, b: _Answer, right: str, answer: str) -> list[Piece]:
    """`right`: the output that stands for the answer."""
    what = "the right answer, " if right == answer else f"the first token of the right answer “{answer}”, "
    if a.gives(right) and b.gives(right):
        return [
            (f"Both sides expect {what}", False),
            (right, True),
            (f" (A {a.how_likely(right)}; B {b.how_likely(right)}).", False),
        ]
    if a.gives(right) or b.gives(right):
        name, other, knows, fails = ("A", "B", a, b) if a.gives(right) else ("B", "A", b, a)
        return [
            (f"Only {name} expects {what}", False),
            (right, True),
            (f" ({knows.how_likely(right)}). {other} says ", False),
            *_words(fails),
            (f" and gives {right} {percent(fails.p_right)}.", False),
        ]
    return [
        (f"Neither side expects {what}", False),
        (right, True),
        (f" (A {percent(a.p_right)}, B {percent(b.p_right)}): ", False),
        *_both_say(a, b),
        (".", False),
    ]


def _unjudged(a: _Answer, b: _Answer) -> list[Piece]:
    likely = f" (A {percent(a.p_said)}, B {percent(b.p_said)})."
    if a.said[0] == b.said[0]:
        return [("Both sides expect ", False), (a.said[0], True), (f" most{likely}", False)]
    return [
        ("The two sides continue differently: A says ", False),
        *_words(a),
        (", B says ", False),
        *_words(b),
        (".", False),
    ]


def _both_say(a: _Answer, b: _Answer) -> list[Piece]:
    if set(a.said) == set(b.said):
        return [("both say ", False), *_words(a)]
    return [("A says ", False), *_words(a), (", B says ", False), *_words(b)]


def _words(answer: _Answer) -> list[Piece]:
    pieces: list[Piece] = []
    for place, token in enumerate(answer.said):
        if place:
            pieces.append((" or ", False))
        # A full stop that is said must not read as the sentence's own.
        pieces.append((token if token.isalnum() else f"“{token}”", True))
    return pieces
