"""Trace the circuits of a whole run where they are asked for: what it takes, how far it is, how to stop it."""

from collections import Counter

import streamlit as st

from engine.analysis.watched import watched_probes
from engine.domain.corpus import Probe, ProbeKind
from engine.domain.jobs import AnalyseRun, Train
from engine.domain.numbers import duration, plural
from engine.domain.runs import Checkpoint
from engine.domain.series import GraphSeries
from engine.store import Store
from engine.workflows.learned import stops, what_lacks
from engine.workflows.transcoders import set_for
from pages._ui.acted_probes import STRETCH_S
from pages._ui.change_data import Seen
from pages._ui.jobs.button import job_button
from pages._ui.session import jobs, store
from pages._ui.takes import on_this_model
from pages._ui.text import plain

TRACE_S = 0.25  # one prompt on the demo's model, on one core, what else is measured on its checkpoint included
_TRANSCODERS_S = 50.0  # a shared set for a run's checkpoints


def offer_to_trace(run: str, kind: ProbeKind, found: Seen | None) -> None:
    """The button that traces the run where nothing, or not everything, is traced; else nothing."""
    checkpoints = store().checkpoints(run)
    if _training(run):
        st.info("This run is still training. Its circuits can be traced when it has finished.")
    elif found is not None and found.series is not None:
        if lacking := missing(found.series, checkpoints):
            _rest(run, kind, found.series, lacking)
    elif lacks := what_lacks(store(), run, kind):
        st.info(plain(lacks))
    elif found is None:
        _first(run, kind, checkpoints)
    else:
        _more(run, kind, found, checkpoints)


def missing(series: GraphSeries, checkpoints: list[Checkpoint]) -> str:
    """What a series lacks, in words; empty where it is complete."""
    known = {step for step, _ in series.key.checkpoints}
    newer = [checkpoint for checkpoint in checkpoints if checkpoint.step not in known]
    if newer:
        return f"{plural(len(newer), 'checkpoint')} came after this run was traced."
    left = len(series.key.checkpoints) * len(series.key.probes) - len(series.graphs)
    if left > 0:
        return f"{plural(left, 'graph')} {'is' if left == 1 else 'are'} missing: tracing was canceled before the end."
    unchecked = known - {one.step for one in series.causal}
    if unchecked:
        return f"What the circuits cause was not measured at {plural(len(unchecked), 'checkpoint')}."
    return ""


def estimate(store: Store, checkpoints: list[Checkpoint], request: AnalyseRun) -> str:
    """How many graphs, and how long they take about; more where transcoders must learn first. Raises NotFound (the
    run; its corpus)."""
    n_prompts = len(_asked(store, request))
    n = len(checkpoints) * n_prompts
    seen = set_for(store, [checkpoint.ref for checkpoint in checkpoints])
    acted_s = n_prompts * (len(stops(checkpoints)) - 1) * STRETCH_S
    takes = duration(n * TRACE_S + acted_s + (0.0 if seen else _TRANSCODERS_S))
    takes = on_this_model(store, request.run, f"about {takes}", request)
    first = "" if seen else " No transcoder set has seen all of them and enough texts, so one is trained first."
    return (
        f"{len(checkpoints)} checkpoints × {plural(n_prompts, 'prompt')}: {plural(n, 'graph')}, "
        f"{takes}.{first} It runs in the "
        "background. If you cancel, what is traced is kept."
    )


def _asked(store: Store, request: AnalyseRun) -> tuple[Probe, ...]:
    """The probes that it asks; a type of which the corpus has fewer has them all."""
    return watched_probes(store.corpus(store.run(request.run).corpus), request.probe_kind, request.n_prompts)


def _first(run: str, kind: ProbeKind, checkpoints: list[Checkpoint]) -> None:
    request = AnalyseRun(run=run, probe_kind=kind)
    with st.container(border=True):
        st.markdown(f"**The circuits of {plain(run)} have not been traced yet**")
        st.markdown(
            "Every checkpoint is traced on the same held-out prompts. Then you see, beside how far answers moved, when "
            "circuits changed as a whole, whether the new words activate the features of what they mean, and whether "
            "the answer depends on the circuit."
        )
        _button(request, "Trace all checkpoints", estimate(store(), checkpoints, request))


def _more(run: str, kind: ProbeKind, found: Seen, checkpoints: list[Checkpoint]) -> None:
    """What was seen in passing is there; the whole run can still be traced."""
    request = AnalyseRun(run=run, probe_kind=kind)
    n_prompts = max((one.n_prompts for reading in found.readings for one in reading.types), default=0)
    n_asked = max(Counter(probe.constraint_type for probe in _asked(store(), request)).values())
    with st.container(border=True):
        st.markdown(
            f"Not measured yet. The charts above are from {plural(n_prompts, 'prompt')} of each type, traced while the "
            f"run trained. Tracing every checkpoint on {n_asked} adds this check, comparisons with the base "
            "and the last checkpoint, and intervals."
        )
        _button(request, "Trace all checkpoints", estimate(store(), checkpoints, request))


def _rest(run: str, kind: ProbeKind, series: GraphSeries, lacking: str) -> None:
    n_prompts = max(1, len(series.key.probes) // max(1, _n_types(series)))
    with st.container(border=True):
        _button(AnalyseRun(run=run, probe_kind=kind, n_prompts=n_prompts), "Trace what is missing", lacking)


def _button(request: AnalyseRun, label: str, note: str) -> None:
    job_button(
        request, label=label, key="analyse run", icon=":material/timeline:", note=note,
        covers=lambda other: isinstance(other, AnalyseRun)
        and (other.run, other.probe_kind) == (request.run, request.probe_kind),
    )  # fmt: skip


def _n_types(series: GraphSeries) -> int:
    corpus = store().corpus(store().run(series.key.run).corpus)
    watched = set(series.key.probes)
    return len({probe.constraint_type for probe in corpus.probes if probe.id in watched})


def _training(run: str) -> bool:
    return any(isinstance(job.request, Train) and job.request.config.name == run for job in jobs().active())
