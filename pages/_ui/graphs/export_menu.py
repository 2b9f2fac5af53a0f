"""The export menu: what is on screen as files to download. Nothing is made before it is asked for; once the menu is
open, of a large file it is told about how large it gets.
"""

from collections.abc import Sequence
from functools import partial
from typing import TypeVar

import streamlit as st

from engine.export.formats import ExportFormat, downloads

_BUTTON_PX = 180
Subject = TypeVar("Subject")


def export_menu(formats: Sequence[ExportFormat[Subject]], subject: Subject, *, name: str) -> None:
    """A popover with a download a line. `name`: what the files are called after; made safe for any file system."""
    from engine.export.texts import file_name

    with st.popover(
        "Export", icon=":material/download:", type="tertiary", key=f"export menu {name}", on_change="rerun"
    ) as menu:
        for download in downloads(formats):
            file = file_name(name, download.entry.suffix)
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.download_button(
                    download.entry.label, partial(download.make, subject), file_name=file, mime=download.format.mime,
                    icon=f":material/{download.format.icon}:", on_click="ignore", width=_BUTTON_PX,
                    key=f"export {file}",
                )  # fmt: skip
                size = download.size(subject) if menu.open else ""
                st.caption(" ".join(filter(None, (download.entry.sentence, size))), width="stretch")
