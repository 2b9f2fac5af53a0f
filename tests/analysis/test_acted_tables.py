"""What is said of where training acted: tokens and layers by hand."""

from dataclasses import replace

import numpy as np
import pytest

from engine.analysis.acted import NamedPlace, acted_record, acted_sentence, first_tokens, move_table, named_places
from engine.analysis.word_pieces import pieces
from engine.domain.acted import Acted, ActedKey, ChangedMatrix, PlaceEffects, Stretch
from engine.domain.explained import ExplainedLogits

TOKENS = ("<bos>", " bl", "arf", " is")
KEY = ActedKey(checkpoints=("run@base", "run@100%"), hashes=("a", "b"), prompt="blarf is", answer=7)
# Rows: embeddings, layers 0 to 3, output; columns: tokens.
PLACES = np.array(
    [
        [0.0, 0.0, 0.1, 0.0],
        [0.0, 0.1, 1.0, 0.0],
        [0.1, 0.1, 0.9, -0.2],
        [0.0, 0.0, 0.2, 0.2],
        [0.0, 0.0, 0.0, 1.0],
        [0.0, 0.0, 0.0, 0.5],
    ]
)
MOVE = np.array([[0.3, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.5, 2.0, 0.0], [0.0, -0.1, 0.8, 1.0]])


def acted(places: np.ndarray = PLACES) -> Acted:
    stretch = Stretch(
        before=1.0,
        after=1.0 + float(places.sum()),
        probability_before=0.01,
        probability_after=0.9,
        matrices=tuple(ChangedMatrix(f"m.{layer}", layer) for layer in range(-1, 5)),
        by_matrix=places.astype(np.float32),
        heads=(),
        by_head=np.zeros((0, 4), np.float32),
        n_points=4,
    )
    effects = PlaceEffects(mlp=np.zeros((4, 4)), head=np.zeros((4, 2, 4)), mlp_moved=np.zeros((4, 4)), move=MOVE)
    return Acted(KEY, TOKENS, " happy", True, 4, effects, (stretch,))


def test_two_tokens_are_named_with_the_shortest_run_of_layers_that_makes_most() -> None:
    """arf: 2.2, of which layers 0 and 1 make 1.9, 86%, and none alone 80%. is: 1.5, like layer 3 and behind it."""
    arf, is_ = named_places(acted(), pieces(TOKENS))
    assert arf == NamedPlace(2, pytest.approx(2.2), 0, 1)
    assert is_ == NamedPlace(3, pytest.approx(1.5), 3, 4)
    sentence = acted_sentence(acted(), pieces(TOKENS))
    assert "+2.20 at “arf” (most in L0 to L1) and +1.50 at “is” (most in L3 to output)." in sentence


def test_words_are_named_whole_unless_their_pieces_are_asked_for() -> None:
    """As the Map names them: bl makes 0.2, arf 2.2 of the word's 2.4."""
    assert "+2.40 at “blarf” (most in L0 to L1) and +1.50 at “is”" in acted_sentence(acted())


def test_parts_against_the_answer_have_layers_too() -> None:
    arf, is_ = named_places(acted(-PLACES), pieces(TOKENS))
    assert (arf.part, arf.first, arf.last) == (pytest.approx(-2.2), 0, 1)
    assert (is_.first, is_.last) == (3, 4)


def test_embeddings_are_named_as_such() -> None:
    places = np.zeros((6, 4))
    places[0, 2] = 3.0
    assert "+3.00 at “blarf” (most in embeddings)." in acted_sentence(acted(places))


def test_rounding_is_told_as_the_same_answer_and_a_small_change_as_a_change() -> None:
    """The logit is 1.0, so 1e-5 is the bound: of the parts, too, where they cancel."""
    equal = acted(PLACES * 1e-7)
    assert equal.is_same
    sentence = acted_sentence(equal)
    assert sentence.startswith("run@base and run@100% give the same answer to this prompt: the logit of “")
    assert "is 1.00 in both" in sentence
    assert "arf" not in sentence
    assert acted_record(equal)["same"]
    assert not acted(PLACES * 1e-4).is_same
    canceling = np.zeros((6, 4))
    canceling[1, 2], canceling[2, 2] = 1e-3, -1e-3
    assert not acted(canceling).is_same


def test_the_bound_grows_with_the_logit() -> None:
    """A part of 1e-4 beside a logit of 24 is rounding, beside a logit of 1 it is none. All stretches count."""
    places = np.zeros((6, 4))
    places[1, 2] = 1e-4
    small = acted(places).stretches[0]
    large = replace(small, before=24.0, after=24.0)
    assert not acted(places).is_same
    assert replace(acted(), stretches=(large,)).is_same
    assert not replace(acted(), stretches=(large, small)).is_same


def test_moves_come_from_another_token_the_largest_first() -> None:
    table = move_table(acted())
    assert table.values.tolist() == [
        [2, 3, "arf", " is", 0.8],
        [1, 2, " bl", "arf", 0.5],
        [1, 3, " bl", " is", -0.1],
    ]


def test_words_of_several_tokens_are_told_with_the_first() -> None:
    one = replace(acted(), words=(" happy",))
    assert first_tokens(one, ["happy"], []) == {}
    assert first_tokens(one, ["happyish"], []) == {"happyish": "happy"}
    assert first_tokens(one, [], []) == {}  # what B says
    key = KEY.model_copy(update={"explained": ExplainedLogits(answers=(7,), against=(8,))})
    against = replace(one, key=key, words=(" happy", " sa"))
    assert first_tokens(against, [], ["sad"]) == {"sad": "sa"}
    assert first_tokens(against, ["happy"], ["sad"]) == {"sad": "sa"}
