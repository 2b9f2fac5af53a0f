"""The speed and memory that the app promises, measured. One file a measure; nothing here is canned.

Ratios compare two sides timed in turns in one process, so that a busy machine slows both; figures are medians.
"""

from engine.bench.kept import keep_rankings
from engine.bench.registry import MEASURES, BenchResult, measure
from engine.bench.row import BenchRow

__all__ = ["MEASURES", "BenchResult", "BenchRow", "keep_rankings", "measure"]
