"""How much of what the whole model does a circuit does, 0 to 1 where it neither hurts nor outdoes it."""

import numpy as np

from engine.analysis.resampling import bootstrap_counts, interval
from engine.domain.errors import InputError
from engine.domain.measures import Estimate

N_BOOT = 1000
_ROUNDING = 1e-9  # of the sum of sizes: what sums of equal metrics may differ by


def normalised(m_circuit: np.ndarray, m_whole: np.ndarray, m_corrupted: np.ndarray) -> Estimate | None:
    """(m(C) - m(corrupted)) / (m(whole) - m(corrupted)) of the means over pairs, with a 95 % bootstrap interval.

    Each (n_pairs,), of the same pairs: the metric of the circuit, of the clean and of the corrupted run. The whole
    graph gives 1, the empty one 0. None where the whole model does not surely tell the clean prompts from the corrupted
    ones (the interval of m(whole) - m(corrupted) reaches 0): there is no behaviour then whose share could be told.
    Raises InputError for no pairs.
    """
    if not len(m_whole):
        raise InputError("There is no pair to measure faithfulness on. Give at least one.")
    assert m_circuit.shape == m_whole.shape == m_corrupted.shape
    corrupted = m_corrupted.astype(np.float64)
    gained, whole = m_circuit.astype(np.float64) - corrupted, m_whole.astype(np.float64) - corrupted
    counts = bootstrap_counts(len(whole), N_BOOT, 0)
    below = whole @ counts
    least, most = interval(float(whole.sum()), below)
    if least <= _ROUNDING * np.abs(whole).sum() and most >= -_ROUNDING * np.abs(whole).sum():
        return None
    value = float(gained.sum() / whole.sum())
    apart = np.sign(below) == np.sign(whole.sum())
    low, high = interval(value, (gained @ counts)[apart] / below[apart])
    return Estimate(value=value, low=low, high=high)
