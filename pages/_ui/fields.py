"""Fields whose value is part of the address."""

from typing import TypeVar

import streamlit as st

from pages._ui import url

Number = TypeVar("Number", int, float)


def number_field(
    page: str, name: str, label: str, low: Number, high: Number, default: Number, *, step: Number | None = None,
    explain: str = "",
) -> Number:  # fmt: skip
    """A number within its limits that follows the URL parameter `name`; the default stays out of the address."""
    key, as_type = f"{page} {name}", type(default)
    st.session_state[key] = as_type(url.number(page, name, low, high, default))

    def write() -> None:
        url.write_unless(page, name, f"{st.session_state[key]:g}", f"{default:g}")

    st.number_input(label, low, high, step=step, key=key, help=explain or None, on_change=write)
    return as_type(st.session_state[key])
