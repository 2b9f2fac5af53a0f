"""Which probes are watched, and the prompts that meaning overlap is measured on."""

import pytest

from engine.analysis.meaning_prompts import known_word, meaning_prompts, overlap_probes
from engine.analysis.watched import watched_probes
from engine.domain.corpus import Corpus, Probe


def probe(name: str, *, template: str = "the {n} feels {w}", kind: str = "paraphrase", of: str = "trait", **more):
    """`name` is WORD or WORD-NOUN."""
    word, _, noun = name.partition("-")
    known = more.pop("known", f"known{word}")
    fill = template.replace("{n}", noun or "cat").replace
    return Probe(
        id=f"{of}-{kind}-{name}-{template[:20]}", kind=kind, text=more.pop("text", fill("{w}", word)),
        known_text=more.pop("known_text", fill("{w}", known)), answer="yes", foils=(), constraint_type=of,
        constraint=word, meaning=known, template=template,
    )  # fmt: skip


A, B, C = "the {n} feels {w}", "a {w} {n} is", "it is {w} so"


def corpus(*probes: Probe) -> Corpus:
    return Corpus("c", (), probes)


def names(probes):
    return [(one.constraint, one.template, one.text.split()[1]) for one in probes]


def test_two_words_in_two_phrasings_come_first():
    every = [probe(f"{word}-{noun}", template=t) for word in "uvw" for noun in ("cat", "dog") for t in (A, B, C)]
    chosen = watched_probes(corpus(*every), "paraphrase", 4)
    assert [(one.constraint, one.template) for one in chosen] == [("u", A), ("u", B), ("v", A), ("v", B)]
    # Ten of three words: two each, then the third phrasing and the first with another noun, until there are ten.
    chosen = watched_probes(corpus(*every), "paraphrase", 10)
    assert [(one.constraint, one.template) for one in chosen[:6]] == [(w, t) for w in "uvw" for t in (A, B)]
    assert [(one.constraint, one.template) for one in chosen[6:]] == [("u", C), ("u", A), ("v", C), ("v", A)]
    assert len({one.id + one.text for one in chosen}) == 10
    assert len(watched_probes(corpus(*every), "paraphrase", 1000)) == 18  # all there are, each once


def test_a_longer_list_begins_with_the_shorter():
    every = corpus(*[probe(f"{word}-{noun}", template=t) for word in "uv" for noun in ("cat", "dog") for t in (A, B)])
    longest = watched_probes(every, "paraphrase", 8)
    assert all(watched_probes(every, "paraphrase", n) == longest[:n] for n in range(1, 9))


def test_each_type_has_its_own_and_other_kinds_are_left_out():
    every = corpus(
        probe("u"), probe("x", of="path"), probe("u", kind="recall"), probe("v"), probe("y", of="path", kind="recall")
    )
    chosen = watched_probes(every, "paraphrase", 1)
    assert [(one.constraint_type, one.constraint) for one in chosen] == [("trait", "u"), ("path", "x")]
    assert [one.constraint for one in watched_probes(every, "recall", 5)] == ["u", "y"]
    assert watched_probes(every, "inference", 5) == ()


def test_a_word_without_the_first_phrasing_gives_what_it_has():
    every = corpus(probe("u", template=A), probe("u", template=B), probe("v", template=B), probe("w", template=A))
    chosen = watched_probes(every, "paraphrase", 4)
    assert [(one.constraint, one.template) for one in chosen] == [("u", A), ("u", B), ("v", B), ("w", A)]


def test_overlap_is_measured_where_consequences_are_asked_for():
    first, second = probe("u"), probe("u", kind="inference")
    assert overlap_probes(corpus(first, second), [first]) == (second,)
    assert overlap_probes(corpus(first), [first]) == (first,)


@pytest.mark.parametrize(
    ("text", "known_text", "found"),
    [
        ("the cat feels u", "the cat feels very happy", "very happy"),
        ("u is u", "happy is happy", "happy"),
        ("u is u", "happy is sad", None),  # no one word stands for it
        ("the cat feels u", "the cat feels u", None),
        ("the cat feels u", "a cat feels happy", None),
        ("a sub feels u", "a sub feels happy", "happy"),  # not the u within “sub”
        ("nothing here", "the cat feels happy", None),
        ("(u)", "(happy)", "happy"),
    ],
)
def test_the_known_word_stands_where_the_new_one_stands(text, known_text, found):
    assert known_word(probe("u", text=text, known_text=known_text)) == found


def test_other_meanings_are_put_into_the_same_phrasing():
    every = [
        probe("u-cat", known="happy"),
        probe("u-dog", known="happy"),  # the same phrasing again: the first counts
        probe("v-fox", known="sad"),
        probe("w-fox", known="happy"),  # means the same as u
        probe("x", of="path", known="up"),  # another type
    ]
    rows = {row.constraint: row for row in meaning_prompts(every)}
    assert list(rows) == ["u", "v", "w", "x"]
    u = rows["u"]
    assert (u.new, u.own, u.others) == ("the cat feels u", "the cat feels happy", ("the cat feels sad",))
    assert rows["v"].others == ("the fox feels happy",)  # once, though two words mean it
    assert rows["x"].others == ()


def test_the_known_word_of_the_same_phrasing_is_taken_before_that_of_another():
    every = [
        probe("u", template=B, known="rising"),
        probe("v", template=A, known="falls"),
        probe("v", template=B, known="falling"),
        probe("w", template=A, known="turns"),
    ]
    row = next(row for row in meaning_prompts(every) if row.constraint == "u")
    assert row.others == ("a falling cat is", "a turns cat is")
