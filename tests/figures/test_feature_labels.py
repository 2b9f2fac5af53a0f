"""Which tokens make an automatic label: by hand, and held to what is written for people. The browser says the same."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.domain.annotations import Annotations
from engine.domain.feature_names import AutomaticLabels, FeatureNames, FoundLabels
from engine.figures.feature_labels import chance, most_active_on, promoted
from engine.figures.names import node_name


def test_a_token_is_named_by_its_share_of_the_activation_at_the_strongest_places() -> None:
    tokens = ["blarf", "glad", "blarf", "the"]
    assert most_active_on(tokens, tokens, [4, 3, 2, 1]) == ("blarf", "glad")  # 6, 3 and 1 of 10: the last is too little
    assert most_active_on(tokens, tokens, [4, 3, 2, 1.8]) == ("blarf", "glad", "the")
    assert most_active_on(["glad", "blarf", "the"], ["glad", "blarf", "the"], [3, 3, 0.5]) == ("glad", "blarf")  # a tie


def test_nothing_is_named_where_places_are_few_or_mixed() -> None:
    assert most_active_on(["blarf"] * 2, ["blarf"] * 2, [9, 9]) == ()
    assert most_active_on([], [], []) == ()
    many = [f"w{number}" for number in range(8)]
    assert most_active_on(many, many, [1] * 8) == ()  # 1/8 each
    four = many[:4] * 2
    assert most_active_on(four, four, [1] * 8) == ("w0", "w1", "w2")  # 1/4 each, three of which are half and more


def test_ways_to_write_a_token_count_as_one_and_pieces_are_shown_as_words() -> None:
    assert most_active_on([" happy", "Happy", "▁HAPPY"], [" happy", "Happy", "HAPPY"], [3, 2, 1]) == ("happy",)
    assert most_active_on(["arf"] * 3, ["blarf"] * 3, [3, 2, 1]) == ("blarf",)
    assert most_active_on(["ness"] * 3, ["sadness", "gladness", "ness"], [3, 2, 1]) == ("ness",)  # it is a word as well
    assert most_active_on(["ness"] * 3, ["sadness", "gladness", "gladness"], [3, 2, 1]) == ("…ness",)


def test_promoted_tokens_come_close_to_the_first() -> None:
    assert promoted(["a", "b", "c"], [9, 5, 4.4]) == ("a", "b")  # 4.4 is less than half of 9
    assert promoted(["a", "b", "c", "d"], [9, 8, 7, 6]) == ("a", "b", "c")
    assert promoted([], []) == ()
    assert chance(100) == pytest.approx(3.035, abs=1e-3)


def written(tokens: list[str]) -> tuple[str, ...]:
    return promoted(tokens, [1.0] * len(tokens))


def test_tokens_are_written_so_that_people_can_read_them() -> None:
    assert written([" happy", "happy", " Happy", " glad", " joy", " fun"]) == ("happy", "glad", "joy")
    assert written([",", "\n", " ("]) == ("“,”", "“↵”", "“(”")
    assert written(["\ufffd", "a\ufffd", "", "  "]) == ("“␣␣”",)  # half characters say nothing
    assert written(["x\u202ey", "\x00"]) == ("xU+202Ey", "U+0000")  # nothing turns or hides the text around it
    assert written(["سعيد"]) == ("سعيد",)
    assert written(["incomprehensibilities"]) == ("incomprehensibi…",)
    assert written(["<script>alert(1)</script>"]) == ("<script>alert(1…",)  # data; who draws it escapes it


@pytest.mark.skipif(shutil.which("node") is None, reason="runs the component's own script, which needs node")
def test_the_component_calls_nodes_what_everything_else_calls_them() -> None:
    names = FeatureNames(
        Annotations(transcoders_hash="ab", labels={"0/1": "joy"}),
        AutomaticLabels(transcoders_hash="ab").added(
            FoundLabels(("run@base",), 9, {"0/1": (["x"], []), "3/566": (["blarf"], ["happy"]), "0/2": ([], [])})
        ),
    )
    features = [(0, 1), (3, 566), (0, 2), (7, 7)]
    called = {feature: node_name("feature", feature[0], "and", feature[1]) for feature in features}
    nodes = [
        {"kind": "feature", "layer": layer, "index": index, "token": "and", "label": called[layer, index]}
        for layer, index in features
    ]
    sent = {"labels": {"0/1": "joy"}, "automatic": {"3/566": ["blarf → happy", "…"]}, "supernodes": []}
    folder = Path(__file__).parents[2] / "assets" / "graph"
    script = (folder / "scene.js").read_text(encoding="utf-8")
    asked = f"console.log(JSON.stringify(withNotes({json.dumps(nodes)}, {json.dumps(sent)}).map(nameOf)))"
    run = subprocess.run(["node", "-e", f"{script}\n{asked}"], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == [node_name("feature", layer, "and", index, names) for layer, index in features]
