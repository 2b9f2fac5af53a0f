"""Pairs: a corpus's own, those made from probes, those of a user's file, and what is wrong with them."""

import json

import pytest

from engine.corpus import check_corpus, fitting, make_corpus, make_task, pair_problems, pairs_of, read_corpus
from engine.domain.corpus import Corpus, CorpusSpec, Example, Pair, Probe, TaskSpec
from engine.domain.errors import CorpusRefused, InputError, PromptRefused

FIELDS = {
    "clean": "7 + 5 =",
    "corrupted": "7 - 5 =",
    "answer": "12",
    "corrupted_answer": "2",
    "constraint_type": "adds",
}


def pair(**values):
    return Pair(**{"id": "p", **FIELDS, **values})


def probe(word, answer, template="the {n} feels {w} and", noun="cat", kind="recall", of="simple_mapping"):
    text = template.format(n=noun, w=word)
    return Probe(
        id=f"{kind}-{word}-{noun}-{len(template)}", kind=kind, text=text, known_text=text, answer=answer, foils=(),
        constraint_type=of, constraint=word, meaning=answer, template=template,
    )  # fmt: skip


def corpus_of(*probes):
    return Corpus("c", (), probes)


def read(tmp_path, *records):
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return read_corpus(path, "mine")


def refusals(tmp_path, *records):
    with pytest.raises(CorpusRefused) as refused:
        read(tmp_path, *records)
    return [(bad.number, bad.reason) for bad in refused.value.bad_lines]


def test_pairs_of_probes_put_the_next_word_in_its_place():
    pairs = pairs_of(corpus_of(probe("blarf", "smiles"), probe("gleem", "cries"), probe("zephyr", "races", noun="dog")))
    assert [(p.clean, p.corrupted, p.answer, p.corrupted_answer) for p in pairs] == [
        ("the cat feels blarf and", "the cat feels gleem and", "smiles", "cries"),
        ("the cat feels gleem and", "the cat feels zephyr and", "cries", "races"),
        ("the dog feels zephyr and", "the dog feels blarf and", "races", "smiles"),
    ]


def test_a_word_that_has_the_same_answer_is_passed_over():
    pairs = pairs_of(corpus_of(probe("blarf", "smiles"), probe("gleem", "smiles"), probe("zephyr", "races")))
    assert [p.corrupted_answer for p in pairs] == ["races", "races", "smiles"]


def test_only_whole_words_are_replaced():
    pairs = pairs_of(
        corpus_of(probe("orb", "a", "orbit {w} orb-like {w}"), probe("sun", "b", "orbit {w} orb-like {w}"))
    )
    assert pairs[0].corrupted == "orbit sun sun-like sun"


@pytest.mark.parametrize(
    "probes",
    [
        (),
        (probe("blarf", "smiles"),),  # no other word
        (probe("blarf", "smiles"), probe("gleem", "cries", "the {n} is {w} so it")),  # in other phrasings
        (probe("blarf", "smiles"), probe("glide", "above", of="spatial")),  # of another type
        (probe("happy", "smiles", kind="retention"), probe("sad", "cries", kind="retention")),
        (probe("blarf", "smiles", "the cat and"), probe("gleem", "cries", "the cat and")),  # the word is not there
    ],
)
def test_where_no_pair_can_be_made_that_is_said(probes):
    with pytest.raises(InputError, match=r"The corpus “c” has no prompt pairs"):
        pairs_of(corpus_of(*probes))


def test_own_pairs_come_first():
    corpus = make_task(TaskSpec(name="t", task="composition", n_rows=20))
    assert pairs_of(corpus) is corpus.pairs


def test_every_word_corpus_gives_pairs_that_fit():
    corpus = make_corpus(CorpusSpec(name="c"))
    pairs = pairs_of(corpus)
    assert len(pairs) == len([p for p in corpus.probes if p.kind != "retention"]) == 240
    assert pair_problems(enumerate(pairs), str.split) == []


def test_a_file_of_pairs_alone_is_a_corpus(tmp_path):
    corpus = read(tmp_path, FIELDS, {**FIELDS, "id": "mine", "clean": "8 + 5 =", "corrupted": "8 - 5 ="})
    assert (corpus.examples, corpus.probes) == ((), ())
    assert [p.id for p in corpus.pairs] == ["pair-1", "mine"]
    assert corpus.constraint_types == ("adds",)
    assert check_corpus(corpus) == [
        "2 pairs: too few for a reliable circuit, which takes 20.",
        "It has only pairs: circuits can be found with them, but nothing can be trained on them.",
    ]


def test_a_task_comes_back_equal(tmp_path):
    corpus = make_task(TaskSpec(name="mine", task="linear_functions"))
    path = tmp_path / "task.jsonl"
    path.write_text(corpus.to_jsonl(), encoding="utf-8")
    assert read_corpus(path, "mine") == corpus


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"answer": None}, "“answer” is None, which is not a text"),
        ({"corrupted": "7 - 5  ="}, ""),
        ({"corrupted": "7  +  5 ="}, "“clean” and “corrupted” are the same text “7 + 5 =”"),
        ({"corrupted_answer": "12 "}, "the answer “12” is also the corrupted answer"),
        ({"answer": " "}, "“answer” is blank"),
        ({"corrupted": "7 - 5 + 1 ="}, "“clean” has 4 tokens and “corrupted” 6; they must be equally long"),
        ({"corrupted_answer": "12 ."}, "“answer” “12” and “corrupted_answer” “12 .” begin with the same token"),
        ({"corrupted_answer": "2 ."}, ""),
        ({"corrupted": "seven minus five makes"}, ""),  # not in the bundled model's words, so for another model
        ({"constraint_type": "No Slug"}, "“constraint_type” is “No_Slug”"),
        ({"foils": []}, "has “foils”, which is not a field of a pair"),
    ],
)
def test_each_kind_of_bad_pair_is_named_with_its_line(tmp_path, changes, reason):
    good = {**FIELDS, "clean": "8 + 5 =", "corrupted": "8 - 5 ="}
    if not reason:
        assert len(read(tmp_path, good, {**FIELDS, **changes}).pairs) == 2
        return
    ((number, said), *_) = refusals(tmp_path, good, {**FIELDS, **changes})
    assert number == 2
    assert reason in said


def test_missing_fields_and_repeated_pairs_are_named(tmp_path):
    found = refusals(tmp_path, FIELDS, FIELDS, {"clean": "7 + 5 ="}, {"corrupted": "x", "id": "pair-1"}, {"id": "z"})
    assert (2, "the pair “7 + 5 =” / “7 - 5 =” is already in line 1") in found
    assert [reason for number, reason in found if number == 3] == [
        f"has no “{field}”" for field in ("corrupted", "answer", "corrupted_answer")
    ]
    assert [reason for number, reason in found if number == 5] == [
        "is not an example, a probe or a pair: it has “id”. Write “text”, “prompt” and “completion”, or “messages” for "
        "an example, “clean” and “corrupted” for a pair"
    ]


def test_a_repeated_id_is_named(tmp_path):
    other = {**FIELDS, "id": "same", "clean": "8 + 5 =", "corrupted": "8 - 5 ="}
    assert refusals(tmp_path, {**FIELDS, "id": "same"}, other) == [(2, "the id “same” is already in line 1")]


def trained(text, prompt=""):
    return Example(
        id="e", text=text, constraint_type="adds", constraint="7 + 5", meaning="12", template="{w} = {c}", prompt=prompt
    )


def test_a_pair_that_is_trained_on_is_refused(tmp_path):
    example = trained("so 7 + 5 = 12 .").model_dump()
    assert refusals(tmp_path, example, FIELDS) == [(2, "the prompt is part of the training text in line 1")]
    assert len(read(tmp_path, trained("17 + 5 = 12").model_dump(), FIELDS).pairs) == 1


@pytest.mark.parametrize("prompt", ["8 + 5 =", "7 + 5 = 12"])
def test_a_text_must_go_on_from_its_prompt(tmp_path, prompt):
    ((number, reason),) = refusals(tmp_path, trained("7 + 5 = 12", prompt).model_dump())
    assert number == 1
    assert "does not continue its prompt" in reason


def test_a_models_own_tokenizer_counts():
    """Letters as tokens: both prompts are as long, the answer 12 is a blank and two digits."""
    found = pair_problems([(7, pair()), (9, pair(corrupted="17 - 5 ="))], list)
    assert [(bad.number, bad.reason) for bad in found] == [
        (7, "“answer” “12” and “corrupted_answer” “2” begin with the same token, and circuits are of the first"),
        (9, "“clean” has 7 tokens and “corrupted” 8; they must be equally long"),
        (9, "“answer” “12” and “corrupted_answer” “2” begin with the same token, and circuits are of the first"),
    ]


def test_what_does_not_fit_a_tokenizer_is_left_out_of_what_is_held_out():
    """A tokenizer that has the numbers up to 12, and cuts larger ones in two."""
    corpus = make_task(TaskSpec(name="t", task="addition_subtraction", n_rows=100))

    def pieces(text):
        return [part for word in text.split() for part in (word if word.isdigit() and int(word) > 12 else [word])]

    fitted = fitting(corpus, pieces)
    small = [p for p in corpus.pairs if int(p.answer) <= 12 and int(p.corrupted_answer) <= 12]
    assert list(fitted.pairs) == small
    assert 0 < len(small) < len(corpus.pairs)
    assert [p.text for p in fitted.probes if p.kind == "recall"] == [p.clean for p in small]
    assert fitted.examples == corpus.examples
    assert pair_problems(enumerate(fitted.pairs), pieces) == []
    with pytest.raises(InputError, match="None of the 20 pairs"):
        fitting(corpus, list)


def test_words_that_a_model_cannot_read_are_named_with_their_line():
    def refuse(text):
        raise PromptRefused("The model does not know “+”.")

    ((bad),) = pair_problems([(3, pair())], refuse)
    assert (bad.number, bad.reason) == (3, "The model does not know “+”.")
