"""What is read off a held probe, and which places are put back, by hand."""

from engine.analysis.acted import NamedPlace, named_places
from engine.analysis.word_pieces import pieces
from engine.bench.english import Held, controls, first_paraphrases, patched
from engine.bench.rankings_real import named_rows
from tests.analysis.test_acted_tables import acted

HELD = Held(
    acted=acted(), word=(1, 2), by_all=1.0, by_mlps=0.7, one_by_one=(0.2, 0.9), controls=(0.0, 0.1)
)  # its tokens: <bos> bl arf is


def test_leaders_and_the_move_between_them() -> None:
    assert HELD.leaders == (2, 3)
    assert HELD.rank_of_move == 1


def test_the_named_layers_are_put_back_and_nothing_else() -> None:
    """arf in layers 0 and 1, is in layer 3 and at the output, which no layer is."""
    assert sorted(patched(named_places(HELD.acted, pieces(HELD.acted.tokens)), 4)) == [(0, 2), (1, 2), (3, 3)]


def test_controls_have_the_same_layers_at_tokens_that_are_not_named() -> None:
    named = [NamedPlace(2, 1.0, 0, 1), NamedPlace(7, 1.0, 3, 4)]
    found = [[(one.position, one.first, one.last) for one in pair] for pair in controls(named, (1, 2), 8)]
    assert found == [[(3, 0, 1), (5, 3, 4)], [(4, 0, 1), (6, 3, 4)]]


def test_rows_say_how_many_and_how_much() -> None:
    rows = {row.name: row.value for row in named_rows({"blarf": HELD}, "held out")}
    assert rows["1 words held out: last piece and last token lead the tokens"] == 1
    assert rows["1 words held out: MLPs alone take back, mean"] == 0.7
    assert rows["1 words held out: at the new word alone take back, least"] == 0.2
    assert rows["1 words held out: the same layers at other tokens take back, most"] == 0.1


def test_each_word_has_a_paraphrase() -> None:
    assert list(first_paraphrases(("plim", "blarf"))) == ["plim", "blarf"]
    assert len(first_paraphrases()) == 11
