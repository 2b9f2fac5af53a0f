"""Corpus: make one, bring one, look at one; what is trained on and what is held out, apart."""

import streamlit as st

from engine.domain.corpus import CorpusSpec
from engine.domain.jobs import MakeCorpus
from pages._ui import url
from pages._ui.corpus_view import corpus_view, upload
from pages._ui.errors import guarded
from pages._ui.forms import checked, free_name
from pages._ui.frame import show
from pages._ui.pickers import pick
from pages._ui.recent import unreadable
from pages._ui.session import jobs, store
from pages._ui.text import plain

PAGE = "corpus"


@guarded()
def make(taken: list[str]) -> None:
    """The form of a new corpus; making it is a job."""
    name = st.text_input("Name", value=free_name("my-corpus", taken), key="corpus new name")
    left, right = st.columns(2)
    seed = left.number_input("Seed", min_value=0, value=1, help="The same seed makes the same corpus.")
    n_probes = right.number_input(
        "Probes", min_value=1, max_value=2000, value=40, help="Asked for, of each constraint type and kind."
    )
    shuffled = st.checkbox(
        "Shuffled meanings", help="A control: words and meanings are paired anew for every sentence."
    )
    if st.button("Make corpus", type="primary", icon=":material/add:"):
        spec = checked(lambda: CorpusSpec(name=name, seed=seed, n_probes=n_probes, shuffled_meanings=shuffled))
        if name in taken:
            st.error(plain(f"There is a corpus named “{name}” already. Choose another name."))
            return
        jobs().submit(MakeCorpus(spec=spec))
        url.write(PAGE, corpus=name)
        st.rerun()


def main() -> None:
    st.title("Corpus")
    st.caption(
        "A handful of new words, each taught through sentences that contain its meaning. "
        "Probes are held out: no probe's text is ever trained on."
    )
    unreadable()
    infos = {info.name: info for info in store().corpora()}
    side, view = st.columns([1, 3], gap="medium")
    with side:
        with st.expander("Make one", expanded=not infos, icon=":material/add:"):
            make(list(infos))
        with st.expander("Bring your own", icon=":material/upload:"):
            upload(PAGE, list(infos))
    with view:
        if not infos:
            st.info("There is no corpus yet. Make one on the left: the defaults are fine.", icon=":material/west:")
            return
        wanted = st.query_params.get("corpus")
        if wanted not in infos and any(isinstance(job.request, MakeCorpus) for job in jobs().active()):
            st.info("The corpus is being made; it will appear here.", icon=":material/hourglass_top:")
            return
        default = "demo" if "demo" in infos else next(iter(infos))
        name = pick(PAGE, "corpus", list(infos), label="Look at", what="corpus", default=default)
        url.write(PAGE, corpus=name)
        corpus_view(infos[name])


show(main)
