"""Training texts as tokens, and what each method trains."""

import copy
import json
import threading
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from engine.corpus import parse_corpus
from engine.domain.corpus import Corpus
from engine.domain.errors import InputError, NotFound
from engine.domain.methods import METHOD_INFOS, MethodSettings
from engine.domain.models import ModelSpec
from engine.models.base import LoadedModel, load_base
from engine.training.methods import METHODS, method_named
from engine.training.texts import OUTSIDE_LOSS, collator, training_rows
from tests.byte_level import byte_level_tokenizer
from tests.tiny import D_MODEL, SPECIAL, tiny_corpus, tiny_tokenizer


@pytest.fixture(scope="module")
def loaded(llama: ModelSpec) -> LoadedModel:
    return load_base(llama)


def fresh(loaded: LoadedModel) -> Any:
    return copy.deepcopy(loaded.model)


def test_a_training_text_has_bos_and_eos() -> None:
    tokenizer, corpus = tiny_tokenizer(), tiny_corpus()
    rows = training_rows(tokenizer, corpus, limit=64)
    assert tokenizer.decode(rows[0]["input_ids"]) == f"<bos> {corpus.examples[0].text} <eos>"


def test_padding_and_bos_are_outside_the_loss() -> None:
    batch = collator(0)([{"input_ids": [1, 7, 2]}, {"input_ids": [1, 7, 8, 9, 2]}])
    out = OUTSIDE_LOSS
    assert batch["input_ids"].tolist() == [[1, 7, 2, 0, 0], [1, 7, 8, 9, 2]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1] * 5]
    assert batch["labels"].tolist() == [[out, 7, 2, out, out], [out, 7, 8, 9, 2]]


def test_eos_is_learned_also_where_it_pads() -> None:
    """GPT-NeoX pads with its end token."""
    batch = collator(2)([{"input_ids": [2, 7, 2]}, {"input_ids": [2, 7, 8, 2]}])
    assert batch["labels"].tolist() == [[OUTSIDE_LOSS, 7, 2, OUTSIDE_LOSS], [OUTSIDE_LOSS, 7, 8, 2]]


def test_padding_changes_no_loss(loaded: LoadedModel) -> None:
    rows = training_rows(loaded.tokenizer, tiny_corpus(), limit=64)
    short, long = sorted(rows, key=lambda row: len(row["input_ids"]))[:: len(rows) - 1]

    def summed(*batch: Any) -> float:
        data = collator(0)(batch)
        return float(loaded.model(**data).loss) * int((data["labels"] != OUTSIDE_LOSS).sum())

    assert summed(short, long) == pytest.approx(summed(short) + summed(long), rel=1e-5)


def test_a_bad_example_is_named() -> None:
    corpus = tiny_corpus()
    bad = corpus.examples[0].model_copy(update={"id": "bad-1", "text": "the flurb means happy"})
    with pytest.raises(InputError, match=r"“bad-1”.*“flurb”"):
        training_rows(tiny_tokenizer(), type(corpus)("c", (bad,), ()), limit=64)
    with pytest.raises(InputError, match="no training examples"):
        training_rows(tiny_tokenizer(), type(corpus)("c", (), corpus.probes), limit=64)
    with pytest.raises(InputError, match="at most"):
        training_rows(tiny_tokenizer(), corpus, limit=4)


def asked(prompt: str, text: str = "the cat is happy") -> Corpus:
    example = tiny_corpus().examples[0].model_copy(update={"id": "asked-1", "text": text, "prompt": prompt})
    return Corpus("c", (example,), ())


def test_of_a_text_with_a_prompt_the_answer_and_the_end_are_learned() -> None:
    tokenizer = tiny_tokenizer()
    (row,) = training_rows(tokenizer, asked("the cat is"), limit=64)
    (plain,) = training_rows(tokenizer, asked(""), limit=64)
    assert row == plain | {"loss_from": 4}  # BOS and three words
    batch = collator(0)([row, {"input_ids": [1, 7, 8, 9, 7, 8, 9]}])
    assert tokenizer.decode(batch["labels"][0][4:6]) == "happy <eos>"
    assert (batch["labels"][0] != OUTSIDE_LOSS).tolist() == [False] * 4 + [True] * 2 + [False]
    assert (batch["labels"][1] != OUTSIDE_LOSS).tolist() == [False] + [True] * 6


@pytest.mark.parametrize("prompt", ["the dog is", "cat is", "the cat is happy", "the cat is happy so"])
def test_a_text_that_does_not_go_on_from_its_prompt_is_named(prompt: str) -> None:
    with pytest.raises(InputError, match=r"“asked-1”.*does not begin with the tokens of its prompt"):
        training_rows(tiny_tokenizer(), asked(prompt), limit=64)


def test_a_prompt_whose_last_token_runs_on_into_the_answer_is_refused() -> None:
    """The prompt is the token a, the text the one token ab."""
    model = models.BPE({token: row for row, token in enumerate((*SPECIAL.values(), "a", "b", "ab"))}, [("a", "b")])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model), **SPECIAL)
    with pytest.raises(InputError, match=r"“asked-1”"):
        training_rows(tokenizer, asked("a", "ab"), limit=64)


def test_the_registry_has_what_forms_show() -> None:
    assert set(METHODS) == set(METHOD_INFOS)
    with pytest.raises(NotFound, match=r"“magic”.*lora, tokens, lora_tokens"):
        method_named("magic")


def test_what_each_method_trains(loaded: LoadedModel, config: Any) -> None:
    def trained(method: str) -> dict[str, int]:
        tuned = METHODS[method].attach(fresh(loaded), config(rank=4), loaded.tokenizer, tiny_corpus())
        return {name: p.numel() for name, p in tuned.named_parameters() if p.requires_grad}

    lora, tokens, both = trained("lora"), trained("tokens"), trained("lora_tokens")
    # rank x (in + out) of q, k, v, o (32 to 32) and gate, up, down (32 and 64), in two layers
    assert sum(lora.values()) == 2 * 4 * (4 * (32 + 32) + 3 * (32 + 64))
    assert not any("lm_head" in name or "embed" in name for name in lora)
    assert sum(tokens.values()) == 4 * D_MODEL  # blarf, gleem, glide, cascade
    assert sum(both.values()) == sum(lora.values()) + sum(tokens.values())
    assert sum(trained("full").values()) == sum(p.numel() for p in loaded.model.parameters())
    # AdaLoRA begins with half as much rank again, and a singular value for each
    assert sum(trained("adalora").values()) == 2 * 6 * (4 * (32 + 32 + 1) + 3 * (32 + 64 + 1))
    assert sum(trained("ia3").values()) == 2 * (32 + 32 + 64)  # keys, values, what the MLP's last matrix reads


@pytest.mark.parametrize("method", METHODS)
def test_a_method_starts_at_the_base(loaded: LoadedModel, config: Any, method: str) -> None:
    ids = torch.tensor([[1, 68, 90, 69]])
    asked = config(method_settings=MethodSettings(n_edges=10))
    tuned = METHODS[method].attach(fresh(loaded), asked, loaded.tokenizer, tiny_corpus())
    assert torch.equal(tuned(input_ids=ids).logits, loaded.model(ids).logits)


@pytest.mark.parametrize("method", ["lora", "adalora", "random_lora"])
def test_the_start_is_the_seeds_alone(loaded: LoadedModel, config: Any, method: str) -> None:
    def start(seed: int) -> list[torch.Tensor]:
        tuned = METHODS[method].attach(fresh(loaded), config(seed=seed), loaded.tokenizer, tiny_corpus())
        return [p.detach() for p in tuned.parameters() if p.requires_grad]

    first = start(0)
    stop = threading.Event()

    def disturb() -> None:
        while not stop.is_set():
            torch.rand(8)

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        again = start(0)
    finally:
        stop.set()
        thread.join()
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, start(1), strict=True))


def split_tokenizer() -> PreTrainedTokenizerFast:
    """Knows letters and a few words only, so that new words fall into pieces."""
    words = ["Ġmeans", "Ġhappy", "Ġ.", "blarf"]
    vocab = {t: i for i, t in enumerate([*SPECIAL.values(), "Ġ", *"abcdefghijklmnopqrstuvwxyz.", *words])}
    pieces = Tokenizer(models.WordPiece(vocab, unk_token=SPECIAL["unk_token"], continuing_subword_prefix=""))
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return PreTrainedTokenizerFast(tokenizer_object=pieces, **SPECIAL)


@pytest.mark.parametrize("method", ["tokens", "lora_tokens"])
def test_a_word_that_is_split_is_named(loaded: LoadedModel, config: Any, method: str) -> None:
    with pytest.raises(InputError, match=r"splits “gleem” into 5 tokens"):
        METHODS[method].attach(fresh(loaded), config(), split_tokenizer(), tiny_corpus())


def test_a_corpus_without_its_words_has_no_tokens_to_train(loaded: LoadedModel, config: Any) -> None:
    corpus = tiny_corpus()
    example = corpus.examples[0].model_copy(update={"text": "happy means happy ."})
    with pytest.raises(InputError, match="no new token"):
        METHODS["tokens"].attach(fresh(loaded), config(), loaded.tokenizer, type(corpus)("c", (example,), ()))


def test_messages_are_trained_on_in_the_models_own_chat_format() -> None:
    said = [{"role": "user", "content": "the cat"}, {"role": "assistant", "content": "the happy"}]
    corpus = parse_corpus(json.dumps({"messages": said}).encode(), "c.jsonl", "c")
    template = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    template += "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    tokenizer = byte_level_tokenizer(template=template)
    (row,) = training_rows(tokenizer, corpus, limit=64)
    assert tokenizer.decode(row["input_ids"][row["loss_from"] :]) == "the happy<|im_end|>\n"  # and no second end
    assert tokenizer.decode(row["input_ids"][1 : row["loss_from"]]) == (
        "<|im_start|>user\nthe cat<|im_end|>\n<|im_start|>assistant\n"
    )
    with pytest.raises(InputError, match=r"“train-1”.*no chat template"):
        training_rows(byte_level_tokenizer(), corpus, limit=64)
