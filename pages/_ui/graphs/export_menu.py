"""The export menu: what is on screen as files to take away. Nothing is made before it is asked for."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import streamlit as st

_BUTTON_PX = 165


@dataclass(frozen=True)
class Export:
    """One entry: `make` gives the file's content when it is clicked."""

    label: str
    explanation: str  # one plain sentence
    file_name: str
    mime: str
    icon: str
    make: Callable[[], str | bytes]


def export_popover(exports: Iterable[Export]) -> None:
    """A popover with a download a line."""
    with st.popover("Export", icon=":material/download:", type="tertiary"):
        for export in exports:
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.download_button(
                    export.label, export.make, file_name=export.file_name, mime=export.mime, icon=export.icon,
                    on_click="ignore", width=_BUTTON_PX, key=f"export {export.file_name}",
                )  # fmt: skip
                st.caption(export.explanation, width="stretch")
