"""How much of the influence on the output runs through other nodes: 1 - the weighted Jaccard of it."""

import numpy as np

from engine.analysis.mean_circuits import CircuitPair


def change(pair: CircuitPair) -> np.ndarray:
    """(n_means,) 0 to 1; 0 where neither circuit has any."""
    return pair.nodes.value_change()
