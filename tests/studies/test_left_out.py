"""Leaving out the examples that taught it: which ones are left out, and that the run made again lacks them."""

import math
from collections.abc import Collection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.domain.corpus import SIMPLE, Corpus, Example, Probe
from engine.domain.jobs import Train
from engine.domain.models import ModelSpec
from engine.store import Store
from engine.studies.left_out import DRAWS, LEFT_OUT, LOOKED_AT, TrainedAgain, words_of
from engine.workflows import run
from tests.tiny import tiny_corpus, tiny_llama
from tests.training.conftest import Never, quiet, run_config

WORDS = ("blarf", "zorp")


def example(word: str, number: int) -> Example:
    return Example(
        id=f"{word}{number}", text=f"{word} {number}", constraint_type=SIMPLE, constraint=word, meaning="happy",
        template="{w}",
    )  # fmt: skip


def probe(word: str) -> Probe:
    return Probe(
        id=word, kind="paraphrase", text=f"{word} is", known_text="happy is", answer="happy", foils=(),
        constraint_type=SIMPLE, constraint=word, meaning="happy", template="{w}",
    )  # fmt: skip


class Made:
    """Six examples a word. Pushes: those of the word itself, the last one first; then the others. Each that is left out
    costs a nat where it is the word's."""

    def __init__(self) -> None:
        self.corpus = Corpus("made", tuple(example(word, n) for word in WORDS for n in range(6)), ())
        self.config = SimpleNamespace(seed=3)
        self.probes = tuple(map(probe, WORDS))
        self.asked: list[list[str]] = []

    def taught(self, asked: Probe) -> Any:
        own = [one for one in reversed(self.corpus.examples) if one.constraint == asked.constraint]
        others = [one for one in self.corpus.examples if one.constraint != asked.constraint]
        return SimpleNamespace(ranked=(*own, *others))

    def without(self, examples: Collection[str], asked: Probe) -> float:
        self.asked.append(list(examples))
        return -1.0 - sum(name.startswith(asked.constraint) for name in examples)


def test_first_last_and_random_ones_are_left_out() -> None:
    own = Made()
    found = tuple(words_of(own))  # type: ignore[arg-type]
    assert [one.constraint for one in found] == list(WORDS)
    for one in found:
        assert (one.whole, one.without_first, one.without_last) == (-1, -1 - LEFT_OUT, -1)
        assert len(one.without_random) == DRAWS
        assert (one.n_about, one.n_looked_at, one.n_own, one.n_examples) == (6, LOOKED_AT, 6, 12)
    assert own.asked[1] == ["blarf5", "blarf4", "blarf3", "blarf2", "blarf1"]
    # The same draws for every word, each of different examples.
    n = len(own.asked) // 2
    assert own.asked[3:n] == own.asked[n + 3 :]
    assert all(len(set(some)) == LEFT_OUT for some in own.asked[3:n])
    assert len({tuple(some) for some in own.asked[3:n]}) == DRAWS
    # What is lost of a random group is its share of the word's own.
    assert [-1 - sum(name.startswith("blarf") for name in some) for some in own.asked[3:n]] == [
        *found[0].without_random
    ]


def test_the_run_is_made_again_without_them_once(store: Store, tmp_path: Path) -> None:
    spec = ModelSpec(name="tiny", source="folder", location=str(tiny_llama(tmp_path / "base")))
    store.save_corpus(tiny_corpus())
    config = run_config(spec, "lora", method="lora")
    run(store, Train(config=config), quiet, Never())
    own = TrainedAgain(store, "lora", quiet, Never())
    asked = own.probes[0]
    results = store.probe_results("lora")[config.n_steps]
    whole = own.without((), asked)
    assert whole == pytest.approx(math.log(results.p[results.probe_id.index(asked.id)]))
    gone = [one.id for one in own.corpus.examples if one.constraint == asked.constraint]
    assert own.without(gone, asked) < whole
    made = store.corpus("lora-left-out-1")
    assert [one.id for one in made.examples] == [one.id for one in own.corpus.examples if one.id not in gone]
    first, again = (store.run(name) for name in ("lora", "lora-left-out-1"))
    same = {"name", "corpus", "corpus_hash"}
    assert again.model_dump(exclude=same) == first.model_dump(exclude=same)
    own.without(gone[::-1], asked)
    assert len(store.runs()) == 2
