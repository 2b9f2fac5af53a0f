"""Compare's Map: where training acted, which needs no graphs, and what carries the answer; the tables that go with it.

Whatever is marked in it or picked in a table goes into the address and is inspected beside the tables.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from engine.analysis.acted import ABOVE_MEAN, BETWEEN_RUNS, BY_TRAINING, ESTIMATED, acted_sentence, is_by_training
from engine.analysis.carried import sentences
from engine.analysis.headline import Piece, as_text
from engine.analysis.parts import output_ids
from engine.domain.acted import Acted
from engine.domain.diffs import GraphDiff
from engine.domain.errors import NotFound
from engine.domain.jobs import Where
from engine.export.exported_map import ExportedMap
from engine.export.map_formats import formats_of
from engine.figures.map_acted import acted_view
from engine.figures.map_view import MapView, Picture, carried_view, taught_word
from engine.workflows.doubts import doubts_of
from engine.workflows.queries import stored_acted, stored_comparison, timelapse_keys
from pages._ui import url
from pages._ui.compare.choice import sentence
from pages._ui.compare.data import difference, names_of
from pages._ui.compare.map_inspector import changed_at, inspect_marked
from pages._ui.compare.map_tables import MapTable, acted_tables, carried_tables, draw_tables
from pages._ui.compare.selection import MAP_PICKING, PAGE, Selection, Shown, mark, marks, refuse_explained
from pages._ui.compare.settings import settings_menu
from pages._ui.compare.timelapse import over_checkpoints
from pages._ui.compare.trace import not_traced
from pages._ui.errors import guarded
from pages._ui.graphs.export_menu import export_menu
from pages._ui.graphs.maps import difference_map
from pages._ui.graphs.marks import Marks
from pages._ui.jobs.button import job_button
from pages._ui.kept import kept
from pages._ui.session import store
from pages._ui.takes import on_this_model
from pages._ui.text import both_ends, plain

TABLE_PX = 330
_PICTURES: tuple[Picture, ...] = ("carried", "acted")
_PIECES, _OVER = "pieces", "over"  # in the address


@guarded()
def compare_map(selection: Selection, shown: Shown, *, instead_of_graphs: bool = False) -> None:
    """What is stored of one prompt, or how to get it. `instead_of_graphs`: they were asked for, so they are offered
    first."""
    traced = stored_comparison(store(), selection.a.ref, selection.b.ref, selection.prompt) is not None
    asked = _asked(selection, shown) if traced else _ExplainedWords()
    acted = stored_acted(store(), selection.a.ref, selection.b.ref, selection.prompt, asked.answers, asked.against)
    if instead_of_graphs:
        not_traced(selection)
    if acted is None and not traced:
        _not_measured(selection, asked)
        if not instead_of_graphs:
            not_traced(selection)
        return
    told, controls = st.columns([3, 1.9], gap="medium", vertical_alignment="top")
    with controls:
        picture = picture_of(selection, "carried" if traced else "acted")
        tools = st.container(horizontal=True, vertical_alignment="center", gap="small")
    if picture == "acted" and acted is not None:
        _acted(selection, acted, shown, told, tools, traced=traced)
    elif picture == "acted":
        _not_measured(selection, asked)
    elif traced:
        _carried(selection, acted, shown, told, tools)
    if not traced and not instead_of_graphs:
        not_traced(selection)


@dataclass(frozen=True)
class _ExplainedWords:
    """The words whose logits are explained; none: what B finds most probable."""

    answers: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    text: str = ""


def _asked(selection: Selection, shown: Shown) -> _ExplainedWords:
    """As what carries it explains."""
    if shown.settings.explained is None:
        return _ExplainedWords()
    diff = difference(store(), selection, shown.settings)
    explained = diff.settings.explained if diff else None
    if diff is None or explained is None:  # no outputs of these graphs
        return _ExplainedWords()
    words = dict(zip(output_ids(diff.b), diff.b.target_tokens, strict=True))
    answers, against = (tuple(words[token] for token in of) for of in (explained.answers, explained.against))
    return _ExplainedWords(answers, against, diff.explained.words)


def _acted(
    selection: Selection, acted: Acted, shown: Shown, told: DeltaGenerator, tools: DeltaGenerator, *, traced: bool
) -> None:
    pieces, taught = in_pieces(), taught_word(selection.probe)
    steps = [step_of(ref) for ref in acted.key.checkpoints]
    view = kept_view(
        lambda: acted_view(acted, steps, joined=not pieces, taught=taught), ("acted", acted.key.hash, pieces, taught)
    )
    if acted.is_same:
        told.markdown(plain(acted_sentence(acted)), help=ABOVE_MEAN)
        return
    at = draw_map(view)
    frame = view.place_of_step(at.step)
    acted, view = acted.until(frame + 1), view.until(frame)
    text = acted_sentence(acted, view.spans)
    with told:
        st.markdown(plain(text), help=f"{ABOVE_MEAN} {ESTIMATED}")
    if acted.is_same:  # up to this step
        return
    with tools:
        pieces_switch(view)
        export_map(view, selection, text)
    # Only what is said of a place needs the graphs; they are of A and B.
    asked = traced and at.selected and view.frames[-1].step == steps[-1]
    diff = difference(store(), selection, shown.settings) if asked else None
    _below(view, at, acted_tables(view, acted), acted, diff, selection)


def _carried(
    selection: Selection, acted: Acted | None, shown: Shown, told: DeltaGenerator, tools: DeltaGenerator
) -> None:
    diff = difference(store(), selection, shown.settings)
    assert diff is not None  # it is stored
    if shown.settings.explained is not None and diff.settings.explained is None:
        refuse_explained(shown.settings.explained)
    over = len(timelapse_keys(store(), selection.a.ref, selection.b.ref, selection.prompt)) > 1
    diffs: Sequence[tuple[int | None, GraphDiff]] = [(None, diff)]
    if over and url.read(PAGE, _OVER) == "1":
        diffs = over_checkpoints(selection, diff, shown)
    pieces, taught = in_pieces(), taught_word(selection.probe)
    made_from = [(step, one.a.key.hash, one.b.key.hash) for step, one in diffs]
    view = kept_view(
        lambda: carried_view(diffs, steps_of(selection), joined=not pieces, taught=taught),
        ("carried", *made_from, diff.settings.to_json(), pieces, taught),
    )
    at = draw_map(view)
    frame = view.place_of_step(at.step)
    what_marks_are(view.until(frame))
    diff, view = diffs[frame][1], view.until(frame)
    with told:
        sentence(diff, selection, view.spans)
    with tools:
        pieces_switch(view)
        if over:
            _switch("Over training", _OVER, "Every checkpoint whose graphs are stored, with a slider.")
        settings_menu(diff, selection, shown)
        text = _text(sentences(diff, selection.probe, view.spans))
        export_map(view, selection, f"{text} {doubts_of(store(), diff.a.key).text}".strip())
    tables = carried_tables(view, diff, names_of(store(), diff))
    _below(view, at, tables, acted, diff, selection)


def _text(told: Sequence[Sequence[Piece]]) -> str:
    return " ".join(map(as_text, told))


def steps_of(selection: Selection) -> dict[str, int]:
    """Of all checkpoints of both runs, by their names."""
    runs = dict.fromkeys((selection.a.run, selection.b.run))
    return {checkpoint.ref: checkpoint.step for run in runs for checkpoint in store().checkpoints(run)}


def draw_map(view: MapView) -> Marks:
    mark(difference_map(view, key=MAP_PICKING.key, marks=marks()))
    return marks()


def what_marks_are(view: MapView) -> None:
    """Below what carries the answer, at the step that it stands at."""
    st.caption(plain(view.frames[-1].marks))


def export_map(view: MapView, selection: Selection, text: str, *, subject: str = "") -> None:
    """`subject`: of many prompts, which they are."""
    a, b, prompt = selection.a.ref, selection.b.ref, selection.prompt
    model = store().run(selection.a.run).model.name
    drawn = ExportedMap(view, a, b, prompt, text, subject=subject, model=model)
    export_menu(formats_of(view), drawn, name=f"{a} {b} {prompt or subject} {_titles(selection)[view.picture]}")


def _below(
    view: MapView, at: Marks, tables: Sequence[MapTable], acted: Acted | None, diff: GraphDiff | None,
    selection: Selection,
) -> None:  # fmt: skip
    """The tables; beside them what is marked, or, where nothing is, all but the first table."""
    picked = bool(at.selected or at.edge)
    left, right = st.columns(2, gap="medium")
    with left:
        draw_tables(tables if picked else tables[:1], key=view.picture, height=TABLE_PX)
    with right:
        if picked:
            changed = partial(changed_at, acted) if acted else None
            inspect_marked(view, at, diff, selection, height=TABLE_PX, acted=changed)
        else:
            draw_tables(tables[1:], key=f"{view.picture} more", height=TABLE_PX)


def _titles(selection: Selection) -> dict[str, str]:
    trained = is_trained(selection)
    return {"carried": "What carries the answer", "acted": BY_TRAINING if trained else BETWEEN_RUNS}


def is_trained(selection: Selection) -> bool:
    """Whether training led from A to B."""
    return is_by_training((selection.a.ref, selection.b.ref))


def find_label(selection: Selection) -> str:
    """Of the button that measures where training acted."""
    return f"Find {_titles(selection)['acted'].lower()}"


def picture_of(selection: Selection, first: Picture) -> Picture:
    """The one that is chosen; `first`: where the address asks for none."""
    key, names, titles = f"{PAGE} picture", list(_PICTURES), _titles(selection)
    st.session_state[key] = url.allowed(PAGE, "picture", names, first, "picture")
    st.segmented_control(
        "Picture", names, key=key, required=True, label_visibility="collapsed", format_func=lambda name: titles[name],
        on_change=url.changed, args=(PAGE, "picture", key),
    )  # fmt: skip
    return cast(Picture, st.session_state[key])


def in_pieces() -> bool:
    return url.read(PAGE, _PIECES) == "1"


def pieces_switch(view: MapView) -> None:
    if view.can_join:
        _switch(
            "Pieces of words", _PIECES,
            "Long and new words are read in pieces. Joined, a word has the sum of their parts, and what moves inside "
            "it is not shown.",
        )  # fmt: skip


def _switch(label: str, name: str, explain: str) -> None:
    """A toggle whose state is the address's `name`."""
    key = f"{PAGE} {name}"
    st.session_state[key] = url.read(PAGE, name) == "1"
    st.toggle(label, key=key, on_change=_switched, args=(key, name), help=explain)


def _switched(key: str, name: str) -> None:
    url.write_unless(PAGE, name, "1" if st.session_state[key] else "", "")


def kept_view(make: Callable[[], MapView], made_from: tuple[Hashable, ...]) -> MapView:
    return _kept(make, (str(store().workspace), *made_from))


@kept()
def _kept(_make: Callable[[], MapView], made_from: tuple[Hashable, ...]) -> MapView:
    return _make()


def step_of(ref: str) -> int | None:
    """Of a checkpoint; None where it is not there any more."""
    try:
        return store().checkpoint(ref).step
    except NotFound:  # a run that was deleted since
        return None


def _not_measured(selection: Selection, asked: _ExplainedWords) -> None:
    with st.container(border=True):
        st.subheader("Where did training act?" if is_trained(selection) else "Where do they differ?")
        st.markdown(
            "See which tokens, layers, matrices and heads make the difference between "
            f"**{plain(selection.a.ref)}** and **{plain(selection.b.ref)}** on “{plain(both_ends(selection.prompt))}”. "
            "It needs no transcoders."
        )
        if asked.text:
            st.caption(f"Explained is “{plain(asked.text)}”, as Settings of “What carries the answer” say.")
        request = Where(
            a=selection.a.ref, b=selection.b.ref, prompt=selection.prompt, answers=asked.answers, against=asked.against
        )
        takes = on_this_model(store(), selection.a.run, "Seconds", request)
        job_button(
            request, label=find_label(selection), key="where", icon=":material/my_location:",
            note=f"{takes}. You can leave this page; the result is kept.",
        )  # fmt: skip
