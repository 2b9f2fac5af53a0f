"""When and where a run learned: how far right answers moved, and through which tokens and layers."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import streamlit as st

from engine.analysis.acted import ABOVE_MEAN
from engine.analysis.acted_mean import mean_sentence
from engine.analysis.learned import moments_sentence
from engine.domain.corpus import ProbeKind
from engine.domain.numbers import plural
from engine.domain.runs import Checkpoint
from engine.figures.gained_charts import gained_chart, gained_panels, gained_rows
from engine.figures.learned_charts import By, learned_chart, learned_height, learned_panels, learned_rows
from engine.store import Store
from engine.workflows.learned import Learned, learned, learning_of, stops, what_lacks
from engine.workflows.prompt_groups import probe_groups
from pages._ui.acted_probes import offer_to_measure
from pages._ui.chart_export import Figures, take_away
from pages._ui.curves.stretches import stretches_table
from pages._ui.errors import guarded
from pages._ui.fields import number_field
from pages._ui.kept import kept
from pages._ui.panels import draw_panels
from pages._ui.session import store
from pages._ui.text import plain, words

_PROMPTS, _MOST_PROMPTS = 10, 200  # of a type
_GAINED_PX: Final = 190
_TITLES: Final[Mapping[By, str]] = {"role": "By token", "layer": "By layer"}
_MOVED: Final = (
    "How far the right answer’s logit has moved from the base, mean over words with its 95% interval. **Half** and "
    "**90%** of the change are there, and stay, from the marked steps on. **At rest**: from there on it surely stays "
    "within a tenth of the change."
)
_WHAT: Final = (
    "Which tokens and layers made it rise (orange) or fall (blue) between checkpoints, from where training acted. The "
    "parts of a step add up to the change. Click a cell to open its stretch in Compare."
)


@guarded()
def where_it_was_learned(page: str, run: str, kind: ProbeKind, *, last_step: int) -> None:
    """The section of one run and one kind of probe. `last_step`: where the axis of the probe curves ends."""
    title, field, head = st.columns([7, 2, 1], vertical_alignment="bottom")
    title.subheader("When and where it was learned", anchor=False)
    if lacks := what_lacks(store(), run, kind):
        st.info(plain(lacks))
        return
    checkpoints = store().checkpoints(run)
    with field:
        n = _n_prompts(page)
    asked = store().corpus(store().run(run).corpus).hash
    found = _learned(store(), str(store().workspace), run, kind, n, asked, store().acted_times(run), len(checkpoints))
    for constraint_type, reason in found.refused.items():
        st.warning(plain(f"{words(constraint_type)}: {reason}"), icon=":material/warning:")
    if found.means:
        figures = _charts(found, last_step)
        with head:
            take_away(figures, key="take away learned")
    if found.missing:
        _offer(found, checkpoints)


def _n_prompts(page: str) -> int:
    return number_field(
        page, "probes", "Probes of a type", 1, _MOST_PROMPTS, _PROMPTS,
        explain="The first words of the corpus, each in two phrasings, then more of both. With more of them intervals "
        "are narrower and take longer.",
    )  # fmt: skip


@kept()
def _learned(
    _store: Store, workspace: str, run: str, kind: ProbeKind, n: int, corpus_hash: str,
    measured: tuple[tuple[str, int], ...], n_checkpoints: int,
) -> Learned:  # fmt: skip
    """`measured`: what is stored of the run, and when it was written."""
    return learned(_store, run, kind, n)


def _charts(found: Learned, last_step: int) -> Figures:
    """Gives the figures."""
    for mean in found.means.values():
        st.markdown(plain(f"{mean_sentence(mean)} {moments_sentence(mean, found.steps)}"), help=ABOVE_MEAN)
    gained = gained_rows(found.means, found.steps)
    st.caption(_MOVED)
    draw_panels(
        partial(gained_panels, gained, last_step=last_step), key="curves gained", height=_GAINED_PX,
        alt_text=lambda name: f"{words(name).capitalize()}: the right answers’ logit in {found.run}, by step.",
    )  # fmt: skip
    st.caption(_WHAT)
    figures: Figures = {"learned-when": partial(gained_chart, gained, last_step=last_step)}
    clicked: list[Mapping[str, object]] = []
    for by, title in _TITLES.items():
        rows = learned_rows(found.means, found.steps, by=by)
        st.markdown(f"**{title}**")
        clicked += draw_panels(
            partial(learned_panels, rows, last_step=last_step, title=title.lower()), key=f"curves learned {by}",
            height=learned_height(rows), selection="stretch",
            alt_text=partial(_alt_text, found.run, title),
        )  # fmt: skip
        figures[f"learned-by-{by}"] = partial(learned_chart, rows, last_step=last_step, title=title.lower())
    stretches_table(found)
    _open(clicked, found)
    return figures


def _alt_text(run: str, title: str, name: str) -> str:
    return f"{words(name).capitalize()}: parts of the right answers’ change in {run}, {title.lower()} and step."


def _open(points: Sequence[Mapping[str, object]], found: Learned) -> None:
    """In Compare, the checkpoints of a clicked stretch and what was measured of the type's prompts between them."""
    checkpoints = store().checkpoints(found.run)
    for point in points:
        a, b = (next((c for c in checkpoints if c.step == point.get(end)), None) for end in ("left", "right"))
        if a is None or b is None:
            continue
        if not found.is_followed:  # measured from the base to the last one alone
            a, b = checkpoints[0], checkpoints[-1]
        asked = {"a": a.ref, "b": b.ref, "view": "map", "picture": "acted"}
        for group in probe_groups(store(), a.ref, b.ref):
            if (group.constraint_type, group.kind) == (point.get("constraint_type"), found.kind):
                asked["prompt"] = group.title
        st.switch_page("pages/compare.py", query_params=asked)


def _offer(found: Learned, checkpoints: Sequence[Checkpoint]) -> None:
    """The job that measures what is missing, over all checkpoints."""
    n_stretches = len(stops(checkpoints)) - 1
    offer_to_measure(
        learning_of(checkpoints, found.missing), found.run, found.n_probes, n_stretches=n_stretches,
        label="Find when and where it was learned", key="where learned", told=_why(found),
        over=f" over {plural(n_stretches, 'stretch', 'stretches')} between checkpoints",
    )  # fmt: skip


def _why(found: Learned) -> str:
    if found.is_followed:
        return "Some of the probes are not measured yet."
    if found.means:
        return "The charts above go over a few of the checkpoints. Measured over all of them, they say when as well."
    return (
        "See how far the right answers moved between checkpoints, and through which tokens and layers. It needs no "
        "transcoders and no graphs."
    )
