"""One corpus: what it trains on, what it asks, and the ways on from it."""

from functools import partial

import streamlit as st

from engine.corpus import corpus_csv
from engine.domain.corpus import PROBE_KINDS, Corpus
from engine.domain.models import DEMO_MODEL
from engine.domain.numbers import plural
from engine.domain.words import listed
from engine.store.infos import CorpusInfo
from pages._ui import url
from pages._ui.corpus.importing import imported_note
from pages._ui.corpus.tables import COUNTS, EXAMPLES, PAIRS, PROBES, is_task, show_counts, tables, taught, titles
from pages._ui.delete import delete_button
from pages._ui.errors import guarded
from pages._ui.session import store
from pages._ui.text import plain
from pages._ui.unknown_words import named, unknown_words

_MOST_NAMED = 8  # runs


@guarded()
def corpus_view(info: CorpusInfo) -> None:
    """Counts, the tables, downloads, and deletion of one's own."""
    corpus = store().corpus(info.name)
    imported_note(corpus)
    by_part = tables(corpus, corpus.hash)
    figures = st.columns(4)
    for figure, part in zip(figures, (EXAMPLES, PROBES, PAIRS), strict=False):
        figure.metric(part, f"{len(by_part[part]):,}")
    what, n = taught(corpus)
    if n:
        figures[3].metric(what, f"{n:,}")
    filled = [part for part, table in by_part.items() if table] or [EXAMPLES]
    shown = st.segmented_control(
        "Part", [*filled, COUNTS], default=filled[0], required=True, label_visibility="collapsed"
    )
    if shown == COUNTS:
        show_counts(corpus)
    else:
        config: dict[str, str | None] = dict(titles(shown, task=is_task(corpus)))
        st.dataframe(by_part[shown], height=330, hide_index=True, column_config=config)
    st.caption(_about(shown, corpus))
    _ways_on(info, corpus)


def _about(part: str, corpus: Corpus) -> str:
    if part == PAIRS:
        made = "" if corpus.pairs else "This corpus has none of its own: these are made from its probes. "
        return (
            f"{made}Circuits need pairs whose two prompts are equally many tokens to the model. "
            "Each prompt has one right answer, of which the first token counts."
        )
    if part == EXAMPLES:
        return "What a run is trained on. Each text contains the meaning or answer that it teaches."
    held_out = part == PROBES and bool(corpus.examples)  # which was looked at when it was read
    of = "Held out: no probe's prompt is part of a training text. " if held_out else ""
    there = {probe.kind for probe in corpus.probes}
    kinds = {info.title: info.help for name, info in PROBE_KINDS.items() if name in there}
    if _made_here(corpus):
        return of + " ".join(f"**{title}**: {help_text}" for title, help_text in kinds.items())
    meant = "; ".join(f"**{title}** {text[0].lower()}{text[1:].rstrip('.')}" for title, text in kinds.items())
    return f"{of}The kinds are those of the file, unchecked. They should be: {meant}."


def _made_here(corpus: Corpus) -> bool:
    """Whether the probes are of a making whose phrasings are known, which names each by its kind."""
    return bool(corpus.examples) and all(probe.id.startswith(f"{probe.kind}-") for probe in corpus.probes)


def _ways_on(info: CorpusInfo, corpus: Corpus) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        if corpus.examples:
            st.page_link(
                "pages/train.py", label="Train on it", icon=":material/model_training:",
                query_params={"corpus": info.name},
            )  # fmt: skip
        st.download_button(
            "Download CSV", partial(corpus_csv, corpus), file_name=f"{info.name}.csv", mime="text/csv",
            icon=":material/download:", on_click="ignore",
        )  # fmt: skip
        st.download_button(
            "Download JSONL", corpus.to_jsonl, file_name=f"{info.name}.jsonl", mime="application/jsonl",
            icon=":material/download:", on_click="ignore",
        )  # fmt: skip
        if not info.bundled:
            delete_button(
                f"the corpus **{plain(info.name)}**", partial(_delete, info.name), key="corpus",
                why_not=_why_kept(info.name),
            )  # fmt: skip
    if corpus.examples and (unknown := unknown_words(DEMO_MODEL, info)):
        st.caption(f"For other base models: the bundled model does not know {named(unknown)}.")


def _why_kept(name: str) -> str:
    """Which runs need it, and for what; empty where none does."""
    users = [f"**{plain(info.name)}**" for info in store().runs() if info.config.corpus == name]
    if not users:
        return ""
    more = len(users) - _MOST_NAMED
    named = listed([*users[:_MOST_NAMED], *([plural(more, "other run")] if more > 0 else [])])
    uses, those = ("uses", "that run") if len(users) == 1 else ("use", "those runs")
    return (
        f"{named} {uses} **{plain(name)}**: without its probes there would be no learning curves and no prompts to "
        f"compare on. To delete it, delete {those} first, under Models & runs."
    )


def _delete(name: str) -> None:
    store().delete_corpus(name)
    url.forget("corpus", "corpus")
