"""The export menu and the report's button: what they offer, and that each offer can be had."""

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from engine.analysis.diff import diff_everything, diff_graphs
from engine.export import formats
from engine.export.formats import downloads
from engine.export.pair_formats import PAIR_FORMATS, ExportedPair
from engine.export.texts import file_name
from engine.figures.graph_view import pair_view
from engine.store import Store
from engine.workflows.queries import comparison_graphs
from tests.analysis.micro_graphs import random_graph
from tests.export.hostile import hostile_diff, view_of

OpenPage = Callable[..., AppTest]
ENDINGS = [".html", ".png", ".svg", "-difference.svg", "-edges.csv", "-nodes.csv", ".graphml", "-a.json", "-b.json"]


def test_every_entry_gives_its_file(demo_store: Store) -> None:
    graphs = comparison_graphs(demo_store, "demo-lora@100%", "demo-tokens@100%", "the cat feels blarf and")
    assert graphs is not None
    diff = diff_graphs(*graphs)
    pair, entries = ExportedPair(diff, lambda: pair_view(diff)), downloads(PAIR_FORMATS)
    assert [file_name("a@100% b@base the cat/..", entry.entry.suffix) for entry in entries] == [
        "a-100pct-b-base-the-cat" + ending for ending in ENDINGS
    ]
    starts = ["<!DOCTYPE html>", b"\x89PNG", "<svg", "<svg", "from,to", "node,id", "<?xml", "{", "{"]
    for entry, start in zip(entries, starts, strict=True):
        content = entry.make(pair)
        assert content[: len(start)] == start, entry.entry.label
        assert entry.entry.sentence.endswith(".")


def test_of_a_large_file_it_is_told_about_how_large_it_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    diff = diff_everything(*(random_graph(seed, n_features=100, pool=60) for seed in (1, 2)))
    pair = ExportedPair(diff, lambda: pair_view(diff))
    told = {entry.entry.suffix: entry for entry in downloads(PAIR_FORMATS) if entry.format.about}
    assert list(told) == ["-edges.csv", ".graphml"]
    for entry in told.values():
        content = entry.make(pair)
        assert isinstance(content, str)
        assert entry.format.about is not None
        assert entry.format.about(pair, "") == pytest.approx(len(content.encode()), rel=0.02)
    assert not any(entry.size(pair) for entry in downloads(PAIR_FORMATS))
    monkeypatch.setattr(formats, "LARGE", 500_000)
    assert [entry.size(pair) for entry in told.values()] == ["", "About 1 MB."]


def test_hostile_texts_can_be_exported() -> None:
    diff = hostile_diff()
    pair = ExportedPair(diff, lambda: view_of(diff))
    assert all(len(entry.make(pair)) > 100 for entry in downloads(PAIR_FORMATS))


def _page() -> None:
    from engine.export.pair_formats import PAIR_FORMATS, ExportedPair
    from engine.figures.graph_view import pair_view
    from pages._ui.graphs.export_menu import export_menu
    from tests.export.hostile import hostile_diff

    diff = hostile_diff()
    export_menu(PAIR_FORMATS, ExportedPair(diff, lambda: pair_view(diff)), name="x")


def test_the_menu_on_a_page_makes_nothing_before_a_click(monkeypatch: pytest.MonkeyPatch) -> None:
    import engine.export

    def never(*_: object, **__: object) -> str:
        raise AssertionError("made without a click")

    for name in ("graph_html", "graph_svg", "to_png", "to_graphml", "tracer_json", "node_table"):
        monkeypatch.setattr(engine.export, name, never)
    app = AppTest.from_function(_page).run()
    assert not app.exception
    buttons = app.get("download_button")
    assert [button.proto.label for button in buttons][:2] == ["Web page", "Picture (PNG)"]
    assert len(buttons) == len(ENDINGS)
    assert len(app.caption) == len(ENDINGS)


def test_the_report_of_a_finished_run_is_offered(open_page: OpenPage) -> None:
    app = open_page("train", run="demo-lora")
    assert not app.exception
    assert "Report" in [button.proto.label for button in app.get("download_button")]
