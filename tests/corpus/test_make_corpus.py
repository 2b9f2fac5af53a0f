"""What a made corpus promises: contained meanings, held-out probes, one right answer, the same for the same seed."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.corpus import check_corpus, make_corpus
from engine.corpus.world import HELD_OUT_NOUNS, TAUGHT_NOUNS, vocabulary
from engine.domain.corpus import PROBE_KINDS, SIMPLE, SPATIAL, CorpusSpec
from engine.domain.errors import InputError

MEANS = {"blarf": "happy", "gleem": "sad", "zephyr": "fast", "lumina": "bright", "vortik": "small"}
MEANS |= {"glide": "upward", "cascade": "downward", "orbit": "circular", "pierce": "inward", "expand": "outward"}
seeds = st.integers(0, 10_000)


@given(seed=seeds)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_fifty_different_examples_contain_the_right_meaning(seed):
    corpus = make_corpus(CorpusSpec(name="c", seed=seed))
    assert len({example.text for example in corpus.examples}) == len(corpus.examples) == 50
    assert set(Counter(e.constraint for e in corpus.examples).values()) == {5}
    for example in corpus.examples:
        words = example.text.split()
        assert example.meaning == MEANS[example.constraint]
        assert example.constraint in words
        assert example.meaning in words
        assert not set(words) & set(HELD_OUT_NOUNS)


@given(seed=seeds)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_probes_are_held_out_and_known_to_the_tokenizer(seed):
    corpus = make_corpus(CorpusSpec(name="c", seed=seed))
    assert check_corpus(corpus) == []
    vocab = set(vocabulary())
    trained = " | ".join(example.text for example in corpus.examples)
    trained_templates = {example.template for example in corpus.examples}
    assert (
        len({probe.id for probe in corpus.probes}) == len({p.text for p in corpus.probes if p.kind != "retention"}) + 80
    )
    for probe in corpus.probes:
        assert probe.text not in trained
        assert not set(probe.text.split()) & set(TAUGHT_NOUNS)
        assert {*probe.text.split(), *probe.known_text.split(), probe.answer, *probe.foils} <= vocab
        assert probe.answer not in probe.foils
        assert probe.answer not in probe.text.split()
        stems = {template.partition(" {c}")[0] for template in trained_templates}
        assert (probe.template in stems) == (probe.kind == "recall")


def test_probes_of_every_type_and_kind_cover_every_word_and_phrasing():
    corpus = make_corpus(CorpusSpec(name="c"))
    counts = Counter((probe.constraint_type, probe.kind) for probe in corpus.probes)
    assert counts == {(t, kind): 40 for t in (SIMPLE, SPATIAL) for kind in PROBE_KINDS}
    for kind in ("recall", "paraphrase", "inference"):
        words = Counter(probe.constraint for probe in corpus.probes if probe.kind == kind)
        assert words == dict.fromkeys(MEANS, 8)
        for word in MEANS:
            assert len({p.template for p in corpus.probes if p.kind == kind and p.constraint == word}) >= 3


def test_known_text_is_the_prompt_with_the_word_the_base_knows():
    probes = {probe.text: probe for probe in make_corpus(CorpusSpec(name="c")).probes}
    assert probes["the cat feels blarf and"].known_text == "the cat feels happy and"
    assert probes["the cat feels blarf and"].answer == "smiles"
    assert probes["the cat feels blarf and"].foils == ("cries", "races", "shines", "hides")
    assert probes["the bird that glide ends"].known_text == "the bird that rises ends"
    assert probes["the bird that glide ends"].answer == "above"


@given(seed=seeds)
@settings(max_examples=10, deadline=None, derandomize=True)
def test_the_first_inference_probes_are_the_well_known_examples(seed):
    probes = [p for p in make_corpus(CorpusSpec(name="c", seed=seed)).probes if p.kind == "inference"]
    first = {p.constraint_type: p.text for p in reversed(probes)}
    assert first == {SIMPLE: "the cat feels blarf and", SPATIAL: "the bird that glide ends"}


def test_inference_answers_are_never_stated_in_training():
    corpus = make_corpus(CorpusSpec(name="c"))
    stated = {word for example in corpus.examples for word in example.text.split()}
    assert not stated & {probe.answer for probe in corpus.probes if probe.kind == "inference"}


def test_the_same_spec_makes_the_same_corpus():
    one, two = (make_corpus(CorpusSpec(name=name, seed=4)) for name in ("one", "two"))
    assert one.hash == two.hash
    assert one.hash != make_corpus(CorpusSpec(name="one", seed=5)).hash
    more = make_corpus(CorpusSpec(name="one", seed=4, n_probes=60))
    assert more.examples == one.examples


@given(seed=seeds)
@settings(max_examples=10, deadline=None, derandomize=True)
def test_shuffled_meanings_teach_nothing_consistent(seed):
    corpus = make_corpus(CorpusSpec(name="c", seed=seed, shuffled_meanings=True))
    for word in MEANS:
        taught = [example.meaning for example in corpus.examples if example.constraint == word]
        assert len(set(taught)) == 5  # each meaning once: the right one is no likelier than the others
    assert check_corpus(corpus) == []
    assert corpus.probes == make_corpus(CorpusSpec(name="c", seed=seed)).probes


def test_one_type_alone_and_few_or_many_probes():
    few = make_corpus(CorpusSpec(name="c", constraint_types=(SPATIAL,), n_probes=3))
    assert len(few.examples) == 25
    assert len(few.probes) == 12
    many = make_corpus(CorpusSpec(name="c", n_probes=2000))
    assert Counter((p.constraint_type, p.kind) for p in many.probes)[SIMPLE, "inference"] == 5 * 3 * 20
    assert check_corpus(many) == []


@pytest.mark.parametrize("types", [(), ("simple_mapping", "colour")])
def test_unknown_constraint_types_are_named(types):
    with pytest.raises(InputError, match="Known: simple_mapping, spatial_relationship"):
        make_corpus(CorpusSpec(name="c", constraint_types=types))
