"""Picking an edge in a table: a row that is cleared elsewhere does not stay ticked."""

from pathlib import Path

from streamlit.testing.v1 import AppTest

APP = str(Path(__file__).with_name("picking_app.py"))


def test_a_row_picks_its_edge_and_another_row_another() -> None:
    app = AppTest.from_file(APP).run()
    app.text_input[0].set_value("1").run()
    assert app.text[0].value == str(("token/-1/0/1", "feature/0/1/2"))
    app.text_input[0].set_value("2").run()
    assert app.text[0].value == str(("feature/0/1/2", "logit/1/2/3"))
    app.text_input[0].set_value("").run()
    assert app.text[0].value == "None"


def test_a_row_cleared_elsewhere_is_not_picked_in_the_table_either() -> None:
    app = AppTest.from_file(APP).run()
    app.text_input[0].set_value("1").run()
    app.button[0].click().run()
    assert (app.text[0].value, app.text_input[0].value) == ("None", "")
    app.text_input[0].set_value("1").run()  # the same row can be picked again
    assert app.text[0].value == str(("token/-1/0/1", "feature/0/1/2"))
