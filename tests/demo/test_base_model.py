"""Pre-training of the base model: its tokens, and the same bits for the same seed."""

import math
import random
from dataclasses import replace

import pytest

from engine.corpus.world import NEW_WORDS, vocabulary, world_sentence
from engine.demo.base_model import PRETRAINING, make_tokenizer, pretrain
from engine.domain.models import DEMO_MODEL
from engine.models.base import encode, load_base

SMALL = replace(PRETRAINING, d_model=32, d_mlp=64, n_layers=2, n_heads=2, n_steps=6, batch_size=8)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    seen = []
    loss = pretrain(folder, 1, lambda fraction, message: seen.append((fraction, message)), settings=SMALL)
    return folder, loss, seen


def test_every_word_is_one_token_with_its_place_in_the_vocabulary_as_id():
    tokenizer = make_tokenizer()
    words = vocabulary()
    assert tokenizer.convert_tokens_to_ids(words) == list(range(len(words)))
    sentence = world_sentence(random.Random(0))
    ids = tokenizer(sentence)["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == sentence.split()
    assert tokenizer("quokka")["input_ids"] == [tokenizer.unk_token_id]
    for word in (*NEW_WORDS, "0", "199"):
        assert len(tokenizer(word)["input_ids"]) == 1


def test_the_same_seed_gives_the_same_files(trained, tmp_path):
    folder, loss, _ = trained
    again = pretrain(tmp_path / "again", 1, lambda *_: None, settings=SMALL)
    other = pretrain(tmp_path / "other", 2, lambda *_: None, settings=SMALL)
    assert loss == again != other
    for file in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (folder / file).read_bytes() == (tmp_path / "again" / file).read_bytes()
    assert (folder / "model.safetensors").read_bytes() != (tmp_path / "other" / "model.safetensors").read_bytes()


def test_it_reports_to_the_end_and_learns(trained):
    _, loss, seen = trained
    assert [fraction for fraction, _ in seen] == sorted(fraction for fraction, _ in seen)
    assert seen[-1][0] == 1
    assert loss < math.log(len(vocabulary()))  # less than knowing nothing


def test_the_folder_loads_like_any_other_model(trained):
    loaded = load_base(DEMO_MODEL, trained[0])
    assert (loaded.n_layers, loaded.d_model, loaded.family) == (2, 32, "llama")
    assert loaded.model.get_input_embeddings().weight is not loaded.model.get_output_embeddings().weight
    assert encode(loaded, "the cat feels blarf and").shape == (1, 6)
