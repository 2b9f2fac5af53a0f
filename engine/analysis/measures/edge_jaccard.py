"""Which edges belong to the circuit: 1 - the Jaccard of both sets."""

import numpy as np

from engine.analysis.mean_circuits import CircuitPair


def change(pair: CircuitPair) -> np.ndarray:
    """(n_means,) 0 to 1; 0 where neither circuit has any."""
    return pair.edges.member_change()
