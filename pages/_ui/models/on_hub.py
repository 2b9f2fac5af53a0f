"""Checkpoints on the Hugging Face hub: which revisions, and a look at them that a person asks for.

Nothing is asked of the hub by drawing the page: neither a link nor what is half typed makes a request.
"""

from collections.abc import Sequence
from typing import Final

import streamlit as st

from engine.domain.errors import InputError, TracelapseError
from engine.domain.hub import HubId
from engine.domain.imports import FoundCheckpoint
from engine.workflows.hub_checkpoints import Looked, hub_ids, look_at
from pages._ui import url
from pages._ui.errors import show
from pages._ui.text import plain

_LOOKED: Final = "looked at on the hub"  # of this tab, by id
_MOST_NAMED: Final = 5


def revisions_box(page: str) -> None:
    """Which branches, tags or commits of the ids among the folders; nothing where there is no id without one."""
    lines = [line.strip() for line in str(st.session_state.get(f"{page} folders", "")).splitlines() if line.strip()]
    if not any(not hub.revision for hub in hub_ids(lines).values()):
        return
    key = f"{page} revisions"
    st.session_state[key] = url.read(page, "revisions") or ""
    st.text_area(
        "Revisions", key=key, height=68, placeholder="the newest",
        help="Branches, tags or commits of the hub ids above, one a line or with commas between, such as step1000, "
        "step2000. Several become the checkpoints of one run.",
        on_change=url.changed, args=(page, "revisions", key),
    )  # fmt: skip


def with_revisions(page: str, lines: list[str]) -> list[str]:
    """The lines, ids without a revision once for each that was asked for. Raises InputError."""
    asked = str(st.session_state.get(f"{page} revisions", "")).replace(",", " ").split()
    ids, items = hub_ids(lines), list[str]()
    for line in lines:
        if line not in ids or ids[line].revision or not asked:
            items.append(line)
            continue
        for revision in asked:
            item = str(ids[line].model_copy(update={"revision": revision}))
            if HubId.parse(item) is None:
                raise InputError(f"“{revision[:80]}” is no revision. Write names of branches, tags or commits.")
            items.append(item)
    return list(dict.fromkeys(items))


def looked_at(items: list[str]) -> Looked | None:
    """What lies under the ids among the items, once a person has asked for it; None before, or where it went wrong."""
    ids = hub_ids(items)
    if not ids:
        return {}
    known: dict[str, Sequence[FoundCheckpoint]] = st.session_state.setdefault(_LOOKED, {})
    missing = {item: hub for item, hub in ids.items() if item not in known}
    if missing:
        _ask(known, missing)
        return None
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("As it was on the hub when you looked.")
        st.button("Look again", icon=":material/refresh:", type="tertiary", on_click=known.clear)
    return {item: known[item] for item in ids}


def _ask(known: dict[str, Sequence[FoundCheckpoint]], missing: dict[str, HubId]) -> None:
    named = f"{', '.join(list(missing)[:_MOST_NAMED])}{' …' if len(missing) > _MOST_NAMED else ''}"
    st.info(
        plain(f"There is no such folder here, so this is looked for on the Hugging Face hub: {named}.")
        + " Looking asks huggingface.co for names and sizes, and reads small JSON files. No weights are downloaded.",
        icon=":material/cloud:",
    )
    if not st.button("Look at the hub", icon=":material/travel_explore:", type="primary"):
        return
    try:
        with st.spinner("Asking the hub"):
            known.update(look_at(missing))
    except TracelapseError as error:
        show(error)
        return
    st.rerun()
