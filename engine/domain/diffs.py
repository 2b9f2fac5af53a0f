"""What differs between two attribution graphs on the same tokens."""

from dataclasses import dataclass
from typing import Annotated, Final, Literal

import pandas as pd
from pydantic import Field

from engine.domain.explained import ExplainedLogits
from engine.domain.graphs import AttributionGraph, PruneSettings
from engine.domain.record import Record

Status = Literal["appeared", "vanished", "strengthened", "weakened", "flipped", "unchanged", "not kept"]
STATUSES: tuple[Status, ...] = (
    "appeared", "vanished", "strengthened", "weakened", "flipped", "unchanged", "not kept"
)  # fmt: skip
NOT_CHANGED: tuple[Status, ...] = ("unchanged", "not kept")

# Columns of `GraphDiff.edges`, by side where each side has its own: the one place that names them.
WEIGHT: Final = {"a": "weight_a", "b": "weight_b"}
SHARE: Final = {"a": "share_a", "b": "share_b"}
CONTRIBUTION: Final = {"a": "contribution_a", "b": "contribution_b"}
FLOW: Final = {"a": "flow_a", "b": "flow_b"}
COMPARED: Final = {"a": "compared_a", "b": "compared_b"}  # of nodes and edges
PART: Final = {"a": "part_a", "b": "part_b"}  # of `GraphDiff.nodes`
CHANGE: Final = "change"
# Further columns of nodes and edges where a difference is the mean over many prompts (`engine.analysis.aggregate`).
MEAN_COLUMNS = ("n", "spread_a", "spread_b", "spread_change")


class DiffSettings(Record):
    """What is kept, what is explained, and what counts as a change."""

    prune: PruneSettings = PruneSettings()
    explained: ExplainedLogits | None = None  # None: the output that B finds most probable
    # The smallest change of flow (edges) or part (nodes) that is called a change: this share of what moved in all,
    min_change: Annotated[float, Field(ge=0, le=1)] = 0.01
    # and at least this share of the larger side.
    min_ratio: Annotated[float, Field(ge=0, le=1)] = 0.25


@dataclass(frozen=True)
class ExplainedChange:
    """What became of the explained logit from A to B, and by which measure a change of its parts counts."""

    words: str  # `happy`, `happy − bl`
    a: float  # the logit, minus the mean logit
    b: float
    scale: float  # the factor by which most of what enters the output grew; 1 where there is none
    moved: float  # logits: the summed |change| of all that enters the output, beyond the scale
    limit: float  # logits: the smallest change that counts
    is_estimated: bool  # what a change does: from the graphs alone, because B's gradients are not known
    is_same: bool = False  # the answers and all that leads to them are the same but for rounding

    @property
    def total(self) -> float:
        """Logits: the change beyond the scale."""
        return self.b - self.scale * self.a

    @property
    def effect(self) -> str:
        """How it is known what a change does to the logit, in a sentence."""
        if self.is_estimated:
            return (
                "The effect of a change is estimated from the graphs: the change times what a unit is of the logit, in "
                "the mean of both. Compare again to have the model’s own gradients."
            )
        return (
            "The effect of a change is the change times what a unit more does to the logit in B, by B’s own gradient."
        )


class DiffSummary(Record):
    """Figures of one comparison; Jaccard indices of the pruned graphs, 1 where both are empty."""

    node_jaccard: float
    edge_jaccard: float
    edge_similarity: float  # weighted Jaccard of signed shares over the union of kept edges
    nodes: dict[Status, int]
    edges: dict[Status, int]


@dataclass(frozen=True, eq=False)
class GraphDiff:
    """The union of the kept nodes and edges of both graphs, each with both values.

    nodes: id, kind, layer, position, index, token, a, b, activation_a, activation_b, part_a, part_b, compared_a,
        compared_b, kept_a, kept_b, status. `a` and `b` are influence on all outputs, the parts those of the explained
        logit (0 where the node does not exist on that side).
    edges: source, target (node ids), weight_a, weight_b, share_a, share_b, contribution_a, contribution_b, flow_a,
        flow_b, compared_a, compared_b, kept_a, kept_b, change, status.
        weight: the direct effect of source on target; share: weight over the target's summed absolute input;
        contribution: |share| x influence of target; flow: part of the explained logit that runs along the edge, signed;
        compared: weight times what a unit more at the target does to the logit, in B (`ExplainedChange.effect`), A on
        B's scale, so that their difference is what the change of this edge alone does to the logit;
        change: |compared_b| - |compared_a| (for a flipped edge their sum, with the sign of b).
        Of an edge that is "not kept", one side is not known and stands as 0.
    Where both sides are the same but for rounding (`ExplainedChange.is_same`), what is compared is that of B on both.
    For features `compared` is the same with the activation; for tokens, errors and outputs it is the part.
    """

    a: AttributionGraph
    b: AttributionGraph
    nodes: pd.DataFrame
    edges: pd.DataFrame
    summary: DiffSummary
    settings: DiffSettings
    explained: ExplainedChange


def not_kept_here(edges: pd.DataFrame, side: str) -> pd.Series:
    """(n_edges,) bool: whether side `a` or `b` says nothing of an edge of a table, because its graph was cut."""
    return (edges["status"] == "not kept") & (edges[WEIGHT[side]] == 0)


def without_unknown(edges: pd.DataFrame) -> pd.DataFrame:
    """The edges with NaN instead of 0 for what a side did not keep."""
    missing = {side: not_kept_here(edges, side) for side in "ab"}
    named = [(side, column[side]) for side in "ab" for column in (WEIGHT, SHARE, CONTRIBUTION, FLOW, COMPARED)]
    return edges.assign(**{name: edges[name].mask(missing[side]) for side, name in named})


def edge_effect(edges: pd.DataFrame) -> pd.Series:
    """(n_edges,) what the change of each edge alone does to the explained logit; NaN where a side did not keep it."""
    known = without_unknown(edges)
    change: pd.Series = known[COMPARED["b"]] - known[COMPARED["a"]]
    return change
