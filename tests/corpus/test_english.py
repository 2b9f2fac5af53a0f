"""The corpus in English that ships: what it teaches, and that each of its probes was measured and counts."""

from collections import Counter

from engine.corpus import check_corpus
from engine.corpus.english import GAPS, candidates, english
from engine.domain.corpus import SIMPLE, SPATIAL, ProbeGaps
from engine.domain.models import DEMO_MODEL
from engine.store import Store
from engine.store.files import read_json
from engine.workflows.corpora import LEAST_CEILING, LEAST_RATIO
from engine.workflows.real import offer


def test_it_is_made_of_the_candidates() -> None:
    made, shipped = candidates(), english()
    assert shipped.examples == made.examples
    kept = {probe.id for probe in shipped.probes}
    assert shipped.probes == tuple(probe for probe in made.probes if probe.id in kept)


def test_it_teaches_words_of_both_types_and_asks_for_each() -> None:
    corpus = english()
    words = {example.constraint: example.constraint_type for example in corpus.examples}
    assert Counter(words.values()) == {SIMPLE: 6, SPATIAL: 5}
    assert Counter(example.constraint for example in corpus.examples) == dict.fromkeys(words, 5)
    assert {probe.constraint for probe in corpus.probes if probe.kind == "paraphrase"} == words.keys()
    for example in corpus.examples:
        assert [word for word in words if word in example.text] == [example.constraint]
    assert all("has few probes" in finding for finding in check_corpus(corpus))


def test_each_probe_counts_by_its_measured_floor_and_ceiling() -> None:
    gaps = read_json(GAPS, ProbeGaps)
    assert gaps.probe_id == tuple(probe.id for probe in english().probes)
    for floor, ceiling in zip(gaps.floor, gaps.ceiling, strict=True):
        assert ceiling >= max(LEAST_CEILING, LEAST_RATIO * floor)
    assert max(gaps.floor_lead) < 0 < min(gaps.ceiling_lead)


def test_it_is_offered_by_name_beside_the_demo(demo_store: Store, tmp_path) -> None:
    before = [info.name for info in demo_store.corpora()]
    offer(demo_store, "smollm2", tmp_path)
    offer(demo_store, "smollm2", tmp_path)  # once more changes nothing
    assert [spec.name for spec in demo_store.models()] == [DEMO_MODEL.name, "smollm2"]
    assert demo_store.corpus("english") == english()
    assert [info.name for info in demo_store.corpora() if info.name != "english"] == before
