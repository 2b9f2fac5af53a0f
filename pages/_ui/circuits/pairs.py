"""Which prompt pairs the circuits of a run can be found with, and what to do where there are none."""

import streamlit as st

from engine.domain.numbers import count, plural
from engine.domain.words import listed
from engine.models.vocabulary import PairFit
from engine.store import Store
from engine.workflows.component_pairs import left_out
from engine.workflows.component_queries import settings_found
from pages._ui.pair_fits import pairs_fit
from pages._ui.text import plain

_NAMED = 3  # corpora whose pairs do not fit that a message names
_NEEDED = (
    "Component circuits are found with prompt pairs: two prompts of equally many tokens that differ in one word and so "
    "in the right answer."
)


def fitting_corpora(store: Store, run: str) -> list[str]:
    """Corpora that circuits of the run can be found with: those they were found with, then those with pairs that its
    model reads. Of these first the run's own, then what a person brought; those of which too few fit after both; what
    is bundled last."""
    known = [one.pairs for one in settings_found(store, run)]
    others_bundled = {info.name for info in store.corpora() if info.bundled} - {store.run(run).corpus}
    fits = {name: pairs_fit(store, run, name) for name in _with_pairs(store, run) if name not in known}
    others = [name for name, fit in fits.items() if fit.fits]
    return [*dict.fromkeys(known), *sorted(others, key=lambda name: (name in others_bundled, not fits[name].enough))]


def not_fitting(store: Store, run: str) -> dict[str, PairFit]:
    """Those that have pairs which the run's model cannot be measured on, by name."""
    fits = {name: pairs_fit(store, run, name) for name in _with_pairs(store, run)}
    return {name: fit for name, fit in fits.items() if not fit.fits}


def _with_pairs(store: Store, run: str) -> list[str]:
    own = store.run(run).corpus
    there = sorted((info for info in store.corpora() if info.has_pairs), key=lambda info: info.bundled)
    return sorted((info.name for info in there), key=lambda name: name != own)


def own_pairs_fit(store: Store, run: str) -> bool:
    """Whether the corpus that it was trained on has pairs, and its model reads them."""
    own = store.run(run).corpus
    return own in _with_pairs(store, run) and pairs_fit(store, run, own).fits


def without_pairs(store: Store, run: str) -> None:
    """In place of the page's offer: what is missing, why what is there does not do, and the way out."""
    with st.container(border=True):
        st.markdown(f"**There are no prompt pairs for {plain(run)} yet**")
        st.markdown(
            f"{_NEEDED} Write a few dozen in a file, or make a corpus that has them, on the Corpus page; there is an "
            "example of the file’s format, too."
        )
        _tell_of_misfits(not_fitting(store, run))
        _to_corpus()


def refuse_pairs(store: Store, run: str, corpus: str, fit: PairFit) -> None:
    """In place of the button that finds circuits: these pairs cannot be used, and which can."""
    with st.container(border=True):
        st.markdown(f"**The pairs of “{plain(corpus)}” do not fit the model of {plain(run)}**")
        st.markdown(f"{_NEEDED} {_why(corpus, fit)}")
        others = [name for name in fitting_corpora(store, run) if name != corpus]
        if others:
            names = listed([f"“{plain(name)}”" for name in others[:_NAMED]])
            st.markdown(f"Those of {names} fit: choose them in Settings, or bring others of your own.")
        else:
            st.markdown("Bring others of your own, or mend these, on the Corpus page.")
        _to_corpus()


def _to_corpus() -> None:
    if st.button("Go to Corpus", icon=":material/add:", type="primary", key="to corpus"):
        st.switch_page("pages/corpus.py")


def _tell_of_misfits(misfits: dict[str, PairFit]) -> None:
    for name, fit in list(misfits.items())[:_NAMED]:
        st.caption(_why(name, fit))
    if len(misfits) > _NAMED:
        st.caption(f"{plural(len(misfits) - _NAMED, 'other corpus', 'other corpora')} do not fit either.")


def _why(name: str, fit: PairFit) -> str:
    """In Markdown. Of pairs of which none fits."""
    return (
        f"None of the {plural(fit.n, 'pair')} of “{plain(name)}” can be used with this model. The first: "
        f"{plain(fit.reason)}."
    )


def whose_pairs(store: Store, run: str, pairs: str) -> str:
    """Which pairs are taken and why, where they are not all those of the run's own corpus; else empty."""
    config = store.run(run)
    told = [left_out(pairs, pairs_fit(store, run, pairs))]
    if pairs != config.corpus:
        own = f"the run’s own corpus “{config.corpus}”"
        why = _why_not(store, run, own) if config.has_corpus else ", as the run came without a corpus"
        told.insert(0, f"With the prompt pairs of “{pairs}”{why}.")
    return " ".join(filter(None, told))


def _why_not(store: Store, run: str, own: str) -> str:
    """Why the pairs of the run's `own` corpus are not proposed; empty where they could be."""
    name = store.run(run).corpus
    if name not in _with_pairs(store, run):
        return f", as {own} has none"
    fit = pairs_fit(store, run, name)
    if not fit.fits:
        return f", as none of the {plural(fit.n, 'pair')} of {own} can be used with this model"
    if not fit.enough:
        return f", as of the {plural(fit.n, 'pair')} of {own} only {count(fit.n_fit)} can be used with this model"
    return ""
