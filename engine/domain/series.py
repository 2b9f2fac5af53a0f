"""The graphs of one run's checkpoints on one list of probes: what circuit change is measured on after training."""

import hashlib
from typing import Annotated

from pydantic import Field

from engine.domain.corpus import ProbeKind, Slug
from engine.domain.graphs import TraceSettings
from engine.domain.measures import Estimate
from engine.domain.names import Name
from engine.domain.record import Record

# Of 25,000 edges the 10,000 that contribute most: enough for pruned circuits, and a hundred graphs take 10 MB.
SERIES_TRACING = TraceSettings(max_edges=10_000)


class SeriesKey(Record):
    """What was asked for. One transcoder set for all checkpoints, one list of output targets a prompt."""

    run: Name
    checkpoints: tuple[tuple[int, str], ...]  # step and hash of the weights, ascending
    corpus_hash: str
    probe_kind: ProbeKind
    probes: tuple[str, ...]  # ids
    transcoders: str
    transcoders_hash: str
    settings: TraceSettings = SERIES_TRACING

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:20]


class SeriesGraph(Record):
    """One stored graph of a series."""

    step: int
    probe_id: str
    graph: str  # GraphKey.hash


class Overlap(Record):
    """Meaning overlap at one checkpoint and layer (see `engine.analysis.overlap`)."""

    step: int
    constraint_type: Slug
    layer: int  # -1: all layers together
    own: float  # new words with what they mean; weighted Jaccard, 0 to 1
    other: float  # new words with the other meanings
    gap: Estimate  # own - other, with the interval over words and phrasings
    n: Annotated[int, Field(ge=1)]  # words x phrasings


class CausalCheck(Record):
    """What is left of the right answer when a circuit's features are switched off, at one checkpoint."""

    step: int
    constraint_type: Slug
    n_prompts: int
    n_features: float  # switched off, mean over prompts
    n_others: float = 0.0  # of the others in each draw, mean over prompts: as many, or fewer where fewer are active
    p_before: float  # probability of the right answer, mean over prompts
    drop: Estimate  # of that probability, mean and interval over prompts
    random_drop: Estimate  # with equally many other active features switched off, mean over draws
    n_draws: int


class GraphSeries(Record):
    """A stored series. `graphs` may miss some where a job was canceled."""

    key: SeriesKey
    graphs: tuple[SeriesGraph, ...] = ()
    overlap: tuple[Overlap, ...] = ()
    causal: tuple[CausalCheck, ...] = ()
