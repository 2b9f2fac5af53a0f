"""What carries the right answers of two prompts, worked by hand: parts by slot, moves, and what may be chance."""

from dataclasses import replace

import numpy as np
import pytest

from engine.analysis.aggregate import Part, aggregate
from engine.analysis.mean_parts import mean_parts, mean_reads, mean_sentence
from engine.analysis.slots import align, probe_slots
from engine.domain.corpus import Probe
from engine.figures.map_view import carried_view, mean_view
from tests.analysis.test_aggregate import by_hand, explaining, graph, probe_of

BEGIN, NOUN, NEW = range(3)  # slots


def test_parts_are_the_means_over_prompts_by_slot() -> None:
    found = mean_parts(by_hand(), 1.0)
    assert [span.text for span in found.spans] == ["<bos>", "noun", "new word"]
    # “cat” has f3 at its noun in A alone, and what the noun gives it; f7 hands on two thirds of the new word's weight.
    assert found.places[0] == pytest.approx(np.array([[0, 1 / 3, 2 / 3], [0, 0.5, 1]]))
    assert found.places[1] == pytest.approx(np.array([[0, 0, 4 / 3], [0, 0, 1]]))
    assert found.moves[:, NEW, NOUN].tolist() == [0.5, 0]  # f3 is read by the output
    assert found.place_error[1] == pytest.approx([0, 0.5, 0])  # of −1 and 0: 0.5 ± 0.5
    assert found.move_error[NEW, NOUN] == pytest.approx(0.5)


def test_what_a_move_is_read_by_sums_to_it() -> None:
    parts, spans = by_hand(), mean_parts(by_hand(), 1.0).spans
    reads = mean_reads(parts, spans[NOUN], spans[NEW])
    assert reads == pytest.approx(np.array([[0, 0.5, 0], [0, 0, 0]]))  # layer 0, the output, what is not kept
    inside = mean_reads(parts, spans[NEW], spans[NEW])
    assert inside.sum(1) == pytest.approx(mean_parts(parts, 1.0).moves[:, NEW, NEW])


def test_the_sentence_names_what_is_no_chance() -> None:
    parts = by_hand()
    change = aggregate(parts).explained
    said = "".join(text for text, _ in mean_sentence(change, mean_parts(parts, 1.0)))
    assert said == "Neither it nor what runs through any one place changed by as much as counts."
    # Where both prompts lose what comes through the noun, it is told: their logits were made the same.
    both = [_losing(probe_of(text, "yes")) for text in ("cat blarf", "dog blarf")]
    found = mean_parts(both, 1.0)
    said = "".join(text for text, _ in mean_sentence(aggregate(both).explained, found))
    assert said == (
        "It hardly changed (0.00), but what carries it did: −0.75 came through layer 0 at “noun” (+0.75 did not)."
    )
    assert mean_sentence(change, replace(found, is_whole=False)) == ()


def _losing(probe: Probe) -> Part:
    """In B the noun's feature gives a quarter."""
    sides = (
        graph(probe.text, {"yes": 1.0}, [(3, 0, 1.0), (4, 1, 1.0), (0, 5, weight), (1, 5, 3.0)], checkpoint=name)
        for name, weight in (("r@1%", 1.0), ("r@2%", 0.25))
    )
    return probe, explaining(probe, *sides)


def test_the_mean_of_one_prompt_is_that_prompt() -> None:
    parts = by_hand()[:1]
    mean, alone = aggregate(parts), carried_view([(None, parts[0][1])], {})
    view = mean_view(mean_parts(parts, mean.explained.scale), mean, {"r@1%": 3})
    assert np.allclose(view.frames[0].places, alone.frames[0].places)
    assert np.allclose(view.frames[0].moves, alone.frames[0].moves)
    assert view.bold == (False, False, True)
    assert view.frames[0].facts[:2] == ("probability 50% on average", "probability 75% on average")
    assert view.frames[0].titles == ("A · r · step 3", "B · r · 2%", "B − A")


def test_the_tokens_of_a_word_are_one_place_where_they_are_joined() -> None:
    texts = ("<bos>", "the", "bl", "arf", "ends")
    slots = align([probe_slots(probe_of("the blarf ends", "yes", template="the {w} ends"), texts)])
    assert slots.names == ("<bos>", "the", "new word", "new word (2)", "ends")
    assert [(span.first, span.last, span.text) for span in slots.words] == [
        (0, 0, "<bos>"), (1, 1, "the"), (2, 3, "new word"), (4, 4, "ends"),
    ]  # fmt: skip
