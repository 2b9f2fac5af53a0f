"""Labels and groups in pictures: beside what they belong to, over nothing else."""

import pytest

from engine.analysis.diff import diff_graphs
from engine.analysis.supernodes import merge_supernodes
from engine.domain.annotations import Annotations, Supernode
from engine.domain.diffs import GraphDiff
from engine.domain.feature_names import AutomaticLabels, FeatureNames, FoundLabels
from engine.export.graph_page import graph_html
from engine.export.scene import panel
from engine.export.shapes import Panel, text_width
from engine.export.svg import graph_svg
from engine.figures.graph_view import pair_view
from tests.analysis.micro_graphs import micro_a, micro_b, random_graph

NOTES = Annotations(
    transcoders_hash="ab",
    labels={"0/5": "says “x” <b>", "9/9": "in no graph"},
    supernodes=(Supernode(name="late & </svg>", features=("1/3", "1/4")),),
)


def drawn(diff: GraphDiff, notes: Annotations | None = NOTES, found: AutomaticLabels | None = None) -> Panel:
    names = FeatureNames.of(notes, found) if notes else None
    return panel(pair_view(diff), "a", theme="light", width=600, height=300, names=names)


def test_by_hand() -> None:
    diff = diff_graphs(micro_a(), micro_b())
    plain, noted = drawn(diff, None), drawn(diff)
    assert [mark.id for mark in plain.marks] == [mark.id for mark in noted.marks]
    at = next(mark for mark in noted.marks if mark.id == "feature/0/1/5")
    assert at.tooltip.startswith("L0 · x · “says “x” <b>” (5)\n")
    assert [text.text for text in noted.texts[len(plain.texts) :]] == ["late & </svg>", "says “x” <b>"]
    places = {mark.id: (mark.x, mark.y) for mark in noted.marks}
    assert {(halo.x, halo.y) for halo in noted.halos} == {places["feature/1/1/3"], places["feature/1/1/4"]}
    label = noted.texts[-1]
    x, y = places["feature/0/1/5"]
    assert abs(label.y - 4 - y) < 1  # on its height
    assert label.x + text_width(label.text, label.size) < x or label.x > x


FOUND = AutomaticLabels(transcoders_hash="ab").added(
    FoundLabels(
        ("run@25%",), 10, {"0/5": (["x"], []), "1/3": (["<b>"], ["no", "</svg>"]), "1/4": ([], [])}
    )
)  # fmt: skip


def test_automatic_labels_are_written_in_italics_and_what_a_person_wrote_takes_their_place() -> None:
    diff = diff_graphs(micro_a(), micro_b())
    own = NOTES.model_copy(update={"supernodes": ()})
    plain, noted = drawn(diff, None), drawn(diff, own, FOUND)
    written = [(text.text, text.italic) for text in noted.texts[len(plain.texts) :]]
    assert written == [("says “x” <b>", False), ("<b> → no, </svg>", True)]
    tips = {mark.id: mark.tooltip.split("\n") for mark in noted.marks}
    assert tips["feature/1/1/3"][:2] == [
        "L1 · x · <b> → no, </svg> (3)",
        "automatic (tokens it is most active on → tokens it promotes): <b> → no, </svg>",
    ]
    assert tips["feature/1/1/4"][0] == "L1 · x · feature 4"
    names = FeatureNames.of(own, FOUND)
    svg = graph_svg(pair_view(diff), names=names)
    assert "<b>" not in svg
    assert 'font-style="italic">&lt;b&gt; → no, &lt;/svg&gt;</text>' in svg
    assert "L1 · x · \\u003cb\\u003e → no, \\u003c/svg\\u003e (3)" in graph_html(pair_view(diff), diff, names=names)


@pytest.mark.parametrize("seed", range(5))
def test_labels_lie_on_no_node_and_on_no_other_label(seed: int) -> None:
    diff = diff_graphs(random_graph(seed, n_features=90), random_graph(seed + 50, n_features=90))
    names = [node_id.split("/") for node_id in diff.nodes["id"] if node_id.startswith("feature")]
    labels = {f"{layer}/{index}": f"label {index}" for _, layer, _, index in names}
    noted = drawn(diff, Annotations(transcoders_hash="ab", labels=labels))
    written = [text for text in noted.texts if text.backed]
    boxes = [(t.x, t.x + text_width(t.text, t.size), t.y - 11, t.y + 3) for t in written]
    assert boxes
    for place, (left, right, top, bottom) in enumerate(boxes):
        assert left >= 2
        assert right <= 600
        for other in boxes[:place]:
            assert left >= other[1] or other[0] >= right or top >= other[3] or other[2] >= bottom
        for mark in noted.marks:
            if not mark.dashed:
                inside = left < mark.x < right and top < mark.y < bottom
                assert not inside, mark.id


def test_texts_stay_texts_everywhere() -> None:
    diff = diff_graphs(micro_a(), micro_b())
    view = pair_view(diff)
    names = FeatureNames.of(NOTES)
    svg = graph_svg(view, names=names)
    assert "late &amp; &lt;/svg&gt;" in svg
    page = graph_html(view, diff, names=names)
    assert "says “x” <b>" not in page
    assert "L0 · x · “says “x” \\u003cb\\u003e” (5)" in page


def test_a_group_drawn_as_one_node_carries_its_name() -> None:
    notes = NOTES.model_copy(update={"transcoders_hash": "shared"})
    merged = merge_supernodes(diff_graphs(micro_a(), micro_b()), Annotations.model_construct(**notes.__dict__))
    box = next(mark for mark in drawn(merged, None).marks if mark.shape == "box")
    assert box.name == "late & </svg>"
    assert box.half >= 14
    assert "late &amp; &lt;/svg&gt;" in graph_svg(pair_view(merged), side="b")
    assert '"shape":"box"' in graph_html(pair_view(merged), merged)
