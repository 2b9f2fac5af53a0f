"""How much a circuit differs from another: which measures there are, and what a change is called."""

from typing import Literal

from engine.domain.record import Record

# Each is a change from 0 (the same circuit) to 1 (nothing in common): one minus the similarity of the name.
Measure = Literal["influence", "edge_similarity", "node_jaccard", "edge_jaccard"]
MEASURES: tuple[Measure, ...] = ("influence", "edge_similarity", "node_jaccard", "edge_jaccard")
MEASURE_TITLES: dict[Measure, str] = {
    "influence": "Influence of nodes",
    "edge_similarity": "Shares of edges",
    "node_jaccard": "Set of nodes",
    "edge_jaccard": "Set of edges",
}

# change: its whole interval is above the noise floor; within: not above it; unclear: the interval reaches below it, or
# there is no floor.
Said = Literal["change", "within", "unclear"]
# What a checkpoint is compared with.
To = Literal["previous", "base", "last"]
TO: tuple[To, ...] = ("previous", "base", "last")
# Stands wherever something is said to be above the floor or not.
FLOOR_CAVEAT = (
    "The noise floor compares different prompts at one checkpoint, not the same prompts before and after. It misses "
    "even large changes: with 80% of a circuit’s edges replaced, 0 of 60 comparisons were called a change. So “not "
    "above the noise floor” does not mean “no change”."
)
DRIFT_CAVEAT = "A slow, steady drift also passes this rule."


class Estimate(Record):
    """A figure with its 95% interval."""

    value: float
    low: float
    high: float


class Floor(Record):
    """The noise floor: how different circuits of one checkpoint are between prompts, in one measure."""

    halves: float  # disjoint halves of the prompts, with the same words in both: mean over random splits
    halves_high: float  # the 95% quantile over the splits
    paraphrases: float | None  # the same words in other phrasings: mean over pairs of phrasings; None: only one

    @property
    def edge(self) -> float:
        """The height of the floor: the larger of both."""
        return max(self.halves_high, self.paraphrases or 0.0)


class Change(Estimate):
    """How much a circuit changed between two checkpoints, with the interval over prompts."""

    edge: float | None  # of the noise floor: the higher one of both checkpoints; None where it cannot be measured

    @property
    def said(self) -> Said:
        if self.edge is None:
            return "unclear"
        if self.value <= self.edge:
            return "within"
        return "change" if self.low > self.edge else "unclear"
