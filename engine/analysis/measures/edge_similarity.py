"""How much of the nodes’ input comes over other edges or with the other sign: 1 - the weighted Jaccard of shares."""

import numpy as np

from engine.analysis.mean_circuits import CircuitPair


def change(pair: CircuitPair) -> np.ndarray:
    """(n_means,) 0 to 1; 0 where neither circuit has any."""
    return pair.edges.value_change()
