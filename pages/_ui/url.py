"""The selection lives in the URL: it can be bookmarked, survives a reload, and two tabs have two of them.

The URL is the truth. A widget gets its value from it before it is drawn, and a change is written back to it. A page
that is opened without parameters goes on where this tab left it, else at its defaults.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from pages._ui.text import plain, shorten

_LAST = "last selection of page "


def read(page: str, name: str) -> str | None:
    """The parameter as it stands in the URL; where the URL has none at all, as this tab last had it on `page`."""
    if len(st.query_params):
        return st.query_params.get(name)
    last: dict[str, str] = st.session_state.get(_LAST + page, {})
    return last.get(name)


def write(page: str, **values: str) -> None:
    """Into the URL, and kept for when this tab comes back to `page`."""
    st.session_state[_LAST + page] = st.session_state.get(_LAST + page, {}) | values
    changed_values = {name: value for name, value in values.items() if st.query_params.get(name) != value}
    if changed_values:
        st.query_params.update(changed_values)


def allowed(page: str, name: str, options: Sequence[str], default: str, what: str) -> str:
    """The parameter if it is one of `options`; else a message where it was given, and the default."""
    value = read(page, name)
    if value is None or value in options:
        return default if value is None else value
    refuse(page, name, value, what, f"Shown instead: {default}.")
    return default


def number(page: str, name: str, low: float, high: float, default: float) -> float:
    """The parameter if it is a number within its limits; else a message where it was given, and the default."""
    value = read(page, name)
    if value is None:
        return default
    try:
        found = float(value)
    except ValueError:
        found = math.nan
    if low <= found <= high:
        return found
    refuse(page, name, value, f"{name} setting", f"Allowed is {low:g} to {high:g}. Used instead: {default:g}.")
    return default


def write_unless(page: str, name: str, value: str, default: str) -> None:
    """As `write`; a value that is the default is taken out, so that addresses stay short."""
    if value == default:
        forget(page, name)
    else:
        write(page, **{name: value})


def refuse(page: str, name: str, value: str, what: str, instead: str) -> None:
    """Say that the address names something that is not there."""
    st.warning(plain(f"The address asks for the {what} “{shorten(value, 80)}”, which is not here. {instead}"))
    st.session_state.get(_LAST + page, {}).pop(name, None)


def changed(page: str, name: str, key: str, to_value: Callable[[Any], str] = str) -> None:
    """A widget's `on_change`: what was picked goes into the URL."""
    picked = st.session_state.get(key)
    if picked is not None:
        write(page, **{name: to_value(picked)})


def forget(page: str, *names: str) -> None:
    """What was selected is gone."""
    for name in names:
        st.session_state.get(_LAST + page, {}).pop(name, None)
        st.query_params.pop(name, None)
