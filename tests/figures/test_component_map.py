"""Heads and MLPs as a Map, worked by hand: effects, names, what the component and a picture are given."""

import json
from xml.etree import ElementTree as ET

import pytest

from engine.domain.components import ComponentShape
from engine.domain.errors import ComparisonRefused
from engine.export.map_svg import map_svg
from engine.figures.component_map import (
    HeadEffects,
    changed_most,
    head_effects,
    heads_map,
    part_at,
    part_name,
    place_of_part,
)  # fmt: skip
from engine.figures.component_view import component_view
from engine.figures.map_tables import place_rows
from tests.figures.component_makers import micro_side, random_scores, side

MICRO = ComponentShape(n_layers=2, n_heads=2)
A = {("input", "a0.h0<q>"): 0.5, ("a0.h0", "m0"): 1.0, ("a0.h0", "logits"): -0.25, ("a1.h1", "logits"): 2.0}
B = {("a0.h0", "m0"): 1.0, ("a0.h0", "a1.h1<v>"): 0.5, ("m1", "logits"): 0.75, ("a1.h1", "logits"): -1.0}


def micro(edges: dict[tuple[str, str], float], checkpoint: str, step: int) -> HeadEffects:
    return head_effects(micro_side(edges, checkpoint, MICRO).scores, checkpoint, step)


def test_an_effect_is_the_sum_over_the_edges_out() -> None:
    a, b = micro(A, "run@base", 0), micro(B, "run@100%", 4)
    assert a.values.tolist() == [[0.75, 0, 0], [0, 2, 0]]
    view = heads_map(a, [b])
    assert view.frames[0].places[1].tolist() == [[1.5, 0, 0], [0, -1, 0.75]]
    assert view.frames[0].places[2].tolist() == [[0.75, 0, 0], [0, -3, 0.75]]
    assert changed_most(view) == [("L1 · head 1", "−3.00"), ("L0 · head 0", "+0.75"), ("L1 · MLP", "+0.75")]
    assert view.frames[0].tops == ("right answer ahead by 1.50", "right answer ahead by 1.50", "")
    rows = place_rows(view)
    assert rows.iloc[0][["layer", "head or MLP", "A", "B", "change", "id"]].tolist() == [
        "L1", "h1", 2.0, -1.0, -3.0, "place/1/1/1",
    ]  # fmt: skip


def test_checkpoints_on_the_way_are_frames_on_one_scale() -> None:
    a, b = micro(A, "run@base", 0), micro(B, "run@100%", 4)
    half = micro({("m1", "logits"): 5.0}, "run@50%", 2)
    view = heads_map(a, [a, half, b])
    assert [(frame.step, frame.name, frame.titles[1]) for frame in view.frames] == [
        (0, "base", "B · run@base"), (2, "step 2", "B · run@50%"), (4, "step 4", "B · run@100%"),
    ]  # fmt: skip
    assert not view.frames[0].places[2].any()
    assert view.frames[1].places[2].tolist() == [[-0.75, 0, 0], [0, -2, 5]]
    assert view.largest[0] == view.until(1).largest[0] == 5.0
    assert changed_most(view.until(1))[0] == ("L1 · MLP", "+5.00")
    assert len(json.loads(view.wire)["frames"]) == 3


def test_places_and_parts_have_each_other_s_names() -> None:
    for part, place in (("a1.h0", "place/1/0/0"), ("a0.h1", "place/0/1/1"), ("m1", "place/1/2/2")):
        assert place_of_part(part, 2) == place
        assert part_at(place, 2) == part
    for other in ("input", "logits", "place/1/0/0", "feature/0/1/2", "mx", "a1.h"):
        assert place_of_part(other, 2) is None
    assert part_at("place/0/3/3", 2) is part_at("feature/0/1/2", 2) is part_at("place/-1/0/0", 2) is None


def test_a_deep_model_is_sent_drawn_and_named() -> None:
    shape = ComponentShape(n_layers=30, n_heads=9)
    scores = [random_scores(1, shape, drift=drift, clean=clean) for drift, clean in ((0, -1.0), (0.3, 2.0))]
    view = heads_map(head_effects(scores[0], "A", 0), [head_effects(scores[1], "B", 4)])
    sent = json.loads(view.wire)
    assert (len(sent["rows"]), [column["label"] for column in sent["columns"]][-2:]) == (30, ["h8", "MLP"])
    assert part_name(view, 29, 9) == "L29 · MLP"
    texts = [text.text for text in ET.fromstring(map_svg(view)).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314
    assert {"helps the right answer", "works against it", "right answer behind by 1.00"} <= set(texts)
    # Side by side it is drawn so high that the names of its layers do not lie on each other.
    places = component_view(*map(side, scores)).places
    assert places["height"] * places["least_px"] >= 12 * 30


def test_other_models_are_refused() -> None:
    with pytest.raises(ComparisonRefused, match="2 layers of 2 heads"):
        heads_map(micro(A, "run@base", 0), [head_effects(random_scores(1), "B", 4)])
