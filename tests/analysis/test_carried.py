"""What a difference explains and what its change came through, said of graphs whose parts are worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
from micro_graphs import F, T, Y, graph_of, micro_a, micro_b, probe

from engine.analysis.aggregate import aggregate
from engine.analysis.carried import carried_sentence, explained_sentence, sentences
from engine.analysis.diff import diff_graphs
from engine.analysis.parts import explaining
from engine.analysis.word_pieces import pieces
from engine.domain.diffs import DiffSettings, GraphDiff, edge_effect
from engine.domain.explained import ExplainedLogits
from engine.domain.graphs import AttributionGraph

# rows: 0 a feature at the word, 1 and 2 at the end (layers 0 and 1), 3 and 4 the tokens, 5 and 6 the outputs
NODES = [(F, 0, 0, 7), (F, 0, 1, 8), (F, 1, 1, 9), (T, -1, 0, 3), (T, -1, 1, 4), (Y, 2, 1, 50), (Y, 2, 1, 51)]


def side(
    up: float,
    across: float,
    rest: float,
    *,
    steady: float = 10.0,
    other: float = 0.0,
    tokens: tuple[str, str] = ("glim", "and"),
) -> AttributionGraph:
    """Parts of the logit of “above”. `up`: from “and” through its feature 9; `across`: from “glim” through 8, at “and”;
    `steady`: straight from “and”; `rest`: constant. `other`: straight from “and” to “below”, whose logit is 1."""
    edges = [(4, 2, 1.5), (2, 5, up), (3, 1, 1.5), (1, 5, across), (4, 5, steady), (4, 6, other), (3, 0, 1.5)]
    made = graph_of(
        NODES, [edge for edge in edges if edge[2]], tokens=tokens, outputs=("above", "below"), probability=(0.6, 0.2),
        n_layers=2,
    )  # fmt: skip
    return replace(made, target_logit=np.array([up + across + steady + rest, 1.0], np.float32))


def said(a: AttributionGraph, b: AttributionGraph, explained: ExplainedLogits | None = None) -> str:
    _, text = sentences(diff_graphs(a, b, DiffSettings(explained=explained)))
    return "".join(piece for piece, _ in text)


def test_a_rise_of_which_most_came_through_one_place() -> None:
    assert said(side(1, 0, 1), side(4, 1, 2)) == (
        "Explained is the logit of above, minus the mean logit: 12.00 in A, 17.00 in B. Of the +5.00, "
        "among the layers most came through layer 1 at “and”: +3.00 "
        "(+2.00 did not); between words most came from “glim” to “and”: +1.00 (+4.00 did not)."
    )


def test_parts_that_cancel_are_told_by_what_all_else_takes_back() -> None:
    assert said(side(1, 0, 1), side(9, -4, -1)) == (
        "Explained is the logit of above, minus the mean logit: 12.00 in A, 14.00 in B. Of the +2.00, "
        "among the layers most came through layer 1 at “and”: +8.00 "
        "(−6.00 did not)."
    )


def test_what_works_against_the_whole_is_told_where_it_is_the_largest() -> None:
    assert said(side(1, 0, 1), side(6, -7, 8)) == (
        "Explained is the logit of above, minus the mean logit: 12.00 in A, 17.00 in B. Of the +5.00, "
        "among the layers most came through layer 1 at “and”: +5.00 "
        "(0.00 did not), against −7.00 through layer 0 at “and”."
    )


def test_a_logit_that_fell() -> None:
    assert said(side(4, 1, 2), side(1, 0.5, 0.5)) == (
        "Explained is the logit of above, minus the mean logit: 17.00 in A, 12.00 in B. Of the −5.00, "
        "among the layers most came through layer 1 at “and”: −3.00 "
        "(−2.00 did not); between words most came from “glim” to “and”: −0.50 (−4.50 did not)."
    )


def test_nothing_changed() -> None:
    assert said(side(1, 1, 1), side(1, 1, 1.001)).endswith(
        "Neither it nor what runs through any one place changed by as much as counts."
    )


def test_nothing_but_rounding_differs() -> None:
    """By a thousandth of a thousandth of a part: it is said of no place, and nothing is a change."""
    a, b = side(1, 1, 1), side(1 + 1e-6, 1 - 1e-6, 1)
    diff = diff_graphs(a, b)
    assert said(a, b) == (
        "Explained is the logit of above, minus the mean logit: 13.00 in both. A and B give the same answer to this "
        "prompt, and nothing in "
        "their graphs differs by more than rounding."
    )
    assert not edge_effect(diff.edges).any()
    assert not diff.edges["change"].any()
    assert set(diff.edges["status"]) == set(diff.nodes["status"]) == {"unchanged"}
    assert diff.edges["flow_b"].abs().is_monotonic_decreasing
    assert diff.edges.set_index("source").loc["feature/1/1/9", ["flow_a", "flow_b"]].tolist() == pytest.approx([1, 1])


@pytest.mark.parametrize("b", [side(1, 1, 1.001), side(1.1, 0.9, 1)])
def test_a_logit_or_a_part_that_moved_is_no_rounding(b: AttributionGraph) -> None:
    assert not diff_graphs(side(1, 1, 1), b).explained.is_same


def test_a_logit_that_stayed_while_what_carries_it_did_not() -> None:
    assert said(side(1, 3, 1), side(3, 1, 1)).endswith(
        "It hardly changed (0.00), but what carries it did: −2.00 came through layer 0 at “and” (+2.00 did not)."
    )


def test_only_constants_rose() -> None:
    assert said(side(1, 1, 1), side(1, 1, 4)).endswith(
        "No one place and no step between words makes as much of its change as counts."
    )


def test_words_are_named_whole_in_graphs_as_in_the_map_and_pieces_are_called_tokens() -> None:
    """“ gl” and “im” are one word: what moves inside it is told only of its pieces."""
    of_two = (side(1, 0, 1), side(4, 1, 2))
    diff = diff_graphs(*(replace(one, tokens=("the", " gl", "im"), position=one.position + 1) for one in of_two))
    words, tokens = (
        "".join(text for text, _ in carried_sentence(diff, spans)) for spans in (None, pieces(diff.a.tokens))
    )
    assert words == "Of the +5.00, among the layers most came through layer 1 at “glim”: +3.00 (+2.00 did not)."
    assert tokens.endswith(
        "at “im”: +3.00 (+2.00 did not); between tokens most came from “gl” to “im”: +1.00 (+4.00 did not)."
    )


def test_a_contrast_and_a_mean() -> None:
    against = ExplainedLogits(answers=(50,), against=(51,))
    assert said(side(1, 0, 1), side(4, 0, 2, other=1), against) == (
        "Explained is above − below, in logits: 11.00 in A, 15.00 in B. Of the +4.00, "
        "among the layers most came through layer 1 at "
        "“and”: +3.00 (+1.00 did not)."
    )
    assert said(side(1, 0, 1), side(4, 0, 2), ExplainedLogits(answers=(50, 51))).startswith(
        "Explained is mean of above and below, in logits: 6.50 in A, 8.50 in B. Of the +2.00, "
        "among the layers most came through layer 1 at “and”: +1.50"
    )


def test_beyond_a_common_factor() -> None:
    # All doubled, but what comes across grew by one more.
    assert said(side(4, 1, 2), side(8, 3, 4, steady=20)) == (
        "Explained is the logit of above, minus the mean logit: 17.00 in A, 35.00 in B. Most of what enters it changed "
        "by one factor, ×2.00, "
        "which is no change. Of what changed beyond this, +1.00, "
        "among the layers most came through layer 0 at “and”: +1.00 (0.00 did not); "
        "between words most came from “glim” to “and”: +1.00 (0.00 did not)."
    )


def test_a_word_that_the_prompt_has_twice_is_told_by_its_position() -> None:
    twice = ("and", "and")
    text = said(side(1, 0, 1, tokens=twice), side(4, 1, 2, tokens=twice))
    assert "through layer 1 at “and” (1)" in text
    assert "from “and” (0) to “and” (1)" in text


@pytest.mark.parametrize("cut", ["a", "b"])
def test_of_a_graph_that_was_measured_after_it_was_cut_nothing_is_claimed(cut: str) -> None:
    graphs = {"a": side(1, 0, 1), "b": side(4, 1, 2)}
    graphs[cut] = replace(graphs[cut], is_whole=False)
    diff = diff_graphs(graphs["a"], graphs["b"])
    assert carried_sentence(diff) == ()
    assert explained_sentence(diff)
    assert not (diff.a if cut == "a" else diff.b).is_measured_whole


def test_of_many_prompts_only_what_is_explained_is_told() -> None:
    yes = DiffSettings(explained=ExplainedLogits(answers=(20,)))
    own = probe().model_copy(update={"template": "{w}", "constraint": "x"})
    mean: GraphDiff = aggregate([(own, diff_graphs(micro_a(), micro_b(), yes))])
    text = "".join(piece for piece, _ in sentences(mean)[1])
    assert text == "Explained is the mean logit of the right answer, minus the mean logit: 3.00 in A, 3.00 in B."


def test_an_output_by_its_word() -> None:
    assert explaining(side(1, 0, 1), " below ") == ExplainedLogits(answers=(51,))
    assert explaining(side(1, 0, 1), "beside") is None
