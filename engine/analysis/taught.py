"""Which examples taught it, in a table, a record and one sentence."""

import math
from typing import Any

import pandas as pd

from engine.domain.numbers import percent, plural
from engine.domain.taught import Taught

READ = (
    "A push is an estimate of what training on a sentence did to it, as a share of the strongest. It tells sentences "
    "that matter from those that do not; their exact order means little."
)


def taught_table(taught: Taught) -> pd.DataFrame:
    """push (of the strongest), sentence, teaches (the new word), id: what raised the answer most comes first."""
    rows = [(one.push / taught.strongest, one.text, one.constraint, one.id) for one in taught.ranked]
    return pd.DataFrame(rows, columns=["push", "sentence", "teaches", "id"])


def taught_sentence(taught: Taught) -> str:
    """What was explained, how it changed, and how to read the pushes."""
    key = taught.key
    if key.prompt:
        what = f"the probability of “{taught.answer.strip()}”"
    else:
        probes = plural(taught.n_prompts, "probe")
        what = f"the right answers' probability, geometric mean over {probes} of the type {key.constraint_type},"
    before, after = (percent(math.exp(value)) for value in (taught.before, taught.after))
    return f"Training to {key.checkpoints[-1]} took {what} from {before} to {after}. {READ}"


def taught_record(taught: Taught) -> dict[str, Any]:
    """Keys answer, before, after (log-probabilities), prompts, captures, examples; of these push, sentence, teaches,
    type, id."""
    return {
        "answer": taught.answer,
        "before": taught.before,
        "after": taught.after,
        "prompts": taught.n_prompts,
        "captures": list(taught.key.checkpoints),
        "examples": [
            {
                "push": one.push,
                "sentence": one.text,
                "teaches": one.constraint,
                "type": one.constraint_type,
                "id": one.id,
            }
            for one in taught.ranked
        ],
    }
