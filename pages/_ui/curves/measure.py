"""Runs on which no probes were measured: whose they could be, and the button that measures them."""

from collections.abc import Mapping, Sequence

import streamlit as st

from engine.domain.jobs import JobRecord, MeasureProbes
from engine.domain.models import ModelSpec
from engine.domain.numbers import plural
from engine.domain.words import listed
from engine.store.infos import CorpusInfo
from pages._ui.errors import guarded
from pages._ui.jobs.button import job_button
from pages._ui.jobs.state import is_active, newest_job
from pages._ui.session import store
from pages._ui.text import plain
from pages._ui.unknown_words import why_unread

_THEN = "It runs in the background, and the curves come here when it is done."


@guarded()
def offer_to_measure(runs: Sequence[str]) -> None:
    """`runs`: those without scores. An imported one can be measured with the probes of any corpus; one that was trained
    here has its own corpus, which then has none."""
    imported = [run for run in runs if store().run(run).imported]
    for run in runs:
        if run not in imported:
            corpus = store().run(run).corpus
            st.info(plain(f"No probes were measured on {run} yet, or its corpus “{corpus}” has none."))
    if not imported:
        return
    with st.container(border=True):
        st.markdown(f"**No probes were measured on {plain(listed(imported))}**")
        st.markdown(
            "Probes are held-out prompts with one right answer. Asked at every checkpoint, they show when each kind "
            "was learned; and through which words and layers can be measured after that."
        )
        jobs = {run: job for run in imported if (job := _under_way(run)) is not None}
        left, right = st.columns(2, gap="small")
        with left:
            at = imported.index(next(iter(jobs))) if jobs else 0
            run = st.selectbox("Run", imported, index=at, key="curves measured run")
        if run in jobs:
            _running(jobs[run])
            return
        with right:
            chosen = _pick_corpus(store().run(run).model)
        if chosen is not None:
            n = len(store().checkpoints(run))
            job_button(
                MeasureProbes(run=run, corpus=chosen.name), label="Measure probes", key="measure probes",
                icon=":material/quiz:", note=f"{plural(n, 'checkpoint')} × {plural(chosen.n_probes, 'probe')}. {_THEN}",
            )  # fmt: skip


def _under_way(run: str) -> JobRecord | None:
    job = newest_job(lambda request: isinstance(request, MeasureProbes) and request.run == run)
    return job if is_active(job) else None


def _running(job: JobRecord) -> None:
    """Whoever asked for it: a page that is loaded anew does not know which corpus was chosen."""
    assert isinstance(job.request, MeasureProbes)
    asked = job.request
    corpus = asked.corpus or store().run(asked.run).corpus
    st.markdown(f"The probes of **{plain(corpus)}** are being measured on **{plain(asked.run)}**.")
    job_button(asked, label="Measure probes", key="measure probes", note=_THEN)


def _pick_corpus(spec: ModelSpec) -> CorpusInfo | None:
    """Of those with probes that the model can read; says what is wrong with the others, and what to do."""
    infos = {info.name: info for info in store().corpora()}
    unfit = {name: why for name, info in infos.items() if (why := _unfit(spec, info))}
    fitting = [name for name in infos if name not in unfit]
    chosen = st.selectbox(
        "Corpus", fitting, index=None, placeholder="choose one" if fitting else "none has probes for this model",
        disabled=not fitting, key=f"curves corpus for {spec.name}",
        help="One whose probes ask for what the run was taught. It is the run’s corpus from then on.",
    )  # fmt: skip
    _others(unfit)
    st.page_link("pages/corpus.py", label="Create or import a corpus", icon=":material/add:")
    return infos[chosen] if chosen else None


def _others(unfit: Mapping[str, str]) -> None:
    if unfit:
        with st.expander(f"{plural(len(unfit), 'corpus', 'corpora')} not offered", icon=":material/block:"):
            st.markdown("\n".join(f"- **{plain(name)}** {why}" for name, why in unfit.items()))


def _unfit(spec: ModelSpec, info: CorpusInfo) -> str:
    """Why its probes cannot be measured with the model, in Markdown; empty where they can."""
    if not info.n_probes:
        return "has no probes."
    return why_unread(spec, info)
