"""Models & runs: base models, the runs of each, the room they take; a model is added and checkpoints are imported."""

import streamlit as st

from pages._ui import url
from pages._ui.frame import show
from pages._ui.models.adding import add_form, real_model_view
from pages._ui.models.importing import import_form, import_view
from pages._ui.models.model_view import choose_model, model_view
from pages._ui.models.room_view import room_view
from pages._ui.models.runs_view import runs_view
from pages._ui.session import store

PAGE = "models"
_VIEWS = {"models": "Models & runs", "import": "Import checkpoints", "add": "Add a model"}


def main() -> None:
    st.title("Models & runs")
    key = f"{PAGE} view"
    st.session_state[key] = url.allowed(PAGE, "view", list(_VIEWS), "models", "view")
    st.segmented_control(
        "View", list(_VIEWS), key=key, format_func=lambda view: _VIEWS[view], required=True,
        on_change=url.changed, args=(PAGE, "view", key), label_visibility="collapsed",
    )  # fmt: skip
    side, view = st.columns([2, 5], gap="medium")
    match st.session_state[key]:
        case "import":
            with side:
                import_form(PAGE)
            with view:
                import_view(PAGE, [info.name for info in store().runs()])
        case "add":
            with side:
                add_form(PAGE)
            with view:
                real_model_view(PAGE)
        case _:
            with side:
                chosen = choose_model(PAGE)
            with view:
                model_view(PAGE, chosen)
                runs_view(PAGE, chosen.spec)
                room_view()


show(main)
