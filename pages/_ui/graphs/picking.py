"""What a person picked in a page's linked graphs: kept in the address; changed by the graphs, the table, a button."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import streamlit as st

from pages._ui import url
from pages._ui.graphs.linked_graphs import Marks, insist
from pages._ui.session import again

Edge = tuple[str, str]  # ids of source and target
_MARKS = "marks"
_ROW = "row picked in "


@dataclass(frozen=True)
class Picking:
    """The marks of one page: `page` names its address, `key` its linked graphs."""

    page: str
    key: str

    def marks(self) -> Marks:
        """What a person marked, as the address has it."""
        return Marks.from_text(url.read(self.page, _MARKS) or "")

    def mark(self, new: Marks) -> None:
        """Into the address. Without any mark the address stays short."""
        url.write_unless(self.page, _MARKS, new.to_text(), Marks().to_text())

    def pick_row(self, table: str, draw: Callable[[str], Edge | str | None]) -> None:
        """A table's row, newly picked, selects its edge or node; a row that is no longer picked clears it.

        draw: draws the table as a widget of the key that it is given, and tells which edge, or which node (its id), is
        picked in it.
        """
        memory = f"{self.page}: {_ROW}{table}"
        picked, drawn_anew = st.session_state.get(memory, (None, 0))
        now = self.marks()
        if picked is not None and picked not in (now.edge, now.selected):  # cleared or changed elsewhere
            picked, drawn_anew = None, drawn_anew + 1  # no row stays ticked
        found = draw(f"{table} {drawn_anew}")
        st.session_state[memory] = (found, drawn_anew)
        if found != picked:
            insist(self.key, "edge", "selected")
            edge, node = (found, None) if isinstance(found, tuple) else (None, found)
            if found is None and picked != now.selected:
                node = now.selected  # an edge was let go
            self.mark(replace(now, edge=edge, selected=node))
            again()

    def choose(self, node: str) -> None:
        """A node is selected, by a button or a link."""
        insist(self.key, "edge", "selected")
        self.mark(replace(self.marks(), selected=node, edge=None))

    def clear(self) -> None:
        """Neither a node nor an edge is picked."""
        insist(self.key, "selected", "edge")
        self.mark(replace(self.marks(), selected=None, edge=None))

    @contextmanager
    def title_row(self, title: str) -> Iterator[None]:
        """Above the table: `title` (Markdown), the way back to all edges, and the page's own actions in the body."""
        at = self.marks()
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(title, width="stretch")
            if at.selected or at.edge:
                st.button("All edges", icon=":material/close:", type="tertiary", on_click=self.clear, help="Esc")
            yield
