"""Pictures: valid XML whatever the texts, what is drawn is what the view says, and PNG of the asked size."""

import dataclasses
import struct
from itertools import pairwise
from typing import Literal
from xml.etree import ElementTree as ET

import altair as alt
import numpy as np
import pandas as pd
import pytest

from engine.analysis.diff import diff_graphs
from engine.analysis.focus import Focus
from engine.domain.diffs import DiffSettings, GraphDiff
from engine.domain.errors import InputError
from engine.domain.explained import ExplainedLogits
from engine.export.raster import chart_png, chart_svg, to_png
from engine.export.scene import panel
from engine.export.shapes import text_width
from engine.export.svg import graph_svg
from engine.figures.graph_view import STRONG_A, STRONG_CHANGE, pair_view
from tests.analysis.micro_graphs import micro_a, micro_b, probe, random_graph
from tests.export.hostile import TOKENS, badly_explained, empty_diff, hostile_diff, view_of

SVG = "{http://www.w3.org/2000/svg}"
Side = Literal["pair", "a", "b", "overlay"]
SIDES: tuple[Side, ...] = ("pair", "a", "b", "overlay")


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - our own


def micro() -> GraphDiff:
    return diff_graphs(micro_a(), micro_b(), DiffSettings(explained=ExplainedLogits(answers=(20,))))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("diff", [micro(), hostile_diff(), empty_diff(), badly_explained(micro())])
def test_it_is_xml_with_a_description_and_nothing_that_runs_or_is_fetched(diff: GraphDiff, side: Side) -> None:
    root = parsed(graph_svg(view_of(diff), side=side))
    assert root.find(f"{SVG}title") is not None
    assert "nodes" in (root.findtext(f"{SVG}desc") or "")
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags <= {"svg", "title", "desc", "rect", "g", "line", "path", "circle", "polygon", "text"}
    attributes = {name for element in root.iter() for name in element.attrib}
    assert not {name for name in attributes if name.startswith("on") or "href" in name or name == "id"}


def test_a_picture_says_what_its_figures_are_of_and_how_much_is_drawn() -> None:
    diff = micro()
    told = " ".join(parsed(graph_svg(view_of(diff))).itertext())
    assert "Explained is the logit of yes, minus the mean logit: " in told
    assert "Logits here are above the mean of all tokens." in told
    assert "Drawn:" not in told
    some = Focus(frozenset(diff.nodes["id"][:4]), 0.25, 3)
    assert f"Drawn: 4 of {len(diff.nodes)} nodes. The edges between them make 25% of what changed." in " ".join(
        parsed(graph_svg(pair_view(diff, among=some))).itertext()
    )


def test_text_is_told_as_it_is_with_forbidden_characters_visible() -> None:
    texts = "".join(parsed(graph_svg(view_of(hostile_diff()), width=4000)).itertext())
    assert "<script>window.hacked = 1</script>" in texts  # in a node's title, as text
    assert "\x00" not in texts
    assert "😀" in texts
    assert TOKENS[0] in texts


@pytest.mark.parametrize(("likely", "side"), [((0.7, 0.2), "a"), ((0.1, 0.8), "b")])
def test_the_description_names_the_most_likely_output(likely: tuple[float, float], side: Side) -> None:
    """The first bar is the right answer's on both sides, whatever they say."""
    graph = dataclasses.replace(micro_a(), target_probability=np.array(likely, dtype=np.float32))
    diff = diff_graphs(graph, graph)
    expected = graph.target_tokens[likely.index(max(likely))]
    description = parsed(graph_svg(pair_view(diff, probe=probe()), side=side)).findtext(f"{SVG}desc") or ""
    assert description.endswith(f"most likely output {expected}.")


def test_by_hand() -> None:
    """Side A of the micro graph: 8 nodes are kept, two errors that B keeps are ghosts. Of its 8 edges that to “no” has
    no flow, and 3 of the others push “yes” up."""
    drawn = panel(pair_view(micro(), probe=probe()), "a", theme="light", width=600, height=300)
    own = [mark for mark in drawn.marks if not mark.dashed]
    assert len(own) == 8
    assert {mark.id for mark in drawn.marks if mark.dashed} == {"error/0/1/0", "error/1/1/0"}
    assert len(drawn.arcs) == 7
    positive, negative = "#1b7837", "#762a83"
    assert sorted(arc.colour for arc in drawn.arcs) == [positive] * 3 + [negative] * 4
    yes = next(mark for mark in own if mark.id == "logit/2/1/20")
    assert yes.fill == "#1b7837"  # the probe's right answer
    assert list(drawn.rows) == [274.5, 195.5, 117.5, 38.5]  # embeddings, L0, L1, outputs
    x = next(mark for mark in own if mark.id == "token/-1/1/2")
    arc = next(arc for arc in drawn.arcs if arc.source == "token/-1/1/2" and arc.target == "feature/0/1/5")
    assert (arc.x1, arc.y1) == (x.x, x.y)
    assert arc.y2 < arc.y1  # up
    assert arc.width == pytest.approx(3)  # all of the input of feature 5
    largest = next(mark for mark in own if mark.id == "feature/1/1/3")  # 0.5625 of 0.5625: the largest value
    assert largest.r == pytest.approx(9)


@pytest.mark.parametrize("side", ["a", "overlay"])
def test_the_strongest_edges_are_drawn_and_more_only_when_asked_for(side: Literal["a", "overlay"]) -> None:
    view = pair_view(diff_graphs(random_graph(1, n_features=120), random_graph(2, n_features=120)), strongest=10)
    bit = STRONG_A if side == "a" else STRONG_CHANGE
    few = panel(view, side, theme="light", width=600, height=300)
    assert {arc.row for arc in few.arcs} == {row for row, show in enumerate(view.edges["show"]) if show & bit}
    more = panel(view, side, theme="light", width=600, height=300, most_edges=7)
    assert len(more.arcs) == len(few.arcs) + 7
    assert [arc.strong for arc in more.arcs] == [True] * len(few.arcs) + [False] * 7
    sizes = [abs(view.edges["change" if side == "overlay" else "flow_a"][arc.row]) for arc in more.arcs[-7:]]
    assert sizes == sorted(sizes, reverse=True)


def test_of_many_layers_the_picture_is_so_high_that_their_names_do_not_touch() -> None:
    deep = pair_view(diff_graphs(*(random_graph(seed, n_layers=30) for seed in (1, 2))))
    svg = parsed(graph_svg(deep, side="a", height=300))
    names = {text.text: float(text.get("y", 0)) for text in svg.iter(f"{SVG}text")}
    layers = [names[f"L{layer}"] for layer in range(30)]
    assert all(below - above >= 11 for below, above in pairwise(layers))


def test_labels_do_not_lie_on_each_other() -> None:
    graphs = [random_graph(seed, n_logits=12, n_pos=14) for seed in (1, 2)]
    drawn = panel(pair_view(diff_graphs(*graphs)), "a", theme="dark", width=500, height=300)
    lines: dict[float, list[tuple[float, float]]] = {}
    for text in drawn.texts:
        if text.anchor == "middle":
            half = text_width(text.text, text.size, bold=text.bold) / 2
            lines.setdefault(text.y, []).append((text.x - half, text.x + half))
    assert len(lines) == 3  # tokens below, outputs in two tiers
    for spans in lines.values():
        spans.sort()
        assert all(left[1] < right[0] for left, right in pairwise(spans))


def test_both_themes_differ_and_widths_are_kept() -> None:
    view = view_of(micro())
    light, dark = (graph_svg(view, theme=theme, width=900, height=300) for theme in ("light", "dark"))
    assert "#0e1117" in dark
    assert "#0e1117" not in light
    assert parsed(light).get("viewBox") == "0 0 900 300"


def test_png_has_the_asked_size() -> None:
    png = to_png(graph_svg(view_of(hostile_diff()), width=400, height=300), scale=1.5)
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", png[16:24]) == (600, 450)
    with pytest.raises(InputError, match="Give a scale"):
        to_png("<svg/>", scale=1000)


def test_charts_are_drawn_from_their_own_data_alone() -> None:
    rows = pd.DataFrame({"x": [1, 2], "run": ["<script>alert(1)</script>", "b & c"]})
    chart = alt.Chart(rows).mark_point().encode(x="x:Q", y="run:N")
    svg = chart_svg(chart)
    assert "b & c" in "".join(parsed(svg).itertext())
    assert not list(parsed(svg).iter(f"{SVG}script"))
    assert chart_png(chart, scale=1)[:4] == b"\x89PNG"
    elsewhere = alt.Chart("https://example.org/data.csv").mark_point().encode(x="x:Q")
    with pytest.raises(ValueError, match="not allowed"):
        chart_svg(elsewhere)
