"""Measures of circuit change, one a file, all of one shape: a pair of mean circuits in, a change of 0 to 1 out for each
weighting of the prompts, (n_means,). A new one is a file, a line here and its name in `engine.domain.measures`."""

from collections.abc import Callable
from typing import Final

import numpy as np

from engine.analysis.mean_circuits import CircuitPair
from engine.analysis.measures import edge_jaccard, edge_similarity, influence, node_jaccard
from engine.domain.measures import Measure

MEASURES: Final[dict[Measure, Callable[[CircuitPair], np.ndarray]]] = {
    "influence": influence.change,
    "edge_similarity": edge_similarity.change,
    "node_jaccard": node_jaccard.change,
    "edge_jaccard": edge_jaccard.change,
}

__all__ = ["MEASURES"]
