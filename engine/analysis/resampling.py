"""What every interval over prompts shares: percentile bootstrap (Efron 1979), with draws that a seed fixes."""

import numpy as np

LEVELS = (2.5, 97.5)  # of a two-sided 95% interval, in percent


def bootstrap_counts(n: int, n_boot: int, seed: int) -> np.ndarray:
    """(n, n_boot) int64: how often each of `n` things is drawn, with replacement, in every resample."""
    if n < 1:
        return np.zeros((0, n_boot), dtype=np.int64)
    return np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=n_boot).T


def interval(value: float, resampled: np.ndarray) -> tuple[float, float]:
    """Low and high. It is widened to hold the value itself.

    A resampled circuit rests on fewer different prompts than the whole, so that two of them differ more: without that
    the interval of a small change could lie above it.
    """
    if not len(resampled):
        return value, value
    low, high = np.percentile(resampled, LEVELS)
    return min(float(low), value), max(float(high), value)
