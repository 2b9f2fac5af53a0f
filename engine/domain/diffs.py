"""What differs between two attribution graphs on the same tokens."""

from dataclasses import dataclass
from typing import Annotated, Final, Literal

import pandas as pd
from pydantic import Field

from engine.domain.graphs import AttributionGraph, PruneSettings
from engine.domain.record import Record

Status = Literal["appeared", "vanished", "strengthened", "weakened", "flipped", "unchanged"]
STATUSES: tuple[Status, ...] = ("appeared", "vanished", "strengthened", "weakened", "flipped", "unchanged")

# Columns of `GraphDiff.edges`, by side where each side has its own: the one place that names them.
WEIGHT: Final = {"a": "weight_a", "b": "weight_b"}
SHARE: Final = {"a": "share_a", "b": "share_b"}
CONTRIBUTION: Final = {"a": "contribution_a", "b": "contribution_b"}
CHANGE: Final = "change"
# Further columns of nodes and edges where a difference is the mean over many prompts (`engine.analysis.aggregate`).
MEAN_COLUMNS = ("n", "spread_a", "spread_b", "spread_change")


class DiffSettings(Record):
    """What is kept, and what counts as a change."""

    prune: PruneSettings = PruneSettings()
    # The smallest change of contribution (edges) or influence (nodes) that is called a change: hundreds of edges
    # "appear" through pruning alone.
    min_change: Annotated[float, Field(ge=0, le=1)] = 0.005
    # and it must be at least this share of the larger side
    min_ratio: Annotated[float, Field(ge=0, le=1)] = 0.25


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

    nodes: id, kind, layer, position, index, token, a, b, activation_a, activation_b, kept_a, kept_b, status
        `a` and `b` are influence on the output (0 where the node does not exist on that side).
    edges: source, target (node ids), weight_a, weight_b, share_a, share_b, contribution_a, contribution_b,
        kept_a, kept_b, change, status.
        share: signed weight over the target's summed absolute input; contribution: |share| x influence of target;
        change: contribution_b - contribution_a (for a flipped edge: their sum, with the sign of b).
    """

    a: AttributionGraph
    b: AttributionGraph
    nodes: pd.DataFrame
    edges: pd.DataFrame
    summary: DiffSummary
    settings: DiffSettings
