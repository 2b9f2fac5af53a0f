"""What a feature is called: a person's label, else the automatic one, else its number; short, and in one direction."""

import pytest

from engine.domain.annotations import Annotations
from engine.domain.feature_names import SHORT, AutomaticLabels, FeatureNames, FoundLabels, shortest, written_out
from engine.figures.names import feature_name, node_name

SET = "ab12"
TOKENS: dict[str, tuple[list[str], list[str]]] = {
    "3/566": (["blarf", "glad"], ["happy", "joy"]), "0/1": (["and"], []), "0/2": ([], ["glad"]), "0/3": ([], []),
}  # fmt: skip


def names(written: dict[str, str] | None = None) -> FeatureNames:
    labels = AutomaticLabels(transcoders_hash=SET).added(FoundLabels(("one@base", "one@100%"), 5213, TOKENS))
    return FeatureNames.of(Annotations(transcoders_hash=SET, labels=written or {}), labels)


def test_what_a_person_wrote_comes_before_the_automatic_label_and_the_number_is_last() -> None:
    written = names({"3/566": "gladness"}).label(3, 566)
    assert written
    assert (written.text, written.automatic) == ("gladness", False)
    found = names().label(3, 566)
    assert found
    assert found.measured
    assert (found.text, found.automatic) == ("blarf, glad → happy, joy", True)
    assert (found.measured.checkpoints, found.measured.n_tokens) == (("one@base", "one@100%"), 5213)
    assert names().label(9, 9) is None
    assert names().label(0, 3) is None  # measured, and nothing stands out
    assert names().automatic.has(0, 3)
    assert not names().automatic.has(9, 9)
    whole = AutomaticLabels(transcoders_hash=SET).added(FoundLabels(("one@base",), 10, TOKENS, whole=True))
    assert whole.has(9, 9)  # of the others nothing stands out
    assert "0/3" not in whole.measured[0].labels


def test_in_text_a_person_s_words_are_quoted_and_the_number_stays() -> None:
    assert feature_name(names({"3/566": "gladness"}), 3, 566) == "“gladness” (566)"
    assert feature_name(names(), 3, 566) == "blarf, glad → happy, joy (566)"
    assert [feature_name(names(), 0, index) for index in (1, 2, 3)] == ["on and (1)", "→ glad (2)", "feature 3"]
    assert feature_name(None, 3, 566) == "feature 566"
    assert node_name("feature", 3, "and", 566, names()) == "L3 · and · blarf, glad → happy, joy (566)"
    assert node_name("token", -1, "and", 566, names()) == "token and"


def test_the_first_measurement_of_a_feature_holds() -> None:
    twice = names().automatic.added(
        FoundLabels(("two@base",), 10, {"3/566": (["other"], []), "2/2": (["new"], ["glad"])})
    )
    again = FeatureNames.of(Annotations(transcoders_hash=SET), twice)
    assert again.label(3, 566) == names().label(3, 566)
    label = again.label(2, 2)
    assert label
    assert label.measured
    assert (label.text, label.measured.checkpoints) == ("new → glad", ("two@base",))
    assert len(set(twice.tokens)) == len(twice.tokens)


def test_a_short_label_leaves_tokens_out_before_it_cuts_them() -> None:
    assert shortest(["blarf", "glad"], ["happy", "joy"]) == "blarf, glad → happy, joy"
    assert shortest(["blarf", "gladly"], ["happy", "joy"]) == "blarf → happy, joy"
    assert shortest(["blarf"], ["happiness", "joyfully"]) == "blarf → happiness"
    long = shortest(["incomprehensible"], ["extraordinarily"])
    assert long == "incompreh… → extraordi…"
    assert shortest([], ["extraordinarilylongtoken"]) == "→ extraordinarilylongt…"
    assert all(len(shortest(a, b)) <= SHORT for a in ([], ["x" * 40]) for b in ([], ["y" * 40]) if a or b)


@pytest.mark.parametrize(("active", "promoted"), [(["سعيد"], ["فرح"]), (["שמח"], ["joy"]), ([], ["שמח", "אושר"])])
def test_words_from_right_to_left_do_not_turn_the_arrow_around(active: list[str], promoted: list[str]) -> None:
    """Between two strong marks of left-to-right the arrow and the comma keep that direction (Unicode annex 9)."""
    text = written_out(active, promoted)
    for mark in ("→", ","):
        if mark in text:
            before, after = text.split(mark)
            assert not before.strip() or before.rstrip().endswith("\u200e")
            assert after.lstrip().startswith("\u200e")
    assert "\u200e" not in written_out(["blarf"], ["happy"])
