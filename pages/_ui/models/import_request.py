"""What is asked of an import: the base that it is put onto, whose probes are measured, the run's name, the button.

A job outlives the tab that began it: while it runs its progress stands in the place of the form, and where it stopped
early the form is filled as it was asked for.
"""

from collections.abc import Sequence
from contextlib import nullcontext

import streamlit as st

from engine.domain.errors import InputError, TracelapseError
from engine.domain.imports import ImportPreview
from engine.domain.jobs import ImportCheckpoints, JobRecord
from engine.domain.models import ModelSpec
from engine.domain.names import check_name
from engine.domain.numbers import plural
from engine.domain.paths import person_path
from engine.workflows.declared_bases import another_base, declared_bases, likely_base
from engine.workflows.hub_checkpoints import Looked, download_words, hub_ids
from engine.workflows.model_specs import model_spec, slug
from pages._ui.errors import show
from pages._ui.forms import free_name
from pages._ui.jobs.button import job_button
from pages._ui.jobs.state import newest_job
from pages._ui.session import store
from pages._ui.text import plain

_OTHER, _NONE = "another folder or hub id …", "none"
_NOTE = (
    "Each is put onto the base, and must then answer as it does with PEFT or transformers. A refused import leaves "
    "nothing behind."
)


def newest_import(folders: Sequence[str]) -> JobRecord | None:
    """The latest import of these very folders and ids, however their paths are written."""
    places = [person_path(folder) for folder in folders]
    return newest_job(
        lambda request: isinstance(request, ImportCheckpoints) and [*map(person_path, request.folders)] == places
    )


def stopped_import(folders: Sequence[str]) -> ImportCheckpoints | None:
    """What the latest import of them asked for, where it has not come to its end."""
    job = newest_import(folders)
    return job.request if job and isinstance(job.request, ImportCheckpoints) and job.state != "done" else None


def running_view(job: JobRecord) -> None:
    """An import that is under way, whoever began it: what becomes of it, how far it is, and Cancel."""
    assert isinstance(job.request, ImportCheckpoints)
    asked = job.request
    probes = f", with the probes of **{plain(asked.corpus)}**" if asked.corpus else ""
    steps = f" Its steps are {', '.join(map(str, asked.steps))}." if asked.steps else ""
    st.markdown(f"**{plain(asked.name)}** is being imported onto **{plain(asked.model.name)}**{probes}.{steps}")
    job_button(asked, label="Import", key="import checkpoints", note=_NOTE)


def ask_to_import(
    folders: Sequence[str],
    steps: Sequence[int],
    found: ImportPreview,
    taken: Sequence[str],
    base: ModelSpec | None,
    looked: Looked,
) -> None:
    """`base`: where it was chosen before, among revisions."""
    asked = stopped_import(folders)
    *left, middle, right = st.columns(2 if base else 3, gap="small")
    with left[0] if left else nullcontext():
        model = base or _model(found, asked)
    with middle:
        known = [_NONE, *(info.name for info in store().corpora())]
        at = known.index(asked.corpus) if asked and asked.corpus in known else 0
        corpus = st.selectbox("Corpus", known, index=at,
                              help="Its probes are measured at every checkpoint, and transcoders learn from its "
                              "texts. Without one the models write the texts; probes can be measured later, on "
                              "Learning curves.")  # fmt: skip
    with right:
        suggested = asked.name if asked and asked.name not in taken else free_name(_suggested(folders[0]), taken)
        name = st.text_input("Run name", value=suggested, key=f"import name {suggested}")
    if model is None:
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
        note=f"{first}{_NOTE}",
    )  # fmt: skip


def _model(found: ImportPreview, asked: ImportCheckpoints | None) -> ModelSpec | None:
    """The base that it is put onto: one that is known, or a folder or hub id that is typed."""
    known = {spec.name: spec for spec in store().models()}
    said = next(iter(declared_bases(found.taken)), "")
    own = likely_base(store(), found.taken)
    unknown = said or any(one.kind == "full" for one in found.taken)
    options = [*known, _OTHER]
    if asked:
        own, said = known.get(asked.model.name), asked.model.location
        unknown = own is None
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


def base_of_revisions(start: str, asked: ImportCheckpoints | None) -> ModelSpec:
    """Of revisions of one model the first, or another model; what is chosen is no checkpoint of the run."""
    known = {spec.name: spec for spec in store().models() if spec.location != start}
    options = [start, *known]
    at = options.index(asked.model.name) if asked and asked.model.name in known else 0
    chosen = st.selectbox(
        "Compared with", options, index=at, help="The base model of the run. A revision that is chosen here is not one "
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
