"""How tokens read on their own, and what is told where tokens and rows of a model do not match."""

import json
import shutil
from pathlib import Path

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from engine.domain.corpus import Corpus
from engine.domain.errors import InputError, PromptRefused
from engine.domain.jobs import Train
from engine.domain.models import ModelSpec
from engine.domain.runs import RunConfig
from engine.jobs import run_inline
from engine.models.base import load_tokenizer
from engine.models.prompts import PromptReader
from engine.models.token_texts import token_text
from engine.models.vocabulary import unknown_words
from engine.store import Store
from tests.byte_level import byte_level_tokenizer
from tests.tiny import tiny_corpus, tiny_llama, tiny_tokenizer


def test_a_row_without_a_token_is_called_by_its_number() -> None:
    tokenizer = tiny_tokenizer()
    assert token_text(tokenizer, len(tokenizer) + 7) == f"[id {len(tokenizer) + 7}]"
    assert token_text(tokenizer, 1) == "<bos>"
    assert token_text(tokenizer, tokenizer.convert_tokens_to_ids("cat")) == "cat"


def test_part_of_a_character_is_its_bytes() -> None:
    tokenizer = byte_level_tokenizer([" the", "東京"])
    pieces = tokenizer.encode("猫 the 東京", add_special_tokens=False)
    assert [token_text(tokenizer, piece) for piece in pieces] == ["<0xE7>", "<0x8C>", "<0xAB>", " the", " ", "東京"]
    part = tokenizer.convert_tokens_to_ids("æĿ±ä")  # 東 and the first byte of 京
    assert token_text(tokenizer, part) == "東<0xE4>"


@pytest.fixture
def with_wug(tmp_path: Path) -> Path:
    """A model whose tokenizer was given a word and whose embeddings were not."""
    folder = tiny_llama(tmp_path / "base")
    tokenizer: PreTrainedTokenizerFast = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["wug"])
    tokenizer.save_pretrained(folder)
    return folder


def wug_corpus() -> Corpus:
    text = tiny_corpus("wug").to_jsonl().replace("blarf", "wug")
    lines = [json.loads(line) for line in text.splitlines()]
    known = tiny_corpus()
    examples = [type(known.examples[0]).model_validate(line) for line in lines if line["split"] == "train"]
    return Corpus("wug", tuple(examples), ())


def test_tokens_without_rows_are_named_before_anything_is_loaded(with_wug: Path, tmp_path: Path) -> None:
    spec = ModelSpec(name="base", source="folder", location=str(with_wug))
    read = PromptReader(load_tokenizer(spec))
    with pytest.raises(PromptRefused, match=r"no embedding for “wug”.*more tokens than its 120 rows"):
        read("the wug cat")
    assert read("the cat") == tiny_tokenizer().encode("the cat")
    assert unknown_words(with_wug, wug_corpus().words) == ("wug",)
    assert unknown_words(with_wug, tiny_corpus().words) == ()
    store = Store(tmp_path / "workspace")
    store.save_corpus(wug_corpus())
    shutil.move(with_wug / "model.safetensors", tmp_path)  # not read until then
    config = RunConfig(name="wug", model=spec, corpus="wug", method="lora", n_steps=2)
    with pytest.raises(InputError, match="cannot read “wug” of the corpus “wug”"):
        run_inline(store, Train(config=config), on_progress=lambda *_: None)
