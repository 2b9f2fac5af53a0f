"""Corpus: create, import and read one; what is trained on and what is held out, apart."""

import streamlit as st

from engine.domain.jobs import MakeCorpus
from engine.store.infos import CorpusInfo
from pages._ui import url
from pages._ui.corpus.form import make
from pages._ui.corpus.importing import file_to_import, format_help, import_view
from pages._ui.corpus.view import corpus_view
from pages._ui.frame import show
from pages._ui.home.recent import unreadable
from pages._ui.jobs.button import job_status
from pages._ui.jobs.state import newest_job
from pages._ui.pickers import pick
from pages._ui.session import store

PAGE = "corpus"


def main() -> None:
    st.title("Corpus")
    st.caption(
        "What a run is trained and tested on: a few new words, each taught through sentences that state its meaning, "
        "or a task with numbers. Probes are held out and never trained on. Prompt pairs differ in one word and so in "
        "the right answer; component circuits are found with them."
    )
    unreadable()
    infos = {info.name: info for info in store().corpora()}
    side, view = st.columns([1, 3], gap="medium")
    with side:
        with st.expander("Create a corpus", expanded=not infos, icon=":material/add:"):
            make(PAGE, list(infos))
        with st.expander("Import a corpus", icon=":material/upload:"):
            file = file_to_import()
    with view:
        if file is not None:
            import_view(PAGE, file, list(infos))
        else:
            _chosen(infos)
        with st.expander("File format, with an example", icon=":material/help:"):
            format_help()


def _chosen(infos: dict[str, CorpusInfo]) -> None:
    """The corpus that the address names, or the job that makes it."""
    wanted = st.query_params.get("corpus")
    making = newest_job(lambda request: isinstance(request, MakeCorpus) and request.spec.name == wanted)
    if wanted not in infos and making is not None and making.state not in ("done", "cancelled"):
        job_status(making, key="make corpus")
        return
    if not infos:
        st.info("There is no corpus yet. Create one on the left; the defaults work.", icon=":material/west:")
        return
    default = "demo" if "demo" in infos else next(iter(infos))
    name = pick(PAGE, "corpus", list(infos), label="Corpus", what="corpus", default=default)
    url.write(PAGE, corpus=name)
    corpus_view(infos[name])


show(main)
