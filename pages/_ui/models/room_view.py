"""What the workspace takes on the disk, and freeing what can be made again."""

from collections.abc import Sequence

import streamlit as st

from engine.domain.numbers import memory, plural
from engine.store.kept import VARIABLE, kept_values
from engine.store.space import FREEABLE, Room
from pages._ui.errors import guarded
from pages._ui.session import jobs, store
from pages._ui.text import plain

_MOST_TOLD = 10
_SHOWN = "how much room is taken"
_COLORS = ("blue", "violet", "orange", "green", "red", "gray")
_HOW = {"graphs": "traced again when they are compared", "measures": "measured again when they are asked for"}


@guarded()
def room_view() -> None:
    """Counted when asked for: a large workspace has a hundred thousand files."""
    with st.expander("Room on the disk", icon=":material/hard_drive:", key=_SHOWN, on_change="rerun") as panel:
        if not panel.open:
            return
        rooms = store().room()
        total = sum(room.n_bytes for room in rooms)
        st.markdown(f"**{memory(total)}** in {plain(store().workspace)}")
        st.markdown(" ".join(_badge(room, color) for room, color in zip(rooms, _COLORS, strict=False)))
        _free([room for room in rooms if room.use in FREEABLE])
        st.caption(_in_memory())
        _check()


def _in_memory() -> str:
    found = kept_values()
    parts = ", ".join(f"{memory(n_bytes)} {holder}" for holder, n_bytes in found.by_holder().items())
    shares = f" ({parts})" if parts else ""
    more = f" {memory(found.n_bytes_in_use)} more are in use and go when that ends." if found.n_bytes_in_use else ""
    return (
        f"In memory: {memory(found.n_bytes)} of at most {memory(found.budget)}{shares}, so that it need not be made "
        f"again; what was not used for longest goes first.{more} {VARIABLE} sets another limit, in MB, when the app is "
        "started."
    )


def _check() -> None:
    """Reads every file whole: it is done when asked for."""
    if not st.button("Check all files", icon=":material/fact_check:", type="tertiary"):
        return
    with st.spinner("Reading every file of the workspace …"):
        problems = store().check()
    if not problems:
        st.success("Every file can be read, and the index is right.", icon=":material/check:")
    for problem in problems[:_MOST_TOLD]:
        st.warning(plain(f"{problem.path}: {problem.reason}."), icon=":material/warning:")
    if len(problems) > _MOST_TOLD:
        st.warning(
            f"{plural(len(problems) - _MOST_TOLD, 'more problem')}: `python -m engine store check` tells them all.",
            icon=":material/warning:",
        )


def _badge(room: Room, color: str) -> str:
    return f":{color}-badge[{plain(room.use)} {memory(room.n_bytes)}, {plural(room.n_files, 'file')}]"


def _free(rooms: Sequence[Room]) -> None:
    if not rooms:
        st.caption("Nothing here that could be made again: graphs and measures are listed once there are some.")
        return
    wanted = st.pills(
        "What can be made again", [room.use for room in rooms], selection_mode="multi", key="room to free",
        format_func=lambda use: f"{use}: {_HOW[use]}",
    )  # fmt: skip
    n_bytes = sum(room.n_bytes for room in rooms if room.use in wanted)
    busy = bool(jobs().active())
    if busy:
        st.caption("A job is running. Its work could be among what is freed: wait until it has ended.")
    with st.popover(f"Free {memory(n_bytes)}" if wanted else "Free …", icon=":material/delete_sweep:",
                    disabled=busy or not wanted):  # fmt: skip
        st.markdown(
            "Checkpoints, transcoder sets, corpora and what you wrote stay. The rest is computed again when it is next "
            "looked at, which can take minutes for each comparison."
        )
        with st.container(key="danger free"):
            if st.button("Free it", type="primary", icon=":material/delete_sweep:"):
                freed = store().free(wanted)
                st.toast(f"{memory(freed)} freed.")
                st.rerun()
