"""The workspace on disk. Files are the truth; the index can always be made again from them."""

from engine.store.infos import CorpusInfo, Problem, RunInfo
from engine.store.layout import BUNDLED
from engine.store.store import Store, cache_of, default_workspace

__all__ = ["BUNDLED", "CorpusInfo", "Problem", "RunInfo", "Store", "cache_of", "default_workspace"]
