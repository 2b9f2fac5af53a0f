"""Checkpoints that were trained elsewhere: what lies in a folder, and the button that makes a run of it."""

import os
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pandas as pd
import streamlit as st

from engine.domain.errors import InputError, TracelapseError
from engine.domain.imports import FoundCheckpoint, ImportPreview
from engine.domain.jobs import ImportCheckpoints
from engine.domain.models import ModelSpec
from engine.domain.names import check_name
from engine.domain.numbers import plural
from engine.domain.paths import person_path
from engine.workflows.added_vocabulary import what_is_kept
from engine.workflows.checkpoint_folders import log_notes, preview
from engine.workflows.declared_bases import another_base, declared_bases, likely_base
from engine.workflows.hub_checkpoints import Looked, download_words, first_revision, hub_ids
from engine.workflows.model_specs import model_spec, slug
from pages._ui import url
from pages._ui.errors import guarded, show
from pages._ui.forms import free_name
from pages._ui.jobs.button import job_button
from pages._ui.jobs.state import newest_job
from pages._ui.models.browser import browse
from pages._ui.models.on_hub import looked_at, revisions_box, with_revisions
from pages._ui.session import store
from pages._ui.text import message, plain

_OTHER, _NONE = "another folder or hub id …", "none"
_TABLE_PX = 300
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
    st.text_input(
        "Steps", key=f"{page} steps", placeholder="as the folders tell them",
        help="Only where folders do not tell them: one number for each checkpoint, such as 100, 200.",
    )  # fmt: skip
    st.text_area(
        "Logs", key=f"{page} logs", height=68, placeholder="none besides Trainer’s own",
        help="CSV files with measures by step, one a line, as TensorBoard and W&B export them. Learning curves draw "
        "them. Trainer’s own log is read anyway.",
    )  # fmt: skip


def _add_folder(page: str, key: str, folder: str) -> None:
    """One more line, once."""
    lines = [line for line in str(st.session_state.get(key, "")).splitlines() if line.strip()]
    url.write(page, folders="\n".join(dict.fromkeys([*lines, folder])))


@guarded()
def import_view(page: str, taken: Sequence[str]) -> None:
    """What was found, for which model, and the button to import it. `taken`: names of runs."""
    folders = [line.strip() for line in str(st.session_state.get(f"{page} folders", "")).splitlines() if line.strip()]
    if not folders:
        st.info(
            "Name the folder that your training left, such as `out` with `checkpoint-500` in it. You then see what is "
            "there before anything is taken in.",
            icon=":material/west:",
        )
        st.markdown(_TAKEN)
        return
    try:
        steps = _numbers(str(st.session_state.get(f"{page} steps", "")))
        items = with_revisions(page, folders)
        if (looked := looked_at(items)) is None:
            return
        start = first_revision(items, looked)
        base = _base_of_revisions(start) if start else None
        paths = [person_path(item) for item in items]
        found = preview(paths, steps=steps, looked=looked, base=base.location if base else "")
    except TracelapseError as error:
        show(error)
        return
    _table(found)
    done = _imported(items)
    if done:
        found = found.model_copy(update={"download_bytes": 0})  # it is all here since
    if found.refused or not found.taken:
        _refused(found)
        return
    _left_out(page, found, paths)
    _import(items, steps, found, taken, base, looked, done=done)


def _numbers(text: str) -> list[int]:
    """Raises InputError."""
    parts = text.replace(",", " ").split()
    if not all(part.isdecimal() for part in parts):
        raise InputError(f"“{text[:80]}” are no steps. Write whole numbers with commas between, such as 100, 200.")
    return [int(part) for part in parts]


def _table(found: ImportPreview) -> None:
    st.markdown(f"**{plural(len(found.taken), 'checkpoint')} to import**")
    shared = _shared([one.path for one in found.checkpoints])
    rows = pd.DataFrame(
        {
            "step": [one.step for one in found.checkpoints],
            "taken": [one.taken for one in found.checkpoints],
            "folder": [str(one.path).removeprefix(shared) for one in found.checkpoints],
            "kind": [one.kind for one in found.checkpoints],
            "note": [one.why.replace(shared, "") if shared else one.why for one in found.checkpoints],
            "what is stored": [one.stored for one in found.checkpoints],
        }
    )
    st.dataframe(rows, hide_index=True, placeholder="–", height=min(_TABLE_PX, 38 + 35 * len(rows)))
    if bases := declared_bases(found.taken):
        st.caption(plain(f"They say that they were trained from {', '.join(bases[:3])}."))
    if notes := log_notes(found):
        st.caption(plain(notes))


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


def _only(page: str, folder: Path) -> None:
    st.session_state[f"{page} steps"] = ""  # of others
    url.write(page, folders=str(folder))


def _imported(folders: Sequence[str]) -> str:
    """Where to go once these are a run; its name, empty where they are none."""
    job = newest_job(lambda request: isinstance(request, ImportCheckpoints) and request.folders == tuple(folders))
    infos = {info.name: info for info in store().runs()}
    if job is None or job.state != "done" or job.result not in infos:
        return ""
    checkpoints = store().checkpoints(job.result)
    n = plural(len(checkpoints) - 1, "checkpoint")
    st.success(f"**{plain(job.result)}**: {n} taken in.", icon=":material/check:")
    for told in what_is_kept(store(), job.result):
        st.caption(plain(told))
    ends = {"a": checkpoints[0].ref, "b": checkpoints[-1].ref}
    with st.container(horizontal=True):
        st.page_link(
            "pages/compare.py", label="Compare with the base", icon=":material/compare_arrows:", query_params=ends
        )  # fmt: skip
        st.page_link(
            "pages/curves.py", label="Learning curves", icon=":material/show_chart:", query_params={"runs": job.result}
        )  # fmt: skip
    return job.result


def _import(
    folders: Sequence[str],
    steps: Sequence[int],
    found: ImportPreview,
    taken: Sequence[str],
    base: ModelSpec | None,
    looked: Looked,
    *,
    done: str,
) -> None:
    """`base`: where it was chosen before, among revisions. `done`: the run that they have become already."""
    *left, middle, right = st.columns(2 if base else 3, gap="small")
    with left[0] if left else nullcontext():
        model = base or _model(found)
    with middle:
        corpus = st.selectbox("Corpus", [_NONE, *(info.name for info in store().corpora())],
                              help="Its probes are measured at every checkpoint, and transcoders learn from its "
                              "texts. Without one the models write the texts; probes can be measured later, on "
                              "Learning curves.")  # fmt: skip
    with right:
        suggested = free_name(_suggested(folders[0]), taken)
        name = st.text_input("Run name", value=suggested, key=f"import name {suggested}")
    if model is None:
        return
    if name == done:
        st.caption("With another name they can be imported again.")
        return
    if name in taken:
        st.error(plain(f"There is already a run named “{name}”. Choose another name."))
        return
    try:
        check_name(name)
    except InputError as error:
        show(error)
        return
    logs = [line.strip() for line in str(st.session_state.get("models logs", "")).splitlines() if line.strip()]
    request = ImportCheckpoints(
        name=name, folders=tuple(folders), model=model, corpus=None if corpus == _NONE else corpus, steps=tuple(steps),
        logs=tuple(logs),
    )  # fmt: skip

    first = download_words(found, model, looked)
    job_button(
        request, label=f"Import {plural(len(found.taken), 'checkpoint')}", key="import checkpoints",
        icon=":material/download:",
        note=f"{first}Each is put onto the base, and must then answer as it does with PEFT or transformers. A refused "
        "import leaves nothing behind.",
    )  # fmt: skip


def _model(found: ImportPreview) -> ModelSpec | None:
    """The base that it is put onto: one that is known, or a folder or hub id that is typed."""
    known = {spec.name: spec for spec in store().models()}
    said = next(iter(declared_bases(found.taken)), "")
    own = likely_base(store(), found.taken)
    unknown = said or any(one.kind == "full" for one in found.taken)
    options = [*known, _OTHER]
    at = options.index(own.name) if own else len(options) - 1 if unknown else 0
    chosen = st.selectbox("Base model", options, index=at, help="The model that was fine-tuned.")
    model = known.get(chosen) or _other_model(said, tuple(known.values()))
    if model is not None and (told := another_base(store(), model, found.taken)):
        st.warning(plain(told))
    return model


def _other_model(said: str, known: tuple[ModelSpec, ...]) -> ModelSpec | None:
    """`said`: as the checkpoints say it."""
    text = st.text_input(
        "Its folder or hub id", value=said, placeholder="of the model that was fine-tuned",
        help="As the checkpoints say it, unless you know better.",
    )  # fmt: skip
    if not text.strip():
        return None
    try:
        return model_spec(text.strip(), known)
    except TracelapseError as error:
        show(error)
        return None


def _base_of_revisions(start: str) -> ModelSpec:
    """Of revisions of one model the first, or another model; what is chosen is no checkpoint of the run."""
    known = {spec.name: spec for spec in store().models() if spec.location != start}
    chosen = st.selectbox(
        "Compared with", [start, *known], help="The base model of the run. A revision that is chosen here is not one "
        "of its checkpoints.",
    )  # fmt: skip
    return known[chosen] if chosen in known else model_spec(start, tuple(store().models()))


def _suggested(folder: str) -> str:
    if hub := hub_ids([folder]).get(folder):
        return slug((hub.folder or hub.name).rpartition("/")[2])
    path = person_path(folder)
    plain_names = ("out", "output", "outputs", "results")
    try:
        return slug(path.parent.name if path.name.lower() in plain_names and path.parent.name else path.name)
    except TracelapseError:
        return "imported"
