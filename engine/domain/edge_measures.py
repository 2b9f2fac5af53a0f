"""What the score of an edge is measured by. To add a measure: its record here, and a function of its name in
`engine.components.metrics`; settings, command line and pages read these."""

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import AfterValidator


@dataclass(frozen=True)
class EdgeMeasure:
    """A figure read at the last token. An edge's score is its change where the edge carries its corrupted value."""

    label: str  # in lists
    explanation: str  # what it is, in a few words
    effect: str  # what the effect of an edge says, in a sentence
    sign: Literal[-1, 1]  # of effect over score: -1 where the measure falls when an edge that helps is taken away
    tells_right: bool = False  # above 0 where the right answer is ahead of the corrupted prompt's answer
    flat_at_clean: bool = False  # its gradient at the clean input is 0: plain EAP sees nothing


EDGE_MEASURES: Final[dict[str, EdgeMeasure]] = {
    "logit_diff": EdgeMeasure(
        label="Lead of the right answer (logits)",
        explanation="how far the right answer is ahead of the corrupted prompt’s answer",
        effect=(
            "About how much the right answer’s lead would shrink if this edge carried what the corrupted prompt gives "
            "it. Below zero, the answer would do better without it."
        ),
        sign=-1,
        tells_right=True,
    ),
    "kl": EdgeMeasure(
        label="All outputs (KL divergence)",
        explanation="how far the probabilities of all next tokens move",
        effect="About how far all outputs would move if this edge carried what the corrupted prompt gives it.",
        sign=1,
        flat_at_clean=True,
    ),
}


def known_measure(name: str) -> str:
    """The name, where there is such a measure. Raises ValueError."""
    if name not in EDGE_MEASURES:
        raise ValueError(f"“{name[:40]}” is not an edge measure. Choose one of {', '.join(EDGE_MEASURES)}.")
    return name


Metric = Annotated[str, AfterValidator(known_measure)]  # a key of EDGE_MEASURES
