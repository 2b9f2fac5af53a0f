"""Picking an edge in a table: a row that is cleared elsewhere does not stay ticked."""

from streamlit.testing.v1 import AppTest


def _app() -> None:
    import streamlit as st

    from pages._ui.graphs.picking import Picking

    picking = Picking("compare", key="graphs")
    edges = {"1": ("token/-1/0/1", "feature/0/1/2"), "2": ("feature/0/1/2", "logit/1/2/3")}

    def draw(key: str) -> tuple[str, str] | None:
        return edges.get(st.text_input("row", key=key))

    picking.pick_row("edges", draw)
    st.button("All edges", on_click=picking.clear)
    st.text(str(picking.marks().edge))


def test_a_row_picks_its_edge_and_another_row_another() -> None:
    app = AppTest.from_function(_app).run()
    app.text_input[0].set_value("1").run()
    assert app.text[0].value == str(("token/-1/0/1", "feature/0/1/2"))
    app.text_input[0].set_value("2").run()
    assert app.text[0].value == str(("feature/0/1/2", "logit/1/2/3"))
    app.text_input[0].set_value("").run()
    assert app.text[0].value == "None"


def test_a_row_cleared_elsewhere_is_not_picked_in_the_table_either() -> None:
    app = AppTest.from_function(_app).run()
    app.text_input[0].set_value("1").run()
    app.button[0].click().run()
    assert (app.text[0].value, app.text_input[0].value) == ("None", "")
    app.text_input[0].set_value("1").run()  # the same row can be picked again
    assert app.text[0].value == str(("token/-1/0/1", "feature/0/1/2"))
