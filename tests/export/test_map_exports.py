"""The Map as picture, page and table: what is drawn is what the view says, whatever the texts."""

import csv
import io
from collections import defaultdict
from dataclasses import replace
from itertools import permutations
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from engine.domain.errors import InputError
from engine.export.exported_map import ExportedMap
from engine.export.formats import downloads
from engine.export.map_formats import MAP_FORMATS, formats_of
from engine.export.map_page import map_html
from engine.export.map_scene import map_scene
from engine.export.map_split import draw_split
from engine.export.map_svg import map_svg
from engine.figures import palette
from engine.figures.component_map import head_effects, heads_map
from engine.figures.map_acted import acted_view
from engine.figures.map_split import Split
from engine.figures.map_view import LEAST_MARK, MapView, carried_view
from tests.export.hostile import PROMPT, TOKENS, badly_explained, empty_diff, hostile_diff
from tests.export.markup import look_into
from tests.figures.component_makers import random_scores
from tests.figures.map_makers import acted, pair

SVG = "{http://www.w3.org/2000/svg}"


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - our own


def carried() -> MapView:
    return carried_view([(None, pair(12, 24))], {}, taught="blarf")


VIEWS = {
    "carried": carried,
    "over training": lambda: acted_view(acted(30, 16), [0, 15, 30, 45, 60]),
    "one stretch": lambda: acted_view(acted(4, 8, 1), [0, 60]),
    "hostile": lambda: carried_view([(None, hostile_diff())], {}),
    "hostile, acted": lambda: acted_view(acted(3, 6, 2, words=TOKENS), [None, None, None]),
    "empty": lambda: carried_view([(None, empty_diff())], {}),
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_picture_is_xml_and_nothing_in_it_runs(name: str) -> None:
    root = parsed(map_svg(VIEWS[name](), PROMPT))
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags <= {"svg", "title", "desc", "rect", "g", "line", "path", "polygon", "text"}
    attributes = {name for element in root.iter() for name in element.attrib}
    assert not {name for name in attributes if name.startswith("on") or "href" in name or name == "id"}


def test_a_mark_a_place_that_can_be_seen_and_an_arc_a_move() -> None:
    view = carried()
    root = parsed(map_svg(view))
    frame = view.frames[-1]
    marks = [rect for rect in root.iter(f"{SVG}rect") if rect.find(f"{SVG}title") is not None]
    assert len(marks) == (abs(frame.places) >= LEAST_MARK * view.largest[0]).sum()
    colors = palette.GRAPH["light"]
    change = [mark for mark in marks if mark.get("fill") in (colors["gained"], colors["lost"])]
    assert len(change) == (abs(frame.places[2]) >= LEAST_MARK * view.largest[0]).sum()
    sizes = {mark.findtext(f"{SVG}title", ""): float(mark.get("width", 0)) for mark in change}
    assert max(sizes, key=lambda title: sizes[title]).startswith("L0 · blarf: +")
    arcs = [path for path in root.iter(f"{SVG}path") if path.get("stroke") == colors["gained"]]
    assert len(arcs) == 1  # from blarf to the last word
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert "pushes happy up" in texts  # every color is named
    assert {"L0", "L11", "blarf"} <= set(texts)


def texts_of(svg: str) -> str:
    return " ".join(text.text or "" for text in parsed(svg).iter(f"{SVG}text"))


def test_the_legend_tells_the_largest_of_what_is_drawn_and_what_logits_are_measured_against() -> None:
    """A step of which the largest part is half of that of a later one: both are drawn on one scale."""
    whole = acted_view(acted(3, 4, 2), [0, 10, 20])
    first, last = whole.frames
    halved = replace(first, places=last.places / 2)
    view = replace(whole, frames=(halved, last))
    most = float(np.abs(last.places).max())
    early, late = (texts_of(map_svg(view.until(frame))) for frame in (0, 1))
    assert f"; the largest is {most / 2:.2f} (of all steps {most:.2f})" in early
    assert f"; the largest is {most:.2f}" in late
    assert "of all steps" not in late
    for told in (early, late, texts_of(map_svg(carried(), width=700))):
        assert "Logits here are above the mean of all tokens." in told
    widest = max(box.width for box in map_scene(view.until(0), 0, 400, 300, defaultdict(lambda: "#000")).boxes)
    assert widest == pytest.approx(
        max(box.width for box in map_scene(view, 0, 400, 300, defaultdict(lambda: "#000")).boxes) / 2**0.5
    )


def test_a_map_says_that_a_graph_explains_little_as_the_page_does() -> None:
    weak = map_svg(carried_view([(None, badly_explained(pair(4, 6)))], {}))
    assert "The replacement score is" in texts_of(weak)
    assert "The replacement score is" not in texts_of(map_svg(carried()))


def test_where_not_all_words_have_room_the_ends_of_arcs_are_named_and_words_before_signs() -> None:
    words = ("<s>", *(f" w{place}" if place % 2 else " ," for place in range(60)), " very")
    view = carried_view([(None, pair(4, 62, words=words))], {})
    frame = view.frames[-1]
    moves = frame.moves.copy()
    moves[2, 41, 20] = view.largest[1]  # from a word to a comma, neither of which has any part
    view = replace(view, frames=(replace(frame, places=frame.places * (np.arange(62) > 50), moves=moves),))
    scene = map_scene(view, 2, 400, 300, defaultdict(lambda: "#000"))
    named = {text.x: text.text for text in scene.texts if text.turned}
    assert len(named) < len(words) / 2
    assert {(bow.x1 + 4, bow.x2 + 4) for bow in scene.bows} <= set(permutations(named, 2))
    assert sum(text == "," for text in named.values()) < len(named) / 4


def test_a_page_holds_its_map_and_runs_its_own_script_alone() -> None:
    view = VIEWS["hostile"]()
    found = look_into(map_html(ExportedMap(view, "run@25%", "run@100%", PROMPT, f"It says {PROMPT}.")))
    assert len(found.scripts) == 1
    assert "sha256-" in found.policy
    assert "default-src 'none'" in found.policy
    assert found.handlers == []
    assert found.addresses == []
    assert "What moves between words" in map_html(ExportedMap(carried(), "a", "b", "x", ""))


def test_every_line_of_the_menu_makes_a_file() -> None:
    drawn = ExportedMap(carried(), "real@base", "real@100%", "x", "It changed.")
    made = {download.entry.suffix: download.make(drawn) for download in downloads(MAP_FORMATS)}
    assert bytes(made[".png"])[:4] == b"\x89PNG"  # type: ignore[arg-type]
    assert "“x …” · A real@base, B real@100%" in texts_of(str(made[".svg"]))
    rows = list(csv.DictReader(io.StringIO(str(made["-places.csv"]))))
    assert list(rows[0]) == ["layer", "word", "A", "B", "change"]
    assert (rows[0]["layer"], rows[0]["word"]) == ("L0", "blarf")
    assert float(rows[0]["change"]) == pytest.approx(float(rows[0]["B"]) - float(rows[0]["A"]))
    moves = list(csv.DictReader(io.StringIO(str(made["-moves.csv"]))))
    assert (moves[0]["from"], moves[0]["to"]) == ("blarf", "very")


def test_a_picture_says_of_what_it_is() -> None:
    drawn = ExportedMap(carried(), "real@base", "real@100%", "x", "It changed.", model="SmolLM2-135M")
    told = "“x …” · A real@base, B real@100% · base model SmolLM2-135M"
    assert drawn.caption == told
    assert told in map_svg(drawn.view, drawn.sentence, caption=told)
    assert "both of the base model SmolLM2-135M" in " ".join(look_into(map_html(drawn)).text.split())


def test_a_begin_mark_is_written_whole_over_training() -> None:
    root = parsed(map_svg(acted_view(acted(4, 0, 3, words=("<|im_start|>", " the", " glim")), [0, 1, 2, 3])))
    assert any((text.text or "").startswith("<|im_start|> ") for text in root.iter(f"{SVG}text"))


def test_a_map_without_arcs_offers_no_moves() -> None:
    """A file with its header alone would say that nothing moved."""
    view = heads_map(head_effects(random_scores(1), "A", 0), [head_effects(random_scores(2), "B", 4)])
    assert [one.name for one in formats_of(carried())] == ["html", "png", "svg", "csv", "moves"]
    assert [one.name for one in formats_of(view)] == ["html", "png", "svg", "csv"]
    with pytest.raises(InputError, match="no moves to write"):
        MAP_FORMATS[-1].make(ExportedMap(view, "a", "b", "", ""), "")


def test_a_map_of_no_one_prompt_says_what_it_is_of() -> None:
    view = heads_map(head_effects(random_scores(1), "A", 0), [head_effects(random_scores(2), "B", 4)])
    page = look_into(map_html(ExportedMap(view, "run@base", "run@100%", "", "It changed.", subject="Heads and MLPs")))
    text = " ".join(page.text.split())
    assert "Heads and MLPs It changed." in text
    assert "effects on the right answer" in text
    assert "head or MLP" in text
    assert "▁" not in text


def test_the_areas_tell_small_changes_apart() -> None:
    split = Split(
        names=("base", "2", "4"), labels=("blarf", "and"), columns=(0, 1),
        by_word=np.array([[0.0, 0.01, 0.019], [0.0, -0.02, -0.04]]), bands=(), by_band=np.zeros((0, 2)),
    )  # fmt: skip
    group = ET.Element("g")
    draw_split(group, split, 400, 300, defaultdict(lambda: "#000"))
    texts = {element.text for element in group.iter("text")}
    assert {"blarf +0.02", "and −0.04", "−0.02", "0"} <= texts
