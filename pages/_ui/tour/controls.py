"""The tour's controls: back, next, a dot a step, full screen, the way out. The step lives in the URL."""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import streamlit as st

from pages._ui import url
from pages._ui.demo import LIVE_PARAM, run_live

PAGE = "tour"
ASSETS = Path(__file__).parents[3] / "assets" / "tour"
_TITLES = {"compare": "Compare", "curves": "Learning curves"}


def step_number(n_steps: int) -> int:
    """1 to `n_steps`, from the URL; another value says so and gives 1."""
    step = int(url.allowed(PAGE, "step", [str(number) for number in range(1, n_steps + 1)], "1", "step"))
    url.write(PAGE, step=str(step))
    return step


def controls(step: int, n_steps: int, *, page: str, params: Mapping[str, str]) -> None:
    """One row, at the same place on every step. Arrow keys press Back and Next."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute", key="tour_row"):
        st.button(
            "Back", key="tour_back", shortcut="Left", disabled=step == 1,
            on_click=_go, args=(step - 1,),
        )  # fmt: skip
        with st.container(horizontal=True, key="tour_dots", width="content", gap="xsmall"):
            for number in range(1, n_steps + 1):
                st.button(
                    str(number), key=f"tour_dot_{number}", type="primary" if number == step else "secondary",
                    on_click=_go, args=(number,),
                )  # fmt: skip
        with st.container(key="tour_place", width="content"):
            st.markdown(f"step {step} of {n_steps}", width="content")
        if step < n_steps:
            st.page_link(
                f"pages/{page}.py", label=f"Open this in {_TITLES[page]}", icon=":material/open_in_new:",
                query_params=dict(params), width="content",
            )  # fmt: skip
            _full_screen()
            st.button("Next", key="tour_next", shortcut="Right", type="primary", on_click=_go, args=(step + 1,))
        else:
            _full_screen()
            _try_it(params)


def _try_it(params: Mapping[str, str]) -> None:
    """The tour ends where the visitor goes on alone."""
    with st.container(horizontal=True, key="tour_try", width="content", gap="small"):
        if st.button("Run it live", icon=":material/play_arrow:"):
            st.switch_page("pages/home.py", query_params={LIVE_PARAM: run_live()})
        if st.button("Ask your own prompt", icon=":material/edit:"):
            st.switch_page("pages/compare.py", query_params={name: params[name] for name in ("a", "b") if name in params})
        if st.button("Try it yourself", type="primary", icon=":material/compare_arrows:"):
            st.switch_page("pages/compare.py", query_params=dict(params))


def _go(step: int) -> None:
    url.write(PAGE, step=str(step))


def _full_screen() -> None:
    _component()(key="tour_full_screen", width="content")


@cache
def _component() -> Callable[..., object]:
    return st.components.v2.component(
        "tracelapse_full_screen",
        html='<button type="button" hidden></button>',  # shown once its keys are listened to
        css=(ASSETS / "full_screen.css").read_text(encoding="utf-8"),
        js=(ASSETS / "full_screen.js").read_text(encoding="utf-8"),
    )
