"""Two graphs that are the same but for rounding, as of a merged model and the checkpoint that was merged. Pure."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from engine.domain.acted import ROUNDING
from engine.domain.diffs import CHANGE, COMPARED, FLOW
from engine.domain.graphs import AttributionGraph


def is_same(a: AttributionGraph, b: AttributionGraph, tables: Sequence[pd.DataFrame], exact: float) -> bool:
    """Whether all outputs have the same logit but for rounding, and nothing in the tables changed by more than `exact`.

    `tables`: nodes and edges of a difference; `exact`: logits, to which parts add up.
    """
    before, after = (graph.target_logit.astype(np.float64) for graph in (a, b))
    size = np.maximum(1.0, np.maximum(np.abs(before), np.abs(after)))
    if (np.abs(after - before) > ROUNDING * size).any():
        return False
    changes = ((table[COMPARED["b"]] - table[COMPARED["a"]]).abs() for table in tables)
    return not any((change > exact).any() for change in changes)


def unchanged_nodes(nodes: pd.DataFrame) -> pd.DataFrame:
    """The table of nodes without what is only rounding."""
    return nodes.assign(**{COMPARED["a"]: nodes[COMPARED["b"]]}, status="unchanged")


def unchanged_edges(edges: pd.DataFrame) -> pd.DataFrame:
    """Likewise, the largest flow first: by their change they have no order."""
    status = edges["status"].where(edges["status"] == "not kept", "unchanged")
    order = np.argsort(-edges[FLOW["b"]].abs().to_numpy(), kind="stable")
    found = edges.assign(**{COMPARED["a"]: edges[COMPARED["b"]], "status": status}).assign(**{CHANGE: 0.0})
    return found.iloc[order].reset_index(drop=True)
