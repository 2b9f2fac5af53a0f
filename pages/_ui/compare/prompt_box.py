"""The prompt box: a prompt of the corpus, one of the user's own, or many prompts, chosen or typed in one box.

Streamlit's own select box takes what was typed as a new entry where a person means the best match. This one takes the
match; a new prompt is an entry of its own, and the words that the model knows stand beside the list.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from engine.domain.corpus import Probe
from engine.domain.errors import TracelapseError
from engine.domain.words import with_edges
from engine.store import Store
from engine.workflows.chat import as_prompt
from engine.workflows.prompt_groups import ProbeGroup
from engine.workflows.vocabulary import vocabulary
from pages._ui import url
from pages._ui.compare.data import ordered_prompts
from pages._ui.compare.mean_circuit import prompts_of
from pages._ui.text import both_ends, plain, words

ASSETS = Path(__file__).parents[3] / "assets" / "prompt_box"
Option = dict[str, str]


@cache
def _component() -> Callable[..., object]:
    css, js = ((ASSETS / f"prompt_box.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    return st.components.v2.component("tracelapse_prompt_box", html='<div class="pb"></div>', css=css, js=js)


def prompt_box(
    store: Store,
    page: str,
    probes: Mapping[str, Probe],
    *,
    runs: Sequence[str],
    groups: Mapping[str, tuple[str, str]],
    traced: Sequence[str],
    default: str,
) -> str:
    """What is chosen: the text of a prompt, or the title of a group; kept in the URL as `prompt`.

    `runs`: whose model's words are listed. `groups`: by title, what each is called in the list and how many
    of its prompts are averaged (`group_options`).
    """
    value = _read(store, page, runs) or default
    key = f"{page} prompt box"
    data = {
        "label": "Prompt: choose, search or write one",
        "value": value,
        "options": options(probes, groups, traced, value),
        "words": [asdict(kind) for kind in vocabulary(store, *runs)],
    }
    _component()(data=data, key=key, on_picked_change=lambda: _picked(page, key))
    if (edged := with_edges(value)) != value:
        st.caption(
            f"Read as {plain(both_ends(edged))}", help="As it was typed: ␣ is a blank at an edge, ↵ the end of a line."
        )
    return value


def _read(store: Store, page: str, runs: Sequence[str]) -> str:
    """The prompt of the address as it stands; messages as JSON in the chat format of the model, which the box shows."""
    asked = url.read(page, "prompt") or ""
    try:
        return as_prompt(store, runs[0], asked)
    except TracelapseError as error:
        st.warning(plain(error), icon=":material/chat:")
        return ""


def _picked(page: str, key: str) -> None:
    """What was picked, as it stands."""
    state: Any = st.session_state.get(key) or {}
    if picked := state.get("picked"):
        url.write(page, prompt=str(picked))


def options(
    probes: Mapping[str, Probe], groups: Mapping[str, tuple[str, str]], traced: Sequence[str], value: str
) -> list[Option]:
    """What is traced first, then the mean circuits, then every other prompt; a text of the user's own before all."""
    prompts = ordered_prompts(probes, traced)
    n = len(traced)
    found = [
        *(_prompt(prompt, probes, traced=True) for prompt in prompts[:n]),
        *_groups(groups),
        *(_prompt(prompt, probes, traced=False) for prompt in prompts[n:]),
    ]
    if value and value not in {option["value"] for option in found}:
        found.insert(0, _prompt(value, probes, traced=False))
    return found


def _prompt(prompt: str, probes: Mapping[str, Probe], *, traced: bool) -> Option:
    probe = probes.get(prompt)
    parts = [probe.kind, words(probe.constraint_type)] if probe else ["your text"]
    return {"value": prompt, "text": prompt, "note": " · ".join([*parts, "traced"] if traced else parts)}


def _groups(groups: Mapping[str, tuple[str, str]]) -> list[Option]:
    return [{"value": title, "text": text, "note": note} for title, (text, note) in groups.items()]


def group_options(groups: Sequence[ProbeGroup], n: int) -> dict[str, tuple[str, str]]:
    """By title: `Mean of simple mapping · inference` and `12 of 40 prompts`; a group of one prompt has no mean."""
    return {
        group.title: (f"Mean of {words(group.constraint_type)} · {group.kind}", prompts_of(group, n))
        for group in groups
        if len(group.probes) > 1
    }
