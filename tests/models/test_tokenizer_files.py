"""Tokenizers as transformers 4 and 5 save them: the same tokens, the same special tokens, in every place that reads."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from engine.domain.corpus import Corpus, Example
from engine.domain.errors import Damaged, ModelUnavailable
from engine.domain.models import ModelSpec
from engine.models import tried
from engine.models.base import load_base, load_tokenizer
from engine.models.prompts import PromptReader
from engine.models.tokenizer_files import read_tokenizer
from engine.models.vocabulary import unknown_words
from tests.tiny import SPECIAL, tiny_llama, tiny_tokenizer

TEXT = "the king feels blarf and it is"
CHAT = "{% for turn in messages %}{{ turn['content'] }}{% endfor %}"


def rewritten(folder: Path, *drop: str, **fields: Any) -> Path:
    """tokenizer_config.json with keys taken out and others put in."""
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({k: v for k, v in config.items() if k not in drop} | fields), encoding="utf-8")
    return folder


def as_five(folder: Path, **fields: Any) -> Path:
    """As transformers 5 leaves it: a class of its own, no list of added tokens, no map of special tokens."""
    (folder / "special_tokens_map.json").unlink(missing_ok=True)
    new = {"tokenizer_class": "TokenizersBackend", "backend": "tokenizers", "is_local": True}
    return rewritten(folder, "added_tokens_decoder", "extra_special_tokens", **new | fields)


@pytest.fixture
def four(tmp_path: Path) -> Path:
    """A folder with a tokenizer alone, such as an adapter brings."""
    tiny_tokenizer().save_pretrained(tmp_path / "own")
    return tmp_path / "own"


def everything(tokenizer: PreTrainedTokenizerFast) -> tuple[object, ...]:
    """What of a tokenizer must not change."""
    ids = tokenizer(TEXT, add_special_tokens=False).input_ids
    return ids, tokenizer.special_tokens_map, tokenizer.all_special_ids, len(tokenizer), tokenizer.model_max_length


@pytest.mark.parametrize("kind", ["TokenizersBackend", "GemmaTokenizer", "LlamaTokenizer", "NeverHeardOfTokenizer"])
def test_a_class_of_transformers_5_is_its_file_and_its_special_tokens(four: Path, kind: str) -> None:
    right = everything(AutoTokenizer.from_pretrained(four))
    assert everything(read_tokenizer(as_five(four, tokenizer_class=kind))) == right


def test_a_class_that_nobody_knows_is_its_file_and_its_special_tokens(four: Path) -> None:
    """Without a sign of transformers 5, and with its special tokens in the map alone."""
    right = everything(AutoTokenizer.from_pretrained(four))
    rewritten(four, "added_tokens_decoder", *SPECIAL, tokenizer_class="TikTokenTokenizer")
    assert everything(read_tokenizer(four)) == right


def test_special_tokens_with_rules_of_their_own_keep_them(four: Path) -> None:
    rule = {"__type": "AddedToken", "content": "<sep>", "lstrip": True, "rstrip": False, "normalized": False}
    tokenizer = read_tokenizer(as_five(four, sep_token=rule, extra_special_tokens=["<tool>", "<call>"]))
    n = len(tiny_tokenizer())
    assert tokenizer.convert_ids_to_tokens(tokenizer.sep_token_id) == "<sep>"
    assert tokenizer.additional_special_tokens == ["<tool>", "<call>"]
    words = tokenizer.convert_ids_to_tokens(tokenizer("the   <sep> king <tool>", add_special_tokens=False).input_ids)
    assert words == ["the", "<sep>", "king", "<tool>"]
    assert len(tokenizer) == n + 3


def test_a_list_of_extra_tokens_is_enough_for_an_old_class(four: Path) -> None:
    """transformers 4 fails on a list, whatever class is named."""
    tokenizer = read_tokenizer(rewritten(four, extra_special_tokens=["<tool>"]))
    assert tokenizer.additional_special_tokens == ["<tool>"]
    assert tokenizer.bos_token_id == 1


def byte_level(*, prefix: bool) -> Tokenizer:
    """One token a byte."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={one: i for i, one in enumerate(["<|end|>", *alphabet])}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    made.decoder = decoders.ByteLevel()
    return made


@pytest.mark.parametrize("prefix", [True, False])
def test_a_blank_before_the_first_word_stays_as_the_file_has_it(prefix: bool, tmp_path: Path) -> None:
    """transformers 4 takes it out where the configuration does not repeat it; transformers 5 does not repeat it."""
    byte_level(prefix=prefix).save(str(tmp_path / "tokenizer.json"))
    config = {"tokenizer_class": "TokenizersBackend", "backend": "tokenizers", "eos_token": "<|end|>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    tokenizer = read_tokenizer(tmp_path)
    assert len(tokenizer("king", add_special_tokens=False).input_ids) == 4 + prefix
    assert tokenizer.convert_ids_to_tokens(tokenizer.pad_token_id) == "<|end|>"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A folder as people had them before there was a tokenizer.json: a vocabulary and merges."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*alphabet, "ki", "ng", "king", "Ġk", "Ġki", "Ġking", "<|endoftext|>"]
    merges = ["k i", "n g", "ki ng", "Ġ k", "Ġk i", "Ġki ng"]
    (tmp_path / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}), encoding="utf-8")
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    about = {"tokenizer_class": "GPT2Tokenizer", "chat_template": "{{ messages[0].content }}"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(about), encoding="utf-8")
    return tmp_path


def test_a_vocabulary_and_merges_are_read_in_a_process_of_their_own_and_once(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = AutoTokenizer.from_pretrained(old)
    made = read_tokenizer(old)
    assert type(made) is type(right)
    assert made.name_or_path == str(old)
    for text in ("the king", " king  of 12 é\n", "kingking<|endoftext|> k"):
        assert made(text).input_ids == right(text).input_ids
        assert made.decode(made(text).input_ids) == right.decode(right(text).input_ids)
    special = "eos_token", "bos_token", "unk_token", "chat_template", "model_max_length", "all_special_ids"
    assert [getattr(made, name) for name in special] == [getattr(right, name) for name in special]
    assert not (old / "tokenizer.json").exists()
    monkeypatch.setattr(tried, "apart", lambda *_, **__: pytest.fail("begun again"))
    assert read_tokenizer(old)("the king").input_ids == right("the king").input_ids


def test_a_broken_vocabulary_is_refused_by_the_name_of_its_folder(old: Path) -> None:
    (old / "vocab.json").write_text("{", encoding="utf-8")
    with pytest.raises(Damaged, match="the tokenizer cannot be read") as found:
        read_tokenizer(old)
    assert Path(found.value.path) == old


def test_a_vocabulary_that_takes_too_long_is_refused(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tried, "_CONVERT", "while True: pass")
    monkeypatch.setattr(tried, "_CONVERT_S", 0.2)
    with pytest.raises(Damaged, match=r"it takes longer than 0\.2 s"):
        read_tokenizer(old)


def test_blanks_that_a_normaliser_makes_stay(tmp_path: Path) -> None:
    """As Llama 2's: a class of transformers 4 would want the file that it was converted from."""
    vocabulary = {token: i for i, token in enumerate(["<unk>", "<s>", "</s>", "▁", "k", "i", "n", "g"])}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token=SPECIAL["unk_token"]))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.save(str(tmp_path / "tokenizer.json"))
    config = {
        "tokenizer_class": "LlamaTokenizer", "backend": "tokenizers", "add_prefix_space": None,
        "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
    }  # fmt: skip
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    tokenizer = read_tokenizer(tmp_path)
    assert tokenizer.convert_ids_to_tokens(tokenizer("king", add_special_tokens=False).input_ids) == list("▁king")
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id) == (1, 2, 0)


@pytest.mark.parametrize("place", ["chat_template.jinja", "tokenizer_config.json"])
def test_a_chat_template_is_kept(four: Path, place: str) -> None:
    as_five(four, **({"chat_template": CHAT} if place == "tokenizer_config.json" else {}))
    if place != "tokenizer_config.json":
        (four / place).write_text(CHAT, encoding="utf-8")
    talk = [{"role": "user", "content": TEXT}]
    assert read_tokenizer(four).apply_chat_template(talk, tokenize=False) == TEXT


def test_an_adapter_may_bring_its_own(four: Path) -> None:
    """No config.json is beside it, and nothing is written there."""
    as_five(four)
    before = {path.name: path.read_bytes() for path in four.iterdir()}
    assert read_tokenizer(four).convert_tokens_to_ids("blarf") == tiny_tokenizer().convert_tokens_to_ids("blarf")
    assert {path.name: path.read_bytes() for path in four.iterdir()} == before


def test_every_reader_of_a_folder_agrees(tmp_path: Path) -> None:
    """The model's tokenizer, the one without weights, and the list of unknown words that needs no torch."""
    folder = as_five(tiny_llama(tmp_path / "model"), extra_special_tokens=["<tool>"])
    spec = ModelSpec(name="mine", source="folder", location=str(folder))
    loaded = load_base(spec)
    both = loaded.tokenizer, load_tokenizer(spec)
    assert everything(both[0]) == everything(both[1])
    text = "the <tool> is zarp"
    texts = Corpus(
        name="c",
        examples=(Example(id="a", text=text, template=text, constraint_type="simple", constraint="x", meaning="y"),),
        probes=(),
    )
    read = both[0](text, add_special_tokens=False).input_ids
    unread = {both[0].unk_token_id, *(i for i in read if i >= loaded.n_vocab)}  # the added token has no embedding
    unknown = tuple(word for word, i in zip(text.split(), read, strict=True) if i in unread)
    assert unknown_words(folder, texts.words) == unknown == ("<tool>", "zarp")
    assert PromptReader(both[0]).prompt("the king", limit=8)[0] == 1


def test_a_family_without_a_named_class_has_its_own(tmp_path: Path) -> None:
    """From the config.json beside it, whoever wrote that."""
    folder = rewritten(tiny_llama(tmp_path / "model"), "tokenizer_class", "extra_special_tokens")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    del config["rope_theta"], config["rope_scaling"]
    config["rope_parameters"] = {"rope_type": "default", "rope_theta": 50.0}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tokenizer = load_tokenizer(ModelSpec(name="mine", source="folder", location=str(folder)))
    assert type(tokenizer).__name__ == "LlamaTokenizerFast"
    assert tokenizer.bos_token_id == 1


def test_what_is_not_there_or_would_be_code_is_said(four: Path, tmp_path: Path) -> None:
    other = shutil.copytree(as_five(four), tmp_path / "other")
    (other / "tokenizer.json").unlink()
    with pytest.raises(ModelUnavailable, match=r"has no tokenizer\.json"):
        read_tokenizer(other)
    (other / "tokenizer.json").write_text('{"version"', encoding="utf-8")
    with pytest.raises(Damaged, match="tokenizer cannot be read"):
        read_tokenizer(other)
    rewritten(four, "backend", tokenizer_class="OurTokenizer", auto_map={"AutoTokenizer": ["evil.Evil", None]})
    with pytest.raises(ModelUnavailable, match=r"comes as code \(OurTokenizer\), which is never run"):
        read_tokenizer(four)
