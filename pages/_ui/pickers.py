"""Which run, which checkpoint. Each picker draws its widget, keeps its choice in the URL, returns it."""

from collections.abc import Callable, Sequence

import streamlit as st

from engine.domain.errors import InputError, NotFound
from engine.domain.names import CheckpointRef
from engine.domain.numbers import step_name
from engine.domain.runs import Checkpoint
from engine.store import Store
from pages._ui import url


def pick(
    page: str,
    name: str,
    options: Sequence[str],
    *,
    label: str,
    what: str,
    default: str,
    show: Callable[[str], str] = str,
    hide_label: bool = False,
    explain: str = "",
) -> str:
    """One of `options`, by a select box that follows the URL parameter `name`. `explain`: its help text."""
    key = f"{page} {name}"
    st.session_state[key] = url.allowed(page, name, options, default, what)
    st.selectbox(
        label, options, key=key, format_func=show, on_change=url.changed, args=(page, name, key),
        label_visibility="collapsed" if hide_label else "visible", help=explain or None,
    )  # fmt: skip
    return str(st.session_state[key])


def checkpoint_picker(
    store: Store, page: str, name: str, *, runs: Sequence[str], default: str,
    chosen: Callable[[str], None] = lambda run: None, explain: str = "",
) -> Checkpoint:  # fmt: skip
    """A run and one of its checkpoints, kept together in the URL as RUN@LABEL.

    `chosen`: called with the run that a person has picked. `explain`: the help text of the runs.
    """
    wanted = _wanted(store, page, name, runs, default)
    run_key, label_key = f"{page} {name} run", f"{page} {name} label"
    st.session_state[run_key] = wanted.run

    def to_same_label(run: str) -> str:
        labels = [checkpoint.label for checkpoint in store.checkpoints(run)]
        return f"{run}@{wanted.label if wanted.label in labels else labels[-1]}"

    def run_changed() -> None:
        url.changed(page, name, run_key, to_same_label)
        chosen(str(st.session_state[run_key]))

    left, right = st.columns([3, 2], gap="xsmall", vertical_alignment="bottom")
    left.selectbox(f"{name.upper()} · run", runs, key=run_key, on_change=run_changed, help=explain or None)
    checkpoints = {checkpoint.label: checkpoint for checkpoint in store.checkpoints(wanted.run)}
    st.session_state[label_key] = wanted.label
    right.selectbox(
        "checkpoint", list(checkpoints), key=label_key, on_change=url.changed,
        format_func=lambda label: step_name(checkpoints[label].step), label_visibility="collapsed",
        args=(page, name, label_key, lambda label: f"{wanted.run}@{label}"),
    )  # fmt: skip
    return checkpoints[wanted.label]


def _wanted(store: Store, page: str, name: str, runs: Sequence[str], default: str) -> Checkpoint:
    given = url.read(page, name)
    if given is not None:
        try:
            if CheckpointRef.parse(given).run in runs:
                return store.checkpoint(given)
        except (InputError, NotFound):
            pass
        url.refuse(page, name, given, "checkpoint", f"Shown instead: {default}.")
    return store.checkpoint(default)


def pick_runs(page: str, runs: Sequence[str], *, default: Sequence[str]) -> list[str]:
    """Any number of runs, in the URL as `runs=ONE,OTHER`."""
    key = f"{page} runs"
    given = url.read(page, "runs")
    wanted = list(default) if given is None else [name for name in given.split(",") if name]
    for name in wanted:
        if name not in runs:
            url.refuse(page, "runs", name, "run", "Choose among those below.")
    st.session_state[key] = [name for name in dict.fromkeys(wanted) if name in runs]
    st.multiselect("Runs", runs, key=key, on_change=url.changed, args=(page, "runs", key, ",".join))
    return list(st.session_state[key])
