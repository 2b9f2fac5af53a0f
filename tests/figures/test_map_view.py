"""The Map's figures, worked by hand: what is joined, what is summed, what is sent, and the one scale of it all."""

import json
from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from engine.analysis.acted import acted_sentence
from engine.analysis.acted_mean import mean_table
from engine.analysis.diff import diff_graphs
from engine.domain.acted import Acted, ChangedMatrix
from engine.domain.annotations import Annotations
from engine.domain.feature_names import FeatureNames
from engine.domain.numbers import signed
from engine.export.map_svg import map_keys, map_svg
from engine.figures.graph_view import short
from engine.figures.map_acted import acted_mean_view, acted_view
from engine.figures.map_split import OTHERS, bands, split
from engine.figures.map_tables import (
    feature_rows,
    layers_of_move,
    mean_matrices_at,
    mean_matrix_rows,
    mean_place_rows,
    mean_role_rows,
    move_rows,
    place_of,
    place_rows,
    word_rows,
)  # fmt: skip
from engine.figures.map_view import LEAST_MARK, MOST_MOVES, carried_view, seen_moves
from tests.acted_means import three_words
from tests.figures.map_makers import acted, pair

TOKENS = ("<s>", " the", " bl", "arf", " and")
# Embeddings, layers 0 and 1, output; tokens across: of the first stretch and of the second.
FIRST = np.array([[0, 0, 0, 0, 0], [0, 0, 0.5, 1.5, 0], [0, -0.25, 0, 0, 1], [0, 0, 0, 0, 0.25]])
SECOND = np.array([[0, 0, 0, 0, 0], [0, 0, 0, 0, 0.004], [0, 0, 0, -0.5, 1], [0, 0, 0, 0, 0]])


def micro() -> Acted:
    made = acted(2, 5, 2, words=TOKENS)
    matrices = tuple(ChangedMatrix(f"m{row}", row - 1) for row in range(4))
    first, second = made.stretches
    return replace(
        made,
        stretches=(
            replace(first, before=1.0, after=4.0, matrices=matrices, by_matrix=FIRST),
            replace(second, before=4.0, after=4.504, matrices=matrices, by_matrix=SECOND),
        ),
    )


def test_pieces_are_summed_to_words_and_stretches_to_steps() -> None:
    view = acted_view(micro(), [0, 10, 20], taught="blarf")
    assert [span.text for span in view.spans] == ["<s>", " the", " blarf", " and"]
    assert view.bold == (False, False, True, False)
    first, last = view.frames
    assert first.places[0].tolist() == [[0, 0, 0, 0], [0, 0, 2, 0], [0, -0.25, 0, 1], [0, 0, 0, 0.25]]
    assert last.places[0].tolist() == [[0, 0, 0, 0], [0, 0, 2, 0.004], [0, -0.25, -0.5, 2], [0, 0, 0, 0.25]]
    assert last.totals is not None
    assert last.totals.tolist() == pytest.approx([0, -0.25, 1.5, 2.254])
    assert (first.step, last.name) == (10, "step 20")
    assert last.facts == ("base to step 20 · happy +3.50",)
    assert acted_view(micro(), [0, 10, 20], joined=False).frames[1].places[0, 1, 2:4].tolist() == [0.5, 1.5]


def test_the_mean_of_many_prompts_by_role_with_its_intervals() -> None:
    mean = three_words()
    view = acted_mean_view(mean, [0, 10])
    assert [span.text for span in view.spans] == ["beginning", "noun", "new word", "other", "last"]
    assert view.bold == (False, False, True, False, False)
    (frame,) = view.frames
    assert frame.places[0, 1, 2] == pytest.approx(2.0)  # L0 at the new word: of 2, 4 and 0
    assert frame.places.sum() == pytest.approx(10.0)
    role = mean_table(mean, "role").set_index("role").loc["new word"]
    assert frame.spreads[2] == f"{signed(role['low'], 1)} to {signed(role['high'], 1)}"
    assert frame.facts[0].startswith("base to step 10 · right answer +10.00 (")
    rows = mean_place_rows(view, mean)
    assert rows[["layer", "role", "part", "id"]].iloc[0].tolist() == [
        "output",
        "last",
        pytest.approx(23 / 3),
        "place/2/4/4",
    ]
    assert place_of(view, rows["id"].iloc[0]) == (3, 4)
    assert mean_role_rows(view, mean)["role"].tolist() == ["noun", "new word", "last"]
    here = mean_matrices_at(mean, 0, "new word")
    assert here[["matrix", "part"]].iloc[0].tolist() == ["mlp.up_proj", pytest.approx(2.0)]
    assert mean_matrix_rows(mean)["layer"].tolist() == ["output", "L0", "embeddings"]
    sent = json.loads(view.wire)
    assert sent["frames"][0]["spreads"][2] == frame.spreads[2]
    texts = [text.text for text in ET.fromstring(map_svg(view)).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314
    assert f"+2.0 ({frame.spreads[2]})" in texts


def test_only_what_can_be_seen_is_sent() -> None:
    sent = json.loads(acted_view(micro(), [0, 10, 20]).wire)
    places = sent["frames"][1]["places"]
    assert sent["largest"][0] == 2
    assert 0.004 < LEAST_MARK * 2 < 0.25  # the smallest part is left out, the next one is not
    cells = dict(zip(zip(places["row"], places["column"], strict=True), places["values"][0], strict=True))
    assert cells == {(1, 2): 2, (2, 1): -0.25, (2, 2): -0.5, (2, 3): 2, (3, 3): 0.25}
    assert sent["columns"][2] == {"label": "blarf", "first": 2, "last": 3, "bold": False}
    assert sent["rows"] == ["Emb", "L0", "L1", "Out"]


def test_over_training_by_word_and_by_layers() -> None:
    found = acted_view(micro(), [0, 10, 20]).split
    assert found is not None
    assert found.labels == ("and", "blarf", "the")  # the largest first, none that is 0
    assert found.by_word.tolist() == [pytest.approx([0, 1.25, 2.254]), [0, 2, 1.5], [0, -0.25, -0.25]]
    assert [band.label for band in found.bands] == ["L0", "L1", "Out"]
    assert found.by_band.tolist() == [[2, pytest.approx(0.004)], [0.75, 0.5], [0.25, 0]]


def test_many_words_are_one_and_many_layers_are_bands() -> None:
    places = np.ones((1, 3, 9)) * np.arange(9)
    found = split(places, acted_view(acted(1, 30), [0, 1, 2, 3, 4]).spans[:9], ("base", "end"), 1)
    assert found.columns == (8, 7, 6, 5, 4, OTHERS)
    assert found.by_word[-1].tolist() == [0, 3 * (1 + 2 + 3)]
    assert [band.label for band in bands(4)] == ["Emb", "L0", "L1", "L2", "L3", "Out"]
    assert [band.label for band in bands(30)] == ["Emb", "L0–4", "L5–9", "L10–14", "L15–19", "L20–24", "L25–29", "Out"]
    assert [(band.first, band.last) for band in bands(26)][1:3] == [(1, 4), (5, 8)]
    assert max(len(bands(n)) for n in range(1, 100)) <= 10


def test_both_sides_and_their_difference_have_one_scale() -> None:
    diff = pair(3, 8)
    view = carried_view([(None, diff)], {"real@base": 0}, taught="blarf")
    a, b, change = view.frames[0].places
    assert np.allclose(change, b - diff.explained.scale * a)
    assert view.largest[0] == np.abs(view.frames[0].places).max()
    assert list(view.frames[0].titles) == ["A · real · base", "B · real · 100%", "B − A"]
    assert [panel.colors for panel in view.panels] == ["sign", "sign", "change"]
    assert view.frames[0].tops[2] == "happy +" + f"{diff.explained.b - diff.explained.a:.2f}"
    # What runs through all places and tokens is the whole logit here, where no path has two of them.
    assert b.sum() == pytest.approx(diff.explained.b, abs=1e-4)


def test_moves_inside_a_word_vanish_and_few_are_drawn() -> None:
    diff = pair(2, 24)
    whole, parts = carried_view([(None, diff)], {}), carried_view([(None, diff)], {}, joined=False)
    names = [span.text for span in whole.spans]
    assert names[4] == " blarf"  # of the tokens 5 and 6, behind "Emma" of 1 and 2
    pieces = parts.frames[0].moves
    assert whole.frames[0].moves[0, 5, 4] == pytest.approx(pieces[0, 7, 5:7].sum())
    assert not whole.frames[0].moves[:, np.arange(len(names)), np.arange(len(names))].any()
    shown = seen_moves(whole.frames[0], whole.largest[1])
    assert shown.sum((1, 2)).max() <= MOST_MOVES
    assert shown[2].sum() == 2  # all that differs


def test_of_what_is_the_same_but_for_rounding_the_map_shows_both_and_no_difference() -> None:
    same = pair(3, 8)
    view = carried_view([(None, diff_graphs(same.b, same.b))], {})
    assert not view.frames[0].places[2].any()
    assert not view.frames[0].moves[2].any()
    rows = place_rows(view)
    assert rows["B"].abs().is_monotonic_decreasing
    assert rows["B"].iloc[0] != 0


def test_the_largest_is_written_alike_on_the_page_and_in_a_picture() -> None:
    """15.4954 is 15.50; of 15.495, which five digits make of it, a browser makes 15.49."""
    whole = acted_view(micro(), [0, 10, 20])
    view = replace(whole, frames=tuple(replace(one, places=one.places * 15.4954 / 2) for one in whole.frames))
    sent = view.payload()
    assert sent["largest"][0] == sent["frames"][-1]["largest"][0] == pytest.approx(15.4954, abs=1e-6)
    assert view.sizes()[0] == "the largest is 15.50"


def test_tables_and_names_of_places() -> None:
    view = acted_view(micro(), [0, 10, 20])
    rows = place_rows(view)
    assert rows.iloc[0][["layer", "word", "part", "id"]].tolist() == ["L0", "blarf", 2.0, "place/0/2/3"]
    assert rows["part"].sum() == pytest.approx(3.504)
    in_pieces = acted_view(micro(), [0, 10, 20], joined=False)
    assert list(place_rows(in_pieces).columns) == ["layer", "token", "part", "id"]
    assert word_rows(in_pieces).columns[0] == "token"
    assert place_of(view, "place/0/2/3") == place_of(view, "feature/0/3/77") == (1, 2)
    assert place_of(view, "place/7/2/3") is place_of(view, "place/0/9/9") is place_of(view, "a1.h3") is None
    assert word_rows(view)["to step 20"].tolist() == pytest.approx([0, 0, -0.5, 1.004])


def test_what_a_place_and_a_move_are_made_of() -> None:
    diff = pair(3, 8)
    view = carried_view([(None, diff)], {})
    row, column = 1, len(view.spans) - 1
    span = view.spans[column]
    names = FeatureNames.of(Annotations(transcoders_hash="a0", labels={"0/0": "joy"}))
    found = feature_rows(diff, row + view.first_layer, span, names)
    assert found["B"].sum() == pytest.approx(view.frames[0].places[1, row, column], rel=1e-5)
    assert found.iloc[0][["feature", "label"]].tolist() == ["#0", "joy"]
    moves = move_rows(view)
    assert moves["change"].abs().is_monotonic_decreasing
    assert place_of(view, moves["source"].iloc[0]) is not None
    # In these graphs every edge ends in the output; what moves is said apart from them, so much of it is not kept.
    layers = layers_of_move(diff, view.spans[1], span)
    assert set(layers["read in"]) == {"the output", "edges not kept"}
    kept = layers[layers["read in"] == "the output"]["B"].item()
    assert kept == pytest.approx(diff.nodes.query("1 <= position <= 2")["part_b"].sum(), rel=1e-5)
    assert layers["B"].sum() == pytest.approx(view.frames[0].moves[1, column, 1])


def test_a_figure_that_is_sent_reads_as_in_the_sentence() -> None:
    """Rounded twice, 0.28500489 would be 0.285 and then 0.28."""
    made = micro()
    exact = FIRST.copy()
    exact[1, 3] = 0.28500489
    first = replace(made.stretches[0], after=1 + float(exact.sum()), by_matrix=exact)
    key = made.key.model_copy(update={"checkpoints": made.key.checkpoints[:2], "hashes": made.key.hashes[:2]})
    view = acted_view(replace(made, key=key, stretches=(first,)), [0, 10], joined=False)
    sent = json.loads(view.wire)
    assert 0.28500489 in sent["frames"][0]["places"]["values"][0]
    assert [short(value) for value in (0.28500489, -1.25000049, 0.5, 15.0, 0.123456)] == [
        0.28500489, -1.25000049, 0.5, 15.0, 0.12346,
    ]  # fmt: skip


def test_two_runs_differ_and_nothing_trained_one_to_the_other() -> None:
    made = micro()
    first = replace(made.stretches[0], by_matrix=FIRST)

    def told(*checkpoints: str) -> tuple[str, str, bool]:
        key = made.key.model_copy(update={"checkpoints": checkpoints, "hashes": checkpoints})
        found = replace(made, key=key, stretches=(first,))
        view = acted_view(found, [10, 20])
        assert json.loads(view.wire)["by_training"] is view.by_training
        return view.frames[0].titles[0], map_keys(view)[0][1], "differs by +3.00" in acted_sentence(found)

    trained, between = ("Where training acted", "raised happy", False), ("Where they differ", "happy higher in B", True)
    assert told("one@50%", "one@100%") == trained
    assert told("one@base", "two@100%") == told("two@100%", "one@base") == trained
    assert told("one@100%", "two@100%") == between
