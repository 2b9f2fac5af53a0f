"""Choose a folder of the machine that the app runs on, without typing its path."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import streamlit as st

from pages._ui.text import plain

_MOST_LISTED: Final = 500
# What makes a folder worth a mark: a model, an adapter, or a trainer's output.
_SIGNS: Final = ("config.json", "adapter_config.json", "trainer_state.json")


def browse(key: str, use: Callable[[str], None]) -> None:
    """“Browse …” opens the home folder, from where every other one can be reached; `use` is told the folder that was
    chosen. What is hidden is left out."""
    with st.popover("Browse …", icon=":material/folder_open:", key=f"{key} browser", on_change="rerun") as panel:
        if not panel.open:
            return
        at = Path(st.session_state.get(f"{key} at", Path.home()))
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{plain(_short(at))}**", width="stretch")
            st.button(
                "Up one folder", icon=":material/arrow_upward:", key=f"{key} up", disabled=at == at.parent,
                on_click=_open, args=(key, at.parent),
            )  # fmt: skip
        if found := _what(at):
            st.caption(f":green[:material/check:] {found}")
        options = [path.name for path in _folders(at)]
        st.selectbox(
            "Go to", options, index=None, key=f"{key} to {at}", format_func=lambda name: _label(at, name),
            placeholder="a folder in it" if options else "there are no folders in it", disabled=not options,
            on_change=_go, args=(key, at),
        )  # fmt: skip
        st.button(
            "Use this folder", type="primary", icon=":material/check:", key=f"{key} use", on_click=use, args=(str(at),)
        )
        st.caption("Hidden folders are not listed. Any path can also be typed into the field itself.")


def _go(key: str, at: Path) -> None:
    if name := st.session_state.get(f"{key} to {at}"):
        _open(key, at / name)


def _open(key: str, folder: Path) -> None:
    st.session_state[f"{key} at"] = str(folder)


def _folders(at: Path) -> Sequence[Path]:
    try:
        found = [path for path in at.iterdir() if not path.name.startswith(".") and path.is_dir()]
    except OSError:  # it may not be read, or has just gone
        return []
    return sorted(found, key=lambda path: path.name.lower())[:_MOST_LISTED]


def _label(at: Path, name: str) -> str:
    return f"{name} ✓" if _what(at / name) else name


def _what(folder: Path) -> str:
    """Whether a model or checkpoints lie in it, by the names of its files."""
    try:
        if any((folder / sign).is_file() for sign in _SIGNS):
            return "a model or a checkpoint"
        if any(path.is_dir() for path in folder.glob("checkpoint-*")):
            return "checkpoints of a trainer"
    except OSError:
        pass
    return ""


def _short(path: Path) -> str:
    return f"~/{path.relative_to(Path.home())}".removesuffix("/.") if path.is_relative_to(Path.home()) else str(path)
