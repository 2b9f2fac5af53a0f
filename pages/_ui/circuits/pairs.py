"""Which prompt pairs the circuits of a run can be found with, and what to do where there are none."""

from pathlib import Path

import streamlit as st

from engine.corpus.pairs import pairs_of
from engine.domain.errors import TracelapseError
from engine.domain.numbers import count, plural
from engine.models.vocabulary import PairFit, pair_fit
from engine.store import Store
from engine.workflows.component_queries import settings_found
from engine.workflows.model_facts import folder_here
from pages._ui.kept import kept
from pages._ui.text import plain

_NAMED = 3  # corpora whose pairs do not fit that a message names
_NEEDED = (
    "Component circuits are found with prompt pairs: two prompts of equally many tokens that differ in one word and so "
    "in the right answer."
)


def fitting_corpora(store: Store, run: str) -> list[str]:
    """Corpora that circuits of the run can be found with: those they were found with, then those whose pairs its model
    reads: the run's own first, then what a person brought, then what is bundled."""
    known = [one.pairs for one in settings_found(store, run)]
    others = [name for name in _with_pairs(store, run) if name not in known]
    return [*dict.fromkeys(known), *(name for name in others if pairs_fit(store, run, name).fits)]


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


def pairs_fit(store: Store, run: str, corpus: str) -> PairFit:
    """Whether the model of the run reads the pairs of a corpus: 0 of 0 where its tokenizer is not at hand, or the
    corpus cannot be read; then the job says what is wrong."""
    info = next((info for info in store.corpora() if info.name == corpus), None)
    if info is None:
        return PairFit(0, 0)
    try:
        spec = store.run(run).model
        folder = folder_here(store, spec) if spec.source == "hub" else store.tokenizer_folder(spec)
        if folder is None:
            return PairFit(0, 0)
        file = folder / "tokenizer.json"
        changed = file.stat().st_mtime_ns if file.is_file() else 0
        return _fit(store, str(folder), changed, corpus, info.hash)
    except TracelapseError:
        return PairFit(0, 0)


@kept()
def _fit(_store: Store, folder: str, changed: int, corpus: str, corpus_hash: str) -> PairFit:
    return pair_fit(Path(folder), pairs_of(_store.corpus(corpus))) or PairFit(0, 0)


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
            names = ", ".join(f"“{plain(name)}”" for name in others[:_NAMED])
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
    """In Markdown."""
    which = (
        f"None of the {plural(fit.n, 'pair')}" if fit.n_bad == fit.n else f"{count(fit.n_bad)} of {count(fit.n)} pairs"
    )
    verb = "can" if fit.n_bad == fit.n else "cannot"
    return f"{which} of “{plain(name)}” {verb} be used with this model. The first: {plain(fit.reason)}."


def whose_pairs(store: Store, run: str, pairs: str) -> str:
    """Where they are not the run's own: which, and why. Empty where they are its own."""
    config = store.run(run)
    if pairs == config.corpus:
        return ""
    why = ""
    if not config.has_corpus:
        why = ", as the run came without a corpus"
    elif config.corpus not in fitting_corpora(store, run):
        has = "has none" if config.corpus not in _with_pairs(store, run) else "has none that fit"
        why = f", as the run’s own corpus “{config.corpus}” {has}"
    return f"With the prompt pairs of “{pairs}”{why}."
