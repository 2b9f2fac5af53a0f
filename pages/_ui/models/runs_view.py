"""The runs of a base model: how each learned, its size, what a person wrote on it; compare, tag, delete."""

from collections.abc import Hashable, Sequence
from functools import partial

import pandas as pd
import streamlit as st

from engine.analysis.losses import LOSS_HELP
from engine.domain.methods import method_title
from engine.domain.models import ModelSpec
from engine.domain.names import MOST_CHARACTERS
from engine.domain.numbers import memory, plural
from engine.domain.runs import RunNotes
from engine.store import RunInfo, Store
from pages._ui import url
from pages._ui.cached import stamp
from pages._ui.delete import delete_button
from pages._ui.errors import guarded
from pages._ui.forms import checked
from pages._ui.kept import kept
from pages._ui.session import store
from pages._ui.text import plain

_ROW_PX, _MOST_ROWS = 30, 12
PER_PAGE = 25  # what a row shows is read from the files of all of the run's checkpoints


@guarded()
def runs_view(page: str, spec: ModelSpec) -> None:
    """The table, and what can be done with the rows that are checked."""
    infos = [info for info in store().runs() if info.config.model.name == spec.name]
    st.markdown(f"**{plural(len(infos), 'run')} of {plain(spec.name)}**")
    if not infos:
        st.info("Nothing was fine-tuned from it here yet.", icon=":material/info:")
        with st.container(horizontal=True, vertical_alignment="center"):
            st.page_link(
                "pages/train.py", label="Train it", icon=":material/model_training:", query_params={"model": spec.name}
            )
            # A link to its own page leaves the address as it is: buttons change it.
            st.button(
                "Import checkpoints", icon=":material/download:", type="tertiary", key="to import",
                on_click=partial(url.write, page, view="import"),
            )  # fmt: skip
        return
    noted = store().noted_runs()
    notes = {info.name: noted.get(info.name, RunNotes()) for info in infos}
    shown = _paged(page, _with_tags(page, _named(page, infos), notes))
    if not shown:
        st.caption("No run is called so.")
        return
    chosen = _table(page, shown, notes)
    _actions([info for info in shown if info.name in chosen], notes)


def _named(page: str, infos: list[RunInfo]) -> list[RunInfo]:
    """Those whose name holds what was typed; of a page's worth nothing needs to be looked for."""
    if len(infos) <= PER_PAGE:
        return infos
    typed = st.text_input(
        "Find a run", key=f"{page} find", placeholder="Find a run by a part of its name", label_visibility="collapsed"
    )
    return [info for info in infos if typed.strip().lower() in info.name.lower()]


def _paged(page: str, infos: list[RunInfo]) -> list[RunInfo]:
    """A page's worth, the newest first."""
    n_pages = -(-len(infos) // PER_PAGE)
    if n_pages <= 1:
        return infos
    spans = [f"{at * PER_PAGE + 1}–{min((at + 1) * PER_PAGE, len(infos))}" for at in range(n_pages)]
    place = st.selectbox(
        "Shown, the newest first", range(n_pages), key=f"{page} part of {len(infos)}",
        format_func=lambda at: f"{spans[at]} of {len(infos)}", width=200, label_visibility="collapsed",
    )  # fmt: skip
    return infos[place * PER_PAGE : (place + 1) * PER_PAGE]


def _with_tags(page: str, infos: Sequence[RunInfo], notes: dict[str, RunNotes]) -> list[RunInfo]:
    """Those that have all of the chosen tags."""
    tags = sorted({tag for one in notes.values() for tag in one.tags})
    if not tags:
        return list(infos)
    wanted = st.pills("Tags", tags, selection_mode="multi", key=f"{page} tags", label_visibility="collapsed")
    return [info for info in infos if set(wanted) <= set(notes[info.name].tags)]


def _table(page: str, infos: Sequence[RunInfo], notes: dict[str, RunNotes]) -> list[str]:
    rows = [_row(info, notes[info.name]) for info in infos]
    column = st.column_config
    picked = st.dataframe(
        pd.DataFrame(rows), hide_index=True, row_height=_ROW_PX, height=_ROW_PX * (min(len(rows), _MOST_ROWS) + 1) + 3,
        key=f"{page} runs {hash(tuple(info.name for info in infos))}", on_select="rerun", selection_mode="multi-row",
        placeholder="–",
        column_config={
            "right, by step": column.LineChartColumn(
                help="Share of all probes answered right at each checkpoint.", y_min=0, y_max=1, width="small"
            ),
            "loss": column.NumberColumn(format="%.2f", help=LOSS_HELP),
            "tags": column.ListColumn(),
        },
    )  # fmt: skip
    return [infos[place].name for place in picked["selection"]["rows"] if place < len(infos)]


def _row(info: RunInfo, notes: RunNotes) -> dict[str, object]:
    right, n_probes, loss, size = _measured(store(), str(store().workspace), info.name, stamp(store(), info.name))
    title = method_title(info.config.method, imported=info.config.imported)
    method = f"{title}, imported" if info.config.imported else title
    return {
        "run": info.name, "method": method, "corpus": info.config.corpus, "checkpoints": len(info.steps),
        "right, by step": right, "probes": n_probes, "loss": loss, "size": memory(size), "tags": list(notes.tags),
        "note": notes.note,
    }  # fmt: skip


@kept()
def _measured(
    _store: Store, workspace: str, run: str, measured: Hashable
) -> tuple[list[float], int | None, float | None, int]:
    """(share of probes answered right by step, how many these are, loss at the last checkpoint, bytes)."""
    found = [results.correct for results in _store.probe_results(run).values() if results.correct]
    right = [sum(correct) / len(correct) for correct in found]
    checkpoints = _store.checkpoints(run)
    told = _store.told_loss(checkpoints[-1]) if checkpoints else None
    return right, len(found[-1]) if found else None, told.value if told else None, _store.room_of("run", run)


def _actions(chosen: Sequence[RunInfo], notes: dict[str, RunNotes]) -> None:
    if not chosen:
        st.caption("Check one run to compare its last checkpoint with the base, or two to compare them.")
        return
    names = [info.name for info in chosen]
    with st.container(horizontal=True, vertical_alignment="center"):
        _compare(chosen)
        st.page_link(
            "pages/curves.py", label="Learning curves", icon=":material/show_chart:",
            query_params={"runs": ",".join(names)},
        )  # fmt: skip
        own = [info for info in chosen if not info.bundled]
        if len(chosen) == 1:
            st.page_link(
                "pages/train.py", label="Open", icon=":material/model_training:", query_params={"run": names[0]}
            )
            if own:
                _notes(names[0], notes[names[0]])
                _rename(names[0])
        if own and len(own) == len(chosen):
            what = ", ".join(f"**{plain(name)}**" for name in names)
            delete_button(f"{what} with all checkpoints and graphs", partial(_delete, names), key="runs")
        elif len(own) < len(chosen):
            st.caption("Runs of the bundled demo cannot be changed or deleted.")


def _delete(names: Sequence[str]) -> None:
    for name in names:
        store().delete_run(name)


def _compare(chosen: Sequence[RunInfo]) -> None:
    refs = [checkpoints[-1].ref for info in chosen if (checkpoints := store().checkpoints(info.name))]
    if len(chosen) > 2 or len(refs) != len(chosen):
        return
    first = f"{chosen[0].name}@base" if len(refs) == 1 else refs[0]
    st.page_link(
        "pages/compare.py", label="Compare with the base" if len(refs) == 1 else "Compare the two",
        icon=":material/compare_arrows:", query_params={"a": first, "b": refs[-1]},
    )  # fmt: skip


def _written(notes: RunNotes) -> int:
    """Another one once something was saved, so that the panel is closed then."""
    return abs(hash((notes.note, notes.tags)))


def _rename(name: str) -> None:
    with st.popover("Rename", icon=":material/edit:", key=f"rename {name}"), st.form(f"rename {name} form"):
        new = st.text_input("New name", value=name, max_chars=MOST_CHARACTERS)
        if n := store().n_speaking_of(name):
            st.caption(
                f"This removes {plural(n, 'stored graph or measure', 'stored graphs and measures')}, kept under the "
                "old name; all can be made again. Checkpoints, curves, notes and transcoder sets stay."
            )
        if st.form_submit_button("Rename it", type="primary") and new.strip() != name:
            with guarded():  # what is refused is said here; the buttons behind it stay
                store().rename_run(name, new.strip())
                st.rerun()


def _notes(name: str, notes: RunNotes) -> None:
    with (
        st.popover("Note and tags", icon=":material/edit_note:", key=f"notes of {name} {_written(notes)}"),
        st.form(f"notes {name}"),
    ):
        note = st.text_area("Note", value=notes.note, max_chars=2000, height=100)
        tags = st.text_input("Tags", value=", ".join(notes.tags), placeholder="with commas between")
        if st.form_submit_button("Save", type="primary"):
            listed = tuple(tag for part in tags.split(",") if (tag := part.strip()))
            with guarded():
                store().save_run_notes(name, checked(lambda: RunNotes(note=note.strip(), tags=listed)))
                st.rerun()
