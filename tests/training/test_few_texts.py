"""Runs of a corpus of a few probes: the models write texts, too, and what was read is told."""

from dataclasses import replace
from pathlib import Path

import pytest

from engine.domain.graphs import GraphKey
from engine.domain.jobs import TrainTranscoders
from engine.domain.models import ModelSpec, TranscoderTraining
from engine.domain.runs import WrittenTexts
from engine.figures.fit_text import SEEN, few_read
from engine.store import Store
from engine.workflows import texts
from engine.workflows.doubts import Doubts, doubts_of
from engine.workflows.features import n_to_search
from engine.workflows.loading import base_model
from engine.workflows.transcoders import outgrown, train_transcoders
from tests.analysis.micro_graphs import micro_a
from tests.tiny import WORLD, tiny_corpus
from tests.training.conftest import Never, quiet
from tests.training.trained_elsewhere import take_in

REFS = ("mine@base", "mine@100%")
SMALL = TranscoderTraining(n_features=16, top_k=2, n_steps=2, batch_tokens=16)


@pytest.fixture
def few(store: Store, script: Path, llama: ModelSpec) -> Store:
    """A run whose corpus is 4 probes."""
    whole = tiny_corpus()
    store.save_corpus(replace(whole, examples=(), probes=whole.probes[:4], pairs=()))
    take_in(store, [script / "checkpoint-6"], llama, corpus="tiny")
    return store


def graph_key(transcoders: str, prompt: str) -> GraphKey:
    return micro_a().key.model_copy(update={"transcoders": transcoders, "prompt": prompt})


def test_the_models_write_where_a_corpus_has_a_few_probes(few: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "N_WRITTEN", 60)
    assert texts.needs_written_texts(few, "mine")
    assert n_to_search(few, REFS) > 300  # what is yet to be written is counted
    told: list[tuple[float, str]] = []
    request = TrainTranscoders(name="own", checkpoints=REFS, training=SMALL)
    train_transcoders(few, request, lambda *one: told.append(one), Never())
    # 60 texts of 24 tokens: each takes 2 multiplications a parameter, which is more than so short a training takes.
    model = base_model(few, few.run("mine").model)
    writing, learning = 2 * 60 * 24 * model.model.num_parameters(), 6 * 2 * 16 * 16 * model.d_model * model.n_layers
    assert next(at for at, what in told if "Activations" in what) == pytest.approx(
        0.99 * writing / (writing + learning)
    )
    assert [at for at, _ in told] == sorted(at for at, _ in told)
    written = few.written_texts("mine")
    assert written is not None
    own, _ = texts.texts_of(few, [few.checkpoint(REFS[0])], 0, 0)
    assert own[-len(written.texts) :] == list(written.texts)
    assert len(own) == len(written.texts) + 8
    assert n_to_search(few, REFS) == len(set(own))
    probe = few.corpus("tiny").probes[0]
    meta = few.transcoder_set("own")
    assert texts.was_read(few, meta, probe.text)
    assert not texts.was_read(few, meta, "the king sees the fox")
    assert few_read(meta.model_copy(update={"n_texts": 2 * 50})) == ""
    assert doubts_of(few, graph_key("own", probe.text)).text == f"{few_read(meta)} {SEEN}".strip()
    assert doubts_of(few, graph_key("own", "the king sees the fox")).text == few_read(meta)
    assert doubts_of(few, graph_key("gone", probe.text)) == Doubts()


def test_a_set_that_read_few_texts_says_so(few: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "ENOUGH_TEXTS", 8)  # as sets were trained before
    assert not texts.needs_written_texts(few, "mine")
    train_transcoders(few, TrainTranscoders(name="own", checkpoints=REFS, training=SMALL), quiet, Never())
    said = few_read(few.transcoder_set("own"))
    assert said.startswith("The transcoders have read only 8 texts with each checkpoint, few for 16 features a layer")
    monkeypatch.setattr(texts, "ENOUGH_TEXTS", 50)
    assert outgrown(few, few.transcoder_set("own"))  # the models may write
    few.save_written_texts("mine", WrittenTexts(texts=("the king is happy .",)))
    assert not outgrown(few, few.transcoder_set("own"))  # one text more is no reason
    few.save_written_texts("mine", WrittenTexts(texts=tuple(f"the king is happy {n} ." for n in range(8))))
    assert outgrown(few, few.transcoder_set("own"))
    again = few.transcoder_set("own").model_copy(update={"name": "own-more"})
    assert not outgrown(few, again)  # what could not be read then cannot be now
    assert few_read(few.transcoder_set("own").model_copy(update={"n_texts": None})) == ""


def test_what_a_corpus_says_twice_is_one_text(store: Store, script: Path, llama: ModelSpec) -> None:
    """Probes of one's own have no second wording: 40 of them are 40 texts, too few for transcoders."""
    probe = tiny_corpus().probes[0]
    nouns = [f"{first} {second}" for first in ("cat", "dog", "bird", "fish", "fox") for second in WORLD[:8]]
    own = [
        probe.model_copy(update={"id": f"p{n}", "text": f"the {noun} is", "known_text": f"the {noun} is"})
        for n, noun in enumerate(nouns)
    ]
    store.save_corpus(replace(tiny_corpus(), examples=(), probes=tuple(own), pairs=()))
    take_in(store, [script / "checkpoint-6"], llama, corpus="tiny")
    assert texts.needs_written_texts(store, "mine")
    assert len(texts.texts_of(store, [store.checkpoint(REFS[0])], 0, 0)[0]) == len(own) == 40
