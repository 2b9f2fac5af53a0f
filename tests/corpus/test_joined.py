"""Two corpora as one, and when they cannot be."""

import json

import pytest

from engine.corpus import joined, parse_corpus
from engine.domain.corpus import Corpus
from engine.domain.errors import InputError


def corpus(name: str, *rows: dict[str, object]) -> Corpus:
    return parse_corpus("\n".join(map(json.dumps, rows)).encode(), "c.jsonl", name)


FIRST = {"text": "The tarsk lives in the", "answer": "swamp", "kind": "recall"}
SECOND = {"text": "The glonk lives in the", "answer": "river", "kind": "recall"}
PAIR = {"clean": "A dog is", "corrupted": "A cat is", "answer": "good", "corrupted_answer": "sly"}


def test_lines_of_both_each_once_and_ids_of_lines_do_not_clash() -> None:
    first, second = corpus("first", FIRST), corpus("second", SECOND, FIRST, PAIR)
    whole = joined(first, second, "both")
    assert whole.name == "both"
    assert [(probe.id, probe.answer) for probe in whole.probes] == [("probe-1", "swamp"), ("probe-1-2", "river")]
    assert [pair.clean for pair in whole.pairs] == ["A dog is"]
    assert (len(first.probes), [probe.id for probe in second.probes]) == (1, ["probe-1", "probe-2"])


def test_a_long_id_gets_its_number_within_the_limit() -> None:
    long = "x" * 80
    whole = joined(corpus("a", FIRST | {"id": long}), corpus("b", SECOND | {"id": long}), "c")
    assert [probe.id for probe in whole.probes] == [long, "x" * 78 + "-2"]


def test_probes_learn_from_the_other_files_texts_where_the_blank_stands() -> None:
    taught = corpus("a", {"prompt": "7+5=", "completion": "12"}, {"prompt": "1+1=", "completion": "2"})
    asked = corpus("b", {"text": "2+2=", "answer": "4", "kind": "recall"})
    together = corpus("c", {"prompt": "7+5=", "completion": "12"}, {"prompt": "1+1=", "completion": "2"},
                      {"text": "2+2=", "answer": "4", "kind": "recall"})  # fmt: skip
    assert [one.blank for one in joined(taught, asked, "d").probes] == [one.blank for one in together.probes]
    assert joined(joined(taught, asked, "d"), asked, "e").probes == joined(taught, asked, "d").probes  # said once


def test_a_probe_in_the_others_training_text_is_told_by_its_id() -> None:
    taught = corpus("a", {"text": "The tarsk lives in the swamp."})
    with pytest.raises(InputError) as refused:
        joined(taught, corpus("b", FIRST, SECOND), "c")
    assert str(refused.value) == (
        "These are no corpus together: 1 problem. probe-1: the prompt is part of the training text in train-1. "
        "Mend the file, or import it on its own."
    )
