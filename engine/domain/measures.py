"""How much a circuit differs from another: which measures there are, and what is said of a change."""

from typing import Literal

from engine.domain.record import Record

# Each is a change from 0 (the same circuit) to 1 (nothing in common): one minus the similarity of the name.
Measure = Literal["influence", "edge_similarity", "node_jaccard", "edge_jaccard"]
MEASURES: tuple[Measure, ...] = ("influence", "edge_similarity", "node_jaccard", "edge_jaccard")
MEASURE_TITLES: dict[Measure, str] = {
    "influence": "Influence of nodes",
    "edge_similarity": "Shares of edges",
    "node_jaccard": "Which nodes",
    "edge_jaccard": "Which edges",
}

# change: surely outside the noise; within: inside it; unclear: the interval reaches into it, or no noise was measured.
Said = Literal["change", "within", "unclear"]
# What a checkpoint is laid beside.
To = Literal["previous", "base", "last"]
TO: tuple[To, ...] = ("previous", "base", "last")


class Estimate(Record):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


class Floor(Record):
    """How different circuits are where nothing was learned between them: of one checkpoint, in one measure."""

    halves: float  # disjoint halves of the prompts, with the same words in both: mean over random splits
    halves_high: float  # the 95 % quantile over the splits
    paraphrases: float | None  # the same words in other phrasings: mean over pairs of phrasings; None: only one

    @property
    def edge(self) -> float:
        """Where the noise ends: the larger of both."""
        return max(self.halves_high, self.paraphrases or 0.0)


class Change(Estimate):
    """How much a circuit changed between two checkpoints, with the interval over prompts."""

    edge: float | None  # of the noise floor: the larger one of both checkpoints; None where it cannot be measured

    @property
    def said(self) -> Said:
        if self.edge is None:
            return "unclear"
        if self.value <= self.edge:
            return "within"
        return "change" if self.low > self.edge else "unclear"
