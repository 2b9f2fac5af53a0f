"""Corpora with pairs: kept, listed, checked; and the spec of a task beside its corpus."""

import pytest

from engine.corpus import make_task
from engine.domain.corpus import Corpus, CorpusSpec, Pair, TaskSpec
from engine.domain.errors import Damaged
from engine.domain.jobs import MakeCorpus
from engine.store import Store
from engine.workflows.corpora import make_corpus
from tests.training.conftest import Never

SPEC = TaskSpec(name="sums", task="addition_subtraction", n_rows=50, n_retention=0)


def test_a_made_task_comes_back_with_its_pairs_and_spec(store: Store) -> None:
    told: list[str] = []
    assert make_corpus(store, MakeCorpus(spec=SPEC), lambda _, message: told.append(message), Never()) == "sums"
    assert store.corpus("sums") == make_task(SPEC)
    [info] = store.corpora()
    assert (info.n_examples, info.n_probes, info.n_pairs) == (40, 10, 10)
    assert told[-1] == "40 examples, 10 probes and 10 pairs"
    spec = store.workspace / "corpora" / "sums" / "spec.json"
    assert TaskSpec.model_validate_json(spec.read_text(encoding="utf-8")) == SPEC
    assert store.check() == []


def test_pairs_alone_are_kept(store: Store) -> None:
    pair = Pair(id="p", clean="7 + 5 =", corrupted="7 - 5 =", answer="12", corrupted_answer="2", constraint_type="adds")
    store.save_corpus(Corpus("pairs", (), (), (pair,)))
    assert store.corpus("pairs").pairs == (pair,)
    assert store.corpora()[0].constraint_types == ("adds",)


@pytest.mark.parametrize("spec", [SPEC, CorpusSpec(name="sums")])
def test_a_damaged_spec_is_found(store: Store, spec: TaskSpec | CorpusSpec) -> None:
    store.save_corpus(make_task(SPEC), spec)
    path = store.workspace / "corpora" / "sums" / "spec.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"seed"', '"seeds"'), encoding="utf-8")
    assert [problem.path for problem in store.check()] == [path]


def test_a_damaged_pair_is_named_with_its_line(store: Store) -> None:
    store.save_corpus(make_task(SPEC))
    path = store.workspace / "corpora" / "sums" / "corpus.jsonl"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"corrupted"', '"corrupt"', 1), encoding="utf-8")
    with pytest.raises(Damaged, match="line 51"):
        store.corpus("sums")


def test_requests_tell_the_two_specs_apart() -> None:
    for spec in (SPEC, CorpusSpec(name="words")):
        request = MakeCorpus(spec=spec)
        assert MakeCorpus.model_validate_json(request.model_dump_json()) == request
