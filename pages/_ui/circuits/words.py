"""What two circuits have in common, in one sentence: the counts of the table, the chips and the picture in words."""

from collections.abc import Mapping

import pandas as pd

from engine.domain.components import CIRCUIT_STATUSES, CircuitStatus, ComponentScores
from engine.domain.measures import Estimate
from engine.domain.numbers import count, decimal, percent, plural, step_name
from engine.domain.words import listed
from engine.figures.component_words import n_moved

Counts = Mapping[CircuitStatus, int]  # of every status
_VERBS: dict[CircuitStatus, tuple[str, str]] = {  # of one, of several
    "appeared": ("appeared", "appeared"),
    "vanished": ("vanished", "vanished"),
    "flipped": ("flipped its sign", "flipped their signs"),
    "in both": ("is in both", "are in both"),
}


def status_counts(table: pd.DataFrame) -> dict[CircuitStatus, int]:
    """How many rows of `edge_changes` or `node_changes` have each status."""
    found = table["status"].value_counts()
    return {status: int(found.get(status, 0)) for status in CIRCUIT_STATUSES}


def node_counts(nodes: pd.DataFrame) -> dict[CircuitStatus, int]:
    """Of the heads and MLPs that are in either circuit."""
    inside = nodes["in_a"] | nodes["in_b"]
    return status_counts(nodes[inside & nodes["kind"].isin(["head", "mlp"])])


def sentence(edges: Counts, nodes: Counts, *, step_a: int, step_b: int) -> str:
    """In Markdown. What became of A's edges, the largest part first, and what is new in B; then heads and MLPs."""
    if step_a == step_b:
        parts = plural(nodes["in both"], "head or MLP", "heads and MLPs")
        return f"A and B are the same checkpoint: **{plural(edges['in both'], 'edge')}** between **{parts}**."
    if not sum(edges.values()):
        return "Neither circuit has an edge."
    when = f"From {step_name(step_a)} to {step_name(step_b)}"
    return f"{when}, {_became(edges, 'edge', 'edges')}. {_capital(_became(nodes, 'head or MLP', 'heads and MLPs'))}."


def moved(edges: pd.DataFrame) -> str:
    """A sentence in Markdown on the edges of `edge_changes` that stand in both circuits; empty where none has moved."""
    n = n_moved(edges)
    return f" Of the edges in both, the effect of **{count(n)}** changed by half or more." if n else ""


def uncertain(sides: list[str]) -> str:
    """A sentence in Markdown on the sides (`A`) whose faithfulness `no_behavior` tells of; empty where none."""
    if not sides:
        return ""
    its = "its circuit" if len(sides) == 1 else "their circuits"
    return f" **{' and '.join(sides)} may have no behavior on these pairs** (see below), so {its} may be chance."


def no_behavior(names: list[str], pairs: str) -> str:
    """Why there is no faithfulness at these checkpoints (`base`, `step 60`) on these pairs, and what would tell."""
    return (
        f"Faithfulness of {listed(names)} cannot be told: on {pairs} the whole model may answer clean prompts just as "
        "it answers corrupted ones, as the 95% interval of the difference includes 0. Where there may be no behavior, "
        "there is no share of it. More pairs would tell, or pairs that the model answers right."
    )


def recovered(side: str, found: Estimate) -> str:
    """`B’s circuit recovers **50%** (95% interval −2% to 86%, perhaps nothing)`"""
    interval = (
        f"95% interval {percent(found.low)} to {percent(found.high)}{', perhaps nothing' if found.low <= 0 else ''}"
    )
    return f"{side}’s circuit recovers **{percent(found.value)}** ({interval})"


def behavior(side: str, scores: ComponentScores) -> str:
    """A sentence on what circuits are a part of; empty where the metric is no difference of logits."""
    if scores.key.settings.metric != "logit_diff":
        return ""
    clean, corrupted = scores.mean_clean, scores.mean_corrupted
    return (
        f"In {side} the clean prompts’ answer leads the corrupted prompts’ answer by {decimal(clean)} on clean prompts "
        f"and by {decimal(corrupted)} on corrupted ones: the behavior is the {decimal(clean - corrupted)} between them."
    )


def _became(counts: Counts, noun: str, nouns: str) -> str:
    """`**16 of 19 edges** flipped their signs, **2** vanished and **1** is in both; **5** appeared`."""
    n_a = sum(counts.values()) - counts["appeared"]
    if not n_a:
        return f"**{plural(counts['appeared'], noun, nouns)}** appeared"
    parts: tuple[CircuitStatus, ...] = ("flipped", "vanished", "in both")
    order = sorted(parts, key=lambda status: -counts[status])  # equal ones in this order
    (first, *others) = (status for status in order if counts[status])
    whole = f"all **{plural(n_a, noun, nouns)}**" if n_a > 1 else f"the only {noun}"
    many = whole if not others else f"**{count(counts[first])} of {plural(n_a, noun, nouns)}**"
    pieces = [f"{many} {_verb(first, counts[first])}"]
    pieces += [f"**{count(counts[status])}** {_verb(status, counts[status])}" for status in others]
    became = " and ".join([", ".join(pieces[:-1]), pieces[-1]]) if others else pieces[0]
    return became + (f"; **{count(counts['appeared'])}** appeared" if counts["appeared"] else "")


def _verb(status: CircuitStatus, n: int) -> str:
    return _VERBS[status][n != 1]


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
