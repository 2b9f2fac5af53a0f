"""Where training acted on made-up probes, written out by hand."""

from dataclasses import replace

import numpy as np

from engine.analysis.acted_mean import ActedMean, acted_mean
from engine.domain.acted import Acted, ActedKey, ChangedMatrix, Stretch
from engine.domain.corpus import Probe
from engine.domain.explained import ExplainedLogits

MATRICES = (
    ChangedMatrix("model.embed_tokens", -1),
    ChangedMatrix("model.layers.0.mlp.up_proj", 0),
    ChangedMatrix("model.layers.1.mlp.up_proj", 1),
    ChangedMatrix("lm_head", 2),
)


def probe(word: str, *, noun: str = "cat", kind: str = "paraphrase", template: str = "the {n} is {w} so") -> Probe:
    text = template.replace("{n}", noun).replace("{w}", word)
    return Probe(
        id=text, kind=kind, text=text, known_text=text, answer="happy", foils=("sad",),
        constraint_type="simple_mapping", constraint=word, meaning="happy", template=template,
    )  # fmt: skip


def measured(asked: Probe, *stretches: np.ndarray, before: float = 1.0) -> tuple[Probe, Acted]:
    """`stretches`: (4, n_pos) parts, which are the whole change."""
    tokens = ("<bos>", *(f" {word}" for word in asked.text.split()))
    n, found = len(stretches), []
    for parts in stretches:
        after = before + float(parts.sum())
        found.append(
            Stretch(
                before=before, after=after, probability_before=0.25, probability_after=0.75, matrices=MATRICES,
                by_matrix=parts.astype(np.float32), heads=(), by_head=np.zeros((0, len(tokens)), np.float32),
                n_points=4,
            )
        )  # fmt: skip
        before = after
    labels = tuple(f"run@{number}" for number in range(n + 1))
    key = ActedKey(checkpoints=labels, hashes=labels, prompt=asked.text, explained=ExplainedLogits(answers=(7,)))
    return asked, Acted(key, tokens, (" happy",), True, 2, None, tuple(found))


def but_rounding(found: Acted) -> Acted:
    """As of a B that answers as A does: the parts are some 1e-8 of what they were."""
    end = found.after
    still = [replace(one, before=end, after=end, by_matrix=one.by_matrix * np.float32(1e-8)) for one in found.stretches]
    return replace(found, stretches=tuple(still))


def parts(**at: float) -> np.ndarray:
    """(4, 6): w at the new word in layer 0, n at the noun's embedding, e at the last token's output matrix."""
    found = np.zeros((4, 6))
    found[1, 4], found[0, 2], found[3, 5] = at.get("w", 0.0), at.get("n", 0.0), at.get("e", 0.0)
    return found


def three_words() -> ActedMean:
    """Of blarf two probes (change 10 and 8), of gleem and zephyr one each (change 12 and 9)."""
    return acted_mean(
        [
            measured(probe("blarf"), parts(w=3, e=7)),
            measured(probe("blarf", noun="dog"), parts(w=1, e=7)),
            measured(probe("gleem"), parts(w=4, e=8)),
            measured(probe("zephyr"), parts(w=0, n=1, e=8)),
        ]
    )
