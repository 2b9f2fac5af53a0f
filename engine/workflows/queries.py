"""What pages and the command line ask of a store. Nothing here needs torch."""

import pandas as pd

from engine.analysis.curves import probe_scores
from engine.domain.corpus import Probe
from engine.domain.errors import NotFound
from engine.domain.graphs import AttributionGraph
from engine.store import Store

_ORDER = ("inference", "paraphrase", "recall", "retention")  # the most telling first


def comparison_graphs(
    store: Store, a: str, b: str, prompt: str, transcoders: str = ""
) -> tuple[AttributionGraph, AttributionGraph] | None:
    """The stored graphs of both sides (RUN@LABEL, canonical), or None where the pair has not been traced.

    A pair stored the other way round is turned. Without `transcoders` the newest pair is taken. Raises Damaged.
    """
    if found := store.comparison(a, b, prompt, transcoders):
        return store.graph(found.graph_a), store.graph(found.graph_b)
    if found := store.comparison(b, a, prompt, transcoders):
        return store.graph(found.graph_b), store.graph(found.graph_a)
    return None


def traced_graph(store: Store, checkpoint: str, prompt: str, transcoders: str = "") -> AttributionGraph | None:
    """The stored graph of one checkpoint to its own top tokens, or None where there is none. Raises Damaged."""
    for key in store.graphs(checkpoint):
        if key.prompt == prompt and not key.targets and transcoders in ("", key.transcoders):
            return store.graph(key)
    return None


def run_scores(store: Store, run: str) -> pd.DataFrame:
    """Learning curves of a run: one row a step, constraint type and probe kind (`engine.analysis.curves`).

    Raises NotFound (the run, or its corpus), Damaged, InputError (the corpus is not the one that was measured).
    """
    return probe_scores(all_prompts(store, run), store.probe_results(run))


def all_prompts(store: Store, run: str) -> list[Probe]:
    """Every probe of the run's corpus, in its order. Raises NotFound, Damaged."""
    return list(store.corpus(store.run(run).corpus).probes)


def default_prompts(store: Store, run: str) -> list[Probe]:
    """A few good probes to begin with: of each constraint type the first of each kind, the most telling kinds first.

    Empty where the run's corpus is not there. Raises NotFound for a run that does not exist, Damaged.
    """
    config = store.run(run)
    try:
        probes = store.corpus(config.corpus).probes
    except NotFound:
        return []
    first: dict[tuple[str, str], Probe] = {}
    for probe in probes:
        first.setdefault((probe.kind, probe.constraint_type), probe)
    return sorted(first.values(), key=lambda probe: _ORDER.index(probe.kind))
