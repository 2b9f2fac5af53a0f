"""The tour's captions, computed from what was measured: other figures give other sentences. Pure.

Each caption is a title and at most three short sentences (the tests count the words). A word of the field is
explained in the caption where it first appears.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.domain.diffs import GraphDiff
from engine.domain.graphs import NodeKind
from engine.domain.interventions import Intervention
from engine.domain.numbers import count, decimal, percent, plural
from engine.figures.names import visible
from pages._ui.tour.facts import Controls, TaughtPrompt, WordShare


@dataclass(frozen=True)
class Words:
    """What stands above a figure."""

    title: str
    sentences: tuple[str, ...]


def checkpoints_words(n_words: int, n_examples: int, n_trained: Mapping[str, int], *, word: str, new: bool) -> Words:
    """Step 1. `n_trained`: how many numbers each side changed; `new`: B changed those of the new words alone."""
    only = f"only the {count(n_trained['B'])} that stand for these words" if new else count(n_trained["B"])
    return Words(
        "One model, taught the same words twice",
        (
            f"Two runs of training, A and B, teach a language model {plural(n_words, 'made-up word')}, "
            f"such as “{word}”, with the same {n_examples} sentences.",
            f"A changes {count(n_trained['A'])} numbers throughout the model, B {only}.",
            "Each dot is a checkpoint: a copy of the model, saved during training.",
        ),
    )


def word_words(word: str, meaning: str, rows: Sequence[TaughtPrompt]) -> Words:
    """Step 2."""
    before, a, b = (
        percent(sum(p) / len(rows))
        for p in zip(*((row.before.p, row.a.p, row.b.p) for row in rows), strict=True)
    )  # fmt: skip
    after = f"{a} in A and in B" if a == b else f"{a} in A, {b} in B"
    return Words(
        f"“{word}” before and after training",
        (
            f"The sentences say that “{word}” means “{meaning}”. Then the model must guess the next word.",
            f"How likely does it find “{meaning}”? On average {before} before training, and {after} after it.",
        ),
    )


def paths_words(diff: GraphDiff, path: Sequence[str], *, word: str, meaning: str) -> Words:
    """Step 3. `path`: node ids of the strongest path that appeared while `word` was taught."""
    n = diff.summary.edges["appeared"]
    title = {0: "Inside A, no connection appeared", 1: "Inside A, one connection appeared"}.get(
        n, f"Inside A, {n} connections appeared"
    )
    what = (
        "A model works with features: patterns that it notices in a text. One passes its result on to the next. "
        "Together they are its circuit."
    )
    if not path:
        return Words(title, (what,))
    start, *between, end = (_called(diff, node) for node in path)
    parts = between[0] if len(between) == 1 else f"{len(between)} features"
    through = f" through {parts}" if between else ""
    return Words(
        title,
        (
            what,
            f"Another new word, “{word}”, means “{meaning}”. Training made the connections below.",
            f"The strongest new path runs from {start}{through} to the answer, {end}.",
        ),
    )


def _called(diff: GraphDiff, node: str) -> str:
    row = diff.nodes[diff.nodes["id"] == node].iloc[0]
    if row["kind"] == NodeKind.FEATURE.name.lower():
        return f"feature {row['index']}"
    return f"“{visible(str(row['token']))}”"


def answers_words(paraphrase: Mapping[str, float], retention: Mapping[str, float]) -> Words:
    """Step 4: accuracy by side."""
    a, b = paraphrase["A"], paraphrase["B"]
    return Words(
        "In new phrasings, both are right" if abs(a - b) < 0.05 else "In new phrasings, they differ",
        (
            "A probe is a held-out question: a prompt that was not trained on, with one right next word.",
            f"In phrasings that neither run has seen, A answers {percent(a)} of the probes right, B {percent(b)}.",
            _forgotten(retention),
        ),
    )


def _forgotten(kept: Mapping[str, float]) -> str:
    less, more = sorted(kept, key=lambda side: kept[side])
    if kept[less] >= 0.995:
        return "Neither forgot anything of what the model knew before."
    rest = f"{more} forgot nothing" if kept[more] >= 0.995 else f"{more} {percent(kept[more])}"
    return f"Of what the model knew before, {less} still knows {percent(kept[less])}, {rest}."


def loss_words(training: Mapping[str, float], held_out: Mapping[str, float], *, new: bool) -> Words:
    """Step 5: losses by side. `new`: B trains how the new words are read, and nothing else."""
    higher, lower = ("B", "A") if training["B"] > training["A"] else ("A", "B")
    turned = held_out[higher] < held_out[lower]
    why = (
        ("It counts every word of the sentences, new ones included. B learns to read those, but not to write them.",)
        if new and higher == "B"
        else ("It counts every word of the training sentences.",)
    )
    return Words(
        f"{higher}: higher training loss, lower probe loss" if turned else f"{higher}’s training loss is higher",
        (
            f"The training loss says how badly a run predicts its sentences: {decimal(training['A'])} for A, "
            f"{decimal(training['B'])} for B.",
            *why,
            f"On the probes, where only the right next word counts, {higher}’s loss is "
            f"{'lower' if turned else 'higher'}: {decimal(held_out[higher])} against {decimal(held_out[lower])}.",
        ),
    )


def consequence_words(*, word: str, answer: str, premise: str, taught: bool, rows: Sequence[WordShare]) -> Words:
    """Step 6. `premise`: the prompt with the word that the base knows; `taught`: a training text has the answer."""
    title = "What follows from a word was taught" if taught else "What follows from a word was never taught"
    told = f"A training sentence says so of “{word}”" if taught else f"No training sentence says so of “{word}”"
    whole = {side: sum(share == 1 for share in shares) for side, shares in _by_side(rows).items()}
    return Words(
        title,
        (
            f"The model knows “{premise} {answer}”. {told}. To know it all the same is called inference.",
            f"Of {plural(len(rows), 'new word')}, A answers all inference probes right for {whole['A']}, "
            f"B for {whole['B']}.",
        ),
    )


def _by_side(rows: Sequence[WordShare]) -> dict[str, list[float]]:
    return {"A": [row.a for row in rows], "B": [row.b for row in rows]}


def circuit_words(
    n_features: int, answer: str, effects: tuple[Intervention, Intervention] | None, controls: Controls | None
) -> Words:
    """Step 7. `effects`: of switching the features off in A and in B, where it was measured."""
    title = "The features that make the difference"
    if not n_features:
        return Words(title, ("On this prompt no feature carries B’s answer alone.",))
    lead = (
        f"These {n_features} features lead B to “{answer}”. They were chosen because they count at most half as much "
        "in A."
    )
    if effects is None:
        return Words(title, (lead, "Does B need them? Switch them off and see."))
    b = effects[1]
    place = [visible(token) for token in b.tokens].index(answer)
    falls = "falls" if b.p_after[place] < b.p_before[place] else "goes"
    result = f"Without them, “{answer}” {falls} from {percent(b.p_before[place])} to {percent(b.p_after[place])}."
    if controls is None:
        return Words(title, (lead, result))
    check = (
        f"Without {n_features} others, drawn at random, it stays the likeliest word in {controls.n_kept} of "
        f"{controls.n_draws} draws."
    )
    return Words(title, (lead, result, check))
