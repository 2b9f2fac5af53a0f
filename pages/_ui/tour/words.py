"""The tour's captions, computed from what was measured: other figures give other sentences. Pure.

Each caption is a title and at most three short sentences (the tests count the words). A word of the field is
explained in the caption where it first appears.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.domain.interventions import Intervention
from engine.domain.numbers import count, decimal, percent, plural, signed
from engine.figures.names import visible
from pages._ui.tour.facts import Controls, Route, TaughtPrompt, WordShare

_LITTLE = 0.1  # of what moves after training: what moved before was hardly a path


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


def path_words(
    found: Route | None, *, word: str, meaning: str, prompt: str, answer: str, p: tuple[float, float]
) -> Words:
    """Step 3. `p`: of the answer after the prompt, before and after training."""
    told = (
        f"“{word}” means “{meaning}”. After “{prompt}” the right next word is “{answer}”: {percent(p[0])} before "
        f"training, {percent(p[1])} after."
    )
    if found is None:
        return Words(f"Training made no one path to “{answer}”", (told,))
    new = abs(found.before) < _LITTLE * abs(found.after)
    rest = round(found.rise, 2) - round(found.change, 2)
    reads = found.reader.replace("L", "layer ")
    most = "most of it" if found.read > found.change / 2 else "the most"
    through = f"{reads} at " if reads != found.reader else ""
    return Words(
        f"Training {'opened' if new else 'widened'} a path from “{found.source}” to “{answer}”",
        (
            told,
            f"In all, the score (logit) of “{answer}” rose by {decimal(found.rise)}. From “{found.source}” to "
            f"“{found.target}” came {signed(found.change)}, from all else {signed(rest)}.",
            f"At “{found.target}”, {reads} reads {most}: {signed(found.read)}. The path: “{found.source}” → "
            f"{through}“{found.target}” → “{answer}”.",
        ),
    )


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
        "A circle is a feature: a pattern that the model detects (active on → promotes). "
        f"These {n_features} push B to “{answer}”; in A each adds at most half as much."
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
