"""Deleting something for good: it looks dangerous, and asks first."""

from collections.abc import Callable

import streamlit as st

from pages._ui.errors import guarded


def delete_button(what: str, delete: Callable[[], None], *, key: str, why_not: str = "") -> None:
    """“Delete”, which asks whether `what` (Markdown) is to go for good; then the page is drawn without it. `why_not`
    (Markdown): what stands in the way, which is told instead of asking."""
    with st.popover(":red[Delete]", icon=":material/delete:", key=f"{key} delete menu"):
        if why_not:
            st.markdown(why_not)
            return
        st.markdown(f"Delete {what} for good? This cannot be undone.")
        with st.container(key=f"danger {key}"):  # red, see theme.css
            if st.button("Delete for good", type="primary", icon=":material/delete_forever:", key=f"{key} delete"):
                with guarded():  # what is refused is said here; what stands beside the menu stays
                    delete()
                    st.rerun()
