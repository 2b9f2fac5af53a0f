"""The tour's captions, computed from what was measured: other figures give other sentences. Pure.

Each caption is a title of few words and one or two sentences of at most twenty.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.domain.diffs import GraphDiff
from engine.domain.graphs import NodeKind
from engine.domain.interventions import Intervention
from engine.domain.runs import LossLog
from engine.figures.names import visible
from engine.figures.tour_charts import share
from pages._ui.tour.facts import Told

MOST_WORDS = 20  # of a sentence


@dataclass(frozen=True)
class Words:
    """What stands above a figure."""

    title: str
    sentences: tuple[str, ...]


def checkpoints_words(losses: LossLog, smoothed: float, n_checkpoints: int) -> Words:
    """Step 1. `smoothed`: the loss at the end."""
    falls = "falls" if smoothed < losses.loss[0] else "goes"
    return Words(
        "A checkpoint is a snapshot",
        (
            f"In {len(losses.step)} small training steps the model’s loss, its error, {falls} "
            f"from {losses.loss[0]:.1f} to {smoothed:.1f}.",
            f"Each of the {n_checkpoints} dots is a checkpoint: the model, kept as it was then.",
        ),
    )


def word_words(word: str, meaning: str, rows: Sequence[Told]) -> Words:
    """Step 2."""
    before = sum(row.p_before for row in rows) / len(rows)
    after = sum(row.p_after for row in rows) / len(rows)
    return Words(
        f"“{word}” before and after training",
        (
            f"The training texts use a new word, “{word}”, for “{meaning}”.",
            f"Where “{meaning}” comes next, the model gives it {share(before)} before training, {share(after)} after.",
        ),
    )


def paths_words(diff: GraphDiff, path: Sequence[str], *, word: str, meaning: str) -> Words:
    """Step 3. `path`: node ids of the strongest path that appeared while `word` was taught."""
    n = diff.summary.edges["appeared"]
    title = {0: "No connection appeared", 1: "One connection appeared"}.get(n, f"{n} connections appeared")
    what = "Each dot is a part of the model at work, each line a connection."
    if not path:
        return Words(title, (what,))
    start, *between, end = (_called(diff, node) for node in path)
    parts = between[0] if len(between) == 1 else f"{len(between)} features"
    through = f" through {parts}" if between else ""
    return Words(
        title,
        (what, f"After training on “{word}” ({meaning}), the strongest new one runs from {start}{through} to {end}."),
    )


def _called(diff: GraphDiff, node: str) -> str:
    row = diff.nodes[diff.nodes["id"] == node].iloc[0]
    if row["kind"] == NodeKind.FEATURE.name.lower():
        return f"feature {row['index']}"
    return f"“{visible(str(row['token']))}”"


def answers_words(right: Mapping[str, float], n_trained: Mapping[str, int]) -> Words:
    """Step 4. `right`: accuracy in new phrasings, `n_trained`: how many numbers were changed; by side."""
    a, b = right["A"], right["B"]
    alike = abs(a - b) < 0.05
    return Words(
        "Two runs, the same right answers" if alike else "Two runs, different answers",
        (
            f"Run A changed {n_trained['A']:,} numbers inside the model, run B only {n_trained['B']:,}."
            if n_trained["B"] < n_trained["A"]
            else f"Run A changed {n_trained['A']:,} numbers inside the model, run B {n_trained['B']:,}.",
            f"Asked in phrasings that neither has seen, A is right {share(a)} of the time, B {share(b)}.",
        ),
    )


def loss_words(loss: Mapping[str, float], meaning: Mapping[str, float], kept: Mapping[str, float]) -> Words:
    """Step 5, by side: `loss`, accuracy on what follows from a `meaning`, what is `kept` of the base's knowledge."""
    preferred, other = ("A", "B") if loss["A"] < loss["B"] else ("B", "A")
    wrong = meaning[preferred] < meaning[other]
    first = (
        f"{preferred} has the lower loss, {loss[preferred]:.2f} against {loss[other]:.2f}, "
        f"{'yet' if wrong else 'and'} follows the meaning in {share(meaning[preferred])}, "
        f"{other} in {share(meaning[other])}."
    )
    return Words(
        "The loss prefers the wrong one" if wrong else "Here the loss prefers the right one",
        (first, _forgotten(kept)),
    )


def _forgotten(kept: Mapping[str, float]) -> str:
    less, more = sorted(kept, key=lambda side: kept[side])
    if kept[less] >= 0.995:
        return "Neither forgot anything of what the model knew before."
    rest = f"{more} forgot nothing" if kept[more] >= 0.995 else f"{more} still knows {share(kept[more])}"
    return f"{less} also forgot: of what the model knew before, it still knows {share(kept[less])}; {rest}."


def consequence_words(
    *, word: str, answer: str, premise: str, taught: bool, p: Mapping[str, float | None], said: Mapping[str, str]
) -> Words:
    """Step 6. `premise`: the prompt with the word that the base knows; `taught`: a training text has the answer."""
    title = "A consequence that was taught" if taught else "A consequence that was never taught"
    known = f"The model knows “{premise} {answer}”"
    told = f"a training text says so of “{word}”" if taught else f"no training text says so of “{word}”"
    return Words(title, (f"{known}; {told}.", _expected(answer, p, said)))


def _expected(answer: str, p: Mapping[str, float | None], said: Mapping[str, str]) -> str:
    parts = []
    for side, likely in p.items():
        how = "unknown" if likely is None else share(likely)
        parts.append(
            f"{side} expects “{answer}” ({how})"
            if said[side] == answer
            else f"{side} expects “{said[side]}” (“{answer}” {how})"
        )
    return f"{' and '.join(parts)}."


def circuit_words(n_features: int, answer: str, effects: tuple[Intervention, Intervention] | None) -> Words:
    """Step 7. `effects`: of switching the features off in A and in B, where it was measured."""
    title = "The circuit that tells them apart"
    if not n_features:
        return Words(title, ("On this prompt no feature carries B’s answer alone.",))
    lead = f"The {n_features} marked features carry B’s “{answer}”; in A they are weak or silent."
    if effects is None:
        return Words(title, (lead, "Does B need them? Switch them off and see."))
    b = effects[1]
    place = [visible(token) for token in b.tokens].index(answer)
    falls = "falls" if b.p_after[place] < b.p_before[place] else "goes"
    result = (
        f"Switch them off, and B’s “{answer}” {falls} from {share(b.p_before[place])} to {share(b.p_after[place])}."
    )
    return Words(title, (lead, f"{result[:-1]}, as the graph predicted." if _agree(b, place) else result))


def _agree(found: Intervention, place: int) -> bool:
    """Whether the graph foresaw which way the word would go."""
    return found.predicted[place] * (found.logit_after[place] - found.logit_before[place]) > 0
