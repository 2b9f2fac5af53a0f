"""Checkpoints that were trained elsewhere: what lies in a folder, and the button that makes a run of it."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import pandas as pd
import streamlit as st

from engine.domain.errors import InputError, TracelapseError
from engine.domain.imports import FoundCheckpoint, ImportPreview
from engine.domain.numbers import plural
from engine.domain.paths import person_path
from engine.domain.words import listed
from engine.workflows.added_vocabulary import what_is_kept
from engine.workflows.checkpoint_folders import log_notes, preview
from engine.workflows.checkpoint_order import several_runs
from engine.workflows.declared_bases import declared_bases
from engine.workflows.hub_checkpoints import first_revision
from pages._ui import url
from pages._ui.errors import guarded, show
from pages._ui.jobs.state import is_active
from pages._ui.models.browser import browse
from pages._ui.models.import_request import (
    ask_to_import,
    base_of_revisions,
    newest_import,
    running_view,
    stopped_import,
)
from pages._ui.models.on_hub import looked_at, revisions_box, with_revisions
from pages._ui.session import store
from pages._ui.text import message, plain

_AGAIN = "run that is to be imported once more"
_TABLE_PX = 300
_MOST_RUNS = 12  # that are offered by a button each
_MOST_TOLD = 5  # refused folders, in whole sentences
_FOLDER_HELP = (
    "On the machine that this app runs on: a trainer’s output folder, or single checkpoints, one a line. Or the id of "
    "an adapter or a model on the Hugging Face hub. Nothing in it is changed, and pickled files are never read."
)


_TAKEN = """
| what you have | name |
| --- | --- |
| a trainer's output with `checkpoint-*` in it | `out` |
| single checkpoints with names of their own, such as `epoch_3` | each folder on a line of its own |
| one adapter that was saved at the end | its folder |
| a model trained whole, or one with the adapter merged into it | its folder |
| an adapter or a model on the Hugging Face hub | its id, such as `me/my-lora` |
| revisions of one model there, as a training run | `EleutherAI/pythia-70m`, and below it `step0, step1000, …` |

The base model must be one that you have too: a folder, or a hub id. Logs beside the checkpoints (`trainer_state.json`)
become the loss curve. With a corpus whose probes you name, learning curves are measured at every checkpoint.
"""


@guarded()
def import_form(page: str) -> None:
    """Where the checkpoints lie."""
    key = f"{page} folders"
    st.session_state[key] = url.read(page, "folders") or ""
    st.text_area(
        "Folders or hub ids", key=key, height=100, placeholder="~/my-fine-tune/out", help=_FOLDER_HELP,
        on_change=url.changed, args=(page, "folders", key),
    )  # fmt: skip
    browse(key, partial(_add_folder, page, key))
    revisions_box(page)
    _as_asked(page)
    st.text_input(
        "Steps", key=f"{page} steps", placeholder="as the folders tell them",
        help="Only where folders do not tell them: one number for each checkpoint, such as 100, 200.",
    )  # fmt: skip
    st.text_area(
        "Logs", key=f"{page} logs", height=68, placeholder="none besides Trainer’s own",
        help="CSV files with measures by step, one a line, as TensorBoard and W&B export them. Learning curves draw "
        "them. Trainer’s own log is read anyway.",
    )  # fmt: skip


def _as_asked(page: str) -> None:
    """In a tab that does not know them: the steps and logs of an import that is under way or stopped early."""
    with suppress(InputError):  # the view says it
        asked = stopped_import(with_revisions(page, _lines(page)))
        if asked is not None:
            st.session_state.setdefault(f"{page} steps", ", ".join(map(str, asked.steps)))
            st.session_state.setdefault(f"{page} logs", "\n".join(asked.logs))


def _lines(page: str) -> list[str]:
    return [line.strip() for line in str(st.session_state.get(f"{page} folders", "")).splitlines() if line.strip()]


def _add_folder(page: str, key: str, folder: str) -> None:
    """One more line, once."""
    lines = [line for line in str(st.session_state.get(key, "")).splitlines() if line.strip()]
    url.write(page, folders="\n".join(dict.fromkeys([*lines, folder])))


@guarded()
def import_view(page: str, taken: Sequence[str]) -> None:
    """What was found, for which model, and the button to import it. `taken`: names of runs."""
    folders = _lines(page)
    if not folders:
        st.info(
            "Name the folder that your training left, such as `out` with `checkpoint-500` in it. You then see what is "
            "there before anything is taken in.",
            icon=":material/west:",
        )
        st.markdown(_TAKEN)
        return
    try:
        items = with_revisions(page, folders)
        if (job := newest_import(items)) is not None and is_active(job):
            running_view(job)
            return
        steps = _numbers(str(st.session_state.get(f"{page} steps", "")))
        if (looked := looked_at(items)) is None:
            return
        start = first_revision(items, looked)
        base = base_of_revisions(start, stopped_import(items)) if start else None
        paths = [person_path(item) for item in items]
        found = preview(paths, steps=steps, looked=looked, base=base.location if base else "")
    except TracelapseError as error:
        show(error)
        return
    done = _run_of(items)
    if done:
        found = found.model_copy(update={"download_bytes": 0})  # it is all here since
    if done and st.session_state.get(_AGAIN) != done:
        _imported(page, found, paths, done)
        return
    runs = {} if steps else several_runs(found.checkpoints)
    if _to_import(page, found, runs):
        _left_out(page, found, paths)
        ask_to_import(items, steps, found, taken, base, looked)


def _to_import(page: str, found: ImportPreview, runs: Mapping[Path, Sequence[FoundCheckpoint]]) -> bool:
    """What lies there; whether a run can be made of it."""
    n = plural(sum(map(len, runs.values())) or len(found.taken), "checkpoint")
    st.markdown(f"**{n} {f'in {len(runs)} folders' if runs else 'to import'}**")
    _table(found)
    is_refused = bool(found.refused) or not found.taken
    if runs:
        _each_alone(page, found, runs)
    elif is_refused:
        _refused(found)
    return not is_refused


def _numbers(text: str) -> list[int]:
    """Raises InputError."""
    parts = text.replace(",", " ").split()
    if not all(part.isdecimal() for part in parts):
        raise InputError(f"“{text[:80]}” are no steps. Write whole numbers with commas between, such as 100, 200.")
    return [int(part) for part in parts]


def _table(found: ImportPreview) -> None:
    shared = _shared([one.path for one in found.checkpoints])
    rows = pd.DataFrame(
        {
            "step": [one.step for one in found.checkpoints],
            "taken": [one.taken for one in found.checkpoints],
            "folder": [str(one.path).removeprefix(shared) for one in found.checkpoints],
            "kind": [one.kind for one in found.checkpoints],
            "note": [one.why.replace(shared, "") if shared else one.why for one in found.checkpoints],
        }
    )
    rows = rows.drop(columns=[] if any(rows["note"]) else ["note"])
    st.dataframe(rows, hide_index=True, placeholder="–", height=min(_TABLE_PX, 38 + 35 * len(rows)))
    if found.taken:
        st.caption("\n".join(_stored(found.taken)))
    if bases := declared_bases(found.taken):
        st.caption(plain(f"They say that they were trained from {', '.join(bases[:3])}."))
    if notes := log_notes(found):
        st.caption(plain(notes))


def _stored(taken: Sequence[FoundCheckpoint]) -> list[str]:
    """What the run will keep, once for all that say the same: a cell would cut it."""
    by_text: dict[str, list[str]] = {}
    for one in taken:
        by_text.setdefault(one.stored, []).append(one.path.name)
    if len(by_text) == 1:
        return [f"Stored of {'each' if len(taken) > 1 else 'it'}: {plain(next(iter(by_text)))}."]
    told = [f"- Stored of {plain(listed(names))}: {plain(text)}." for text, names in by_text.items()]
    return told[:_MOST_TOLD] + (["- …"] if len(told) > _MOST_TOLD else [])


def _shared(paths: Sequence[Path]) -> str:
    """What all folders on this disk begin with: in a cell it would leave no room for what tells them apart."""
    if not paths or not all(path.is_absolute() for path in paths):  # on the hub
        return ""
    return os.path.commonpath([path.parent for path in paths]).rstrip(os.sep) + os.sep


def _refused(found: ImportPreview) -> None:
    """Whole sentences: a cell of the table cuts them, and a command could not be copied from it."""
    told = [f"- **{plain(one.path.name)}**: {message(one.why)}" for one in found.refused[:_MOST_TOLD]]
    more = len(found.refused) - len(told)
    ends = [f"- and {plural(more, 'more', 'more')}"] if more > 0 else []
    way = " Mend it, or name only the folders of the others." if found.taken else ""
    if any(one.needs_step for one in found.refused):
        way = f" {_all_steps(found, found.refused)}, or name only the folders of some."
    st.warning("\n".join([f"Not everything here can be taken in.{way}", "", *told, *ends]))


def _all_steps(found: ImportPreview, others: Sequence[FoundCheckpoint]) -> str:
    n = len(found.taken) + sum(one.needs_step or one.usable for one in others)
    return f"Write the steps of all {n} under “Steps”, in the order of the table"


def _left_out(page: str, found: ImportPreview, folders: Sequence[Path]) -> None:
    """What lies beside the series, why it is no part of it, and how to take it in all the same."""
    if not found.left_out:
        return
    with st.container(border=True, gap="small"):
        for one in found.left_out[:_MOST_TOLD]:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"**{plain(one.path.name)}** is {message(one.why)}", width="stretch")
                if one.usable and one.path not in folders:
                    st.button(
                        "Import it alone", key=f"import alone {one.path}", icon=":material/arrow_forward:",
                        on_click=_only, args=(page, one.path),
                    )  # fmt: skip
        if more := len(found.left_out[_MOST_TOLD:]):
            st.markdown(f"and {plural(more, 'more', 'more')}")
        if found.of_same_kind:
            st.caption(f"{_all_steps(found, found.left_out)}, if you want them in one run.")


def _each_alone(page: str, found: ImportPreview, runs: Mapping[Path, Sequence[FoundCheckpoint]]) -> None:
    """Seeds or settings side by side: a choice of one of them, and what to do where they are one run after all."""
    shared = _shared(list(runs))
    with st.container(border=True, gap="small"):
        st.markdown(f"**These look like {len(runs)} runs**, each in a folder of its own. Import one after the other:")
        with st.container(horizontal=True):
            for folder, ones in list(runs.items())[:_MOST_RUNS]:
                label = f"{str(folder).removeprefix(shared)}: {plural(len(ones), 'checkpoint')}"
                st.button(
                    plain(label), key=f"import run {folder}",
                    icon=":material/arrow_forward:", on_click=_only, args=(page, folder),
                )  # fmt: skip
        if more := len(list(runs)[_MOST_RUNS:]):
            st.markdown(f"and {plural(more, 'more', 'more')}: name the folder of one.")
        n = sum(map(len, runs.values()))
        write = f"Write the steps of all {n} under “Steps”, in the order of the table"
        st.caption(f"Are they one run? {write if found.refused else 'Then import all of them together, below'}.")


def _only(page: str, folder: Path) -> None:
    st.session_state[f"{page} steps"] = ""  # of others
    url.write(page, folders=str(folder))


def _run_of(folders: Sequence[str]) -> str:
    """The run that they have become; empty where they are none."""
    job = newest_import(folders)
    names = {info.name for info in store().runs()}
    return job.result if job is not None and job.state == "done" and job.result in names else ""


def _imported(page: str, found: ImportPreview, paths: Sequence[Path], run: str) -> None:
    """Where to go once they are a run."""
    st.markdown(f"**{plural(len(found.taken), 'checkpoint')}**")
    _table(found)
    checkpoints = store().checkpoints(run)
    n = plural(len(checkpoints) - 1, "checkpoint")
    st.success(f"**{plain(run)}**: {n} taken in.", icon=":material/check:")
    for told in what_is_kept(store(), run):
        st.caption(plain(told))
    ends = {"a": checkpoints[0].ref, "b": checkpoints[-1].ref}
    with st.container(horizontal=True):
        st.page_link(
            "pages/compare.py", label="Compare with the base", icon=":material/compare_arrows:", query_params=ends
        )  # fmt: skip
        st.page_link(
            "pages/curves.py", label="Learning curves", icon=":material/show_chart:", query_params={"runs": run}
        )  # fmt: skip
    _left_out(page, found, paths)
    st.button(
        "Import them again under another name", icon=":material/content_copy:", type="tertiary",
        on_click=st.session_state.update, args=({_AGAIN: run},),
    )  # fmt: skip
