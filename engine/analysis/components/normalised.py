"""How much of what the whole model does a circuit does, 0 to 1 where it neither hurts nor outdoes it."""

import math

import numpy as np

from engine.analysis.resampling import bootstrap_counts, interval
from engine.domain.errors import InputError
from engine.domain.measures import Estimate

N_BOOT = 1000


def normalised(m_circuit: np.ndarray, m_whole: np.ndarray, m_corrupted: np.ndarray) -> Estimate | None:
    """(m(C) - m(corrupted)) / (m(whole) - m(corrupted)) of the means over pairs, with a 95 % bootstrap interval.

    Each (n_pairs,), of the same pairs: the metric of the circuit, of the clean and of the corrupted run. The whole
    graph gives 1, the empty one 0. Resamples in which both runs are equal are left out. None where whole and corrupted
    are equal. Raises InputError for no pairs.
    """
    if not len(m_whole):
        raise InputError("There is no pair to measure faithfulness on. Give at least one.")
    assert m_circuit.shape == m_whole.shape == m_corrupted.shape
    corrupted = m_corrupted.astype(np.float64)
    gained, whole = m_circuit.astype(np.float64) - corrupted, m_whole.astype(np.float64) - corrupted
    if _equal(float(m_whole.mean()), float(corrupted.mean())):
        return None
    counts = bootstrap_counts(len(whole), N_BOOT, 0)
    below = whole @ counts
    said = ~np.isclose(below, 0, rtol=0, atol=1e-9 * float(np.abs(whole).sum()))
    value = float(gained.sum() / whole.sum())
    low, high = interval(value, (gained @ counts)[said] / below[said])
    return Estimate(value=value, low=low, high=high)


def _equal(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
