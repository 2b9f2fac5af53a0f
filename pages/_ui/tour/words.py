"""The tour's captions, computed from what was measured: other figures give other sentences. Pure.

Each caption is a title and at most three short sentences (the tests count the words). A word of the field is
explained in the caption where it first appears.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.analysis.distinguishing import appeared_edges
from engine.domain.diffs import GraphDiff
from engine.domain.feature_names import FeatureNames
from engine.domain.graphs import NodeKind
from engine.domain.interventions import Intervention
from engine.domain.numbers import count, decimal, percent, plural
from engine.figures.names import feature_name, visible
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
        "One model, fine-tuned twice on the same words",
        (
            f"Runs A and B each teach one language model {plural(n_words, 'made-up word')}, such as "
            f"“{word}”, with the same {n_examples} sentences.",
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
    after = f"{a} in both runs" if a == b else f"{a} in A and {b} in B"
    return Words(
        f"“{word}” before and after training",
        (
            f"The sentences say that “{word}” means “{meaning}”. Here each is asked with a noun that it did not have.",
            f"The probability of “{meaning}” as the next word is {before} on average before training. After training "
            f"it is {after}.",
        ),
    )


def paths_words(
    diff: GraphDiff, path: Sequence[str], *, word: str, meaning: str, names: FeatureNames | None = None
) -> Words:
    """Step 3. `path`: node ids of the strongest path that appeared while `word` was taught."""
    n = len(appeared_edges(diff))
    named = plural(n, "new connection") if n else "no new connection"
    title = f"Inside A, {named} {'add' if n > 1 else 'adds'} to the answer"
    what = (
        "Inside, a model works with features: patterns that it detects in a text. Words, features and answers are "
        "connected; together they are its circuit."
    )
    if not path:
        return Words(title, (what,))
    start, *between, end = (_called(diff, node, names) for node in path)
    parts = between[0] if len(between) == 1 else f"{len(between)} features"
    through = f" through {parts}" if between else ""
    return Words(
        title,
        (
            what,
            f"Another new word, “{word}”, means “{meaning}”. The connections below appeared in training; "
            "A’s answer runs along them.",
            f"The strongest new path runs from {start}{through} to the answer, {end}.",
        ),
    )


def _called(diff: GraphDiff, node: str, names: FeatureNames | None) -> str:
    row = diff.nodes[diff.nodes["id"] == node].iloc[0]
    if row["kind"] == NodeKind.FEATURE.name.lower():
        called = feature_name(names, int(row["layer"]), int(row["index"]))
        return called if called.startswith("feature ") else f"the feature {called}"
    return f"“{visible(str(row['token']))}”"


def answers_words(paraphrase: Mapping[str, float], retention: Mapping[str, float]) -> Words:
    """Step 4: accuracy by side."""
    a, b = paraphrase["A"], paraphrase["B"]
    return Words(
        f"{'Both are' if abs(a - b) < 0.05 else 'They are not equally'} right in new phrasings{_but(retention)}",
        (
            "A probe is a held-out question: a prompt that was not trained on, with one right next word.",
            f"In phrasings that neither run has seen, A answers {percent(a)} of the probes right, B {percent(b)}.",
            _forgotten(retention),
        ),
    )


def _but(kept: Mapping[str, float]) -> str:
    less, more = sorted(kept, key=lambda side: kept[side])
    return f", but {less} forgot more" if kept[more] - kept[less] >= 0.05 else ""


def _forgotten(kept: Mapping[str, float]) -> str:
    less, more = sorted(kept, key=lambda side: kept[side])
    return (
        f"Probes of what the model knew before: {less} still answers {percent(kept[less])} of them right, {more} "
        f"{percent(kept[more])}."
    )


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
        f"Training loss favors {lower}, probe loss {higher}"
        if turned
        else f"Training loss and probe loss favor {lower}",
        (
            f"The training loss, lower is better, says how well a run predicts its sentences: {decimal(training['A'])} "
            f"for A, {decimal(training['B'])} for B.",
            *why,
            f"Over both kinds of probes below, where only the right next word counts, {higher}’s loss is "
            f"{'lower' if turned else 'higher'}: {decimal(held_out[higher])} against {decimal(held_out[lower])}.",
        ),
    )


def consequence_words(*, word: str, answer: str, premise: str, taught: bool, rows: Sequence[WordShare]) -> Words:
    """Step 6. `premise`: the prompt with the word that the base knows; `taught`: a training text has the answer."""
    told = (
        f"A training sentence says the same of “{word}”."
        if taught
        else f"No training sentence says so of “{word}”: the model must infer it."
    )
    whole = {side: sum(share == 1 for share in shares) for side, shares in _by_side(rows).items()}
    return Words(
        f"What follows from “{word}” was taught"
        if taught
        else f"A infers what follows from {plural(whole['A'], 'word')}, B from {whole['B']}",
        (
            f"Before training, the model knew “{premise} {answer}”. {told}",
            f"A answers all of these inference probes right for {whole['A']} of {plural(len(rows), 'new word')}, B for "
            f"{whole['B']}.",
        ),
    )


def _by_side(rows: Sequence[WordShare]) -> dict[str, list[float]]:
    return {"A": [row.a for row in rows], "B": [row.b for row in rows]}


def circuit_words(
    n_features: int, answer: str, effects: tuple[Intervention, Intervention] | None, controls: Controls | None
) -> Words:
    """Step 7. `effects`: of switching the features off in A and in B, where it was measured."""
    title = "What B’s answer rests on"
    if not n_features:
        return Words(title, ("On this prompt no feature carries B’s answer alone.",))
    lead = (
        f"These {n_features} features are part of how B arrives at “{answer}”; what each adds is at most half as "
        "much in A."
    )
    if effects is None:
        return Words(title, (lead, "Does B need them? Switch them off to see."))
    b = effects[1]
    place = [visible(token) for token in b.tokens].index(answer)
    falls = "falls" if b.p_after[place] < b.p_before[place] else "goes"
    result = (
        f"With all {n_features} switched off, “{answer}” {falls} from {percent(b.p_before[place])} to "
        f"{percent(b.p_after[place])}."
    )
    if controls is None:
        return Words(title, (lead, result))
    check = (
        f"With {n_features} random others switched off instead, it stays the likeliest word, in {controls.n_kept} of "
        f"{controls.n_draws} tries."
    )
    return Words(title, (lead, result, check))
