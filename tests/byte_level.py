"""A byte-level tokenizer that splits digits one by one, as Llama 3 and Qwen do, and a tiny model for it."""

from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen3Config

CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
WORDS = ("the", " the", " cat", " is", " happy", " sad", "user", "東京", "巴黎", "日本", "首都", "の", "は")
PARTS = r"\p{N}| ?\p{L}+| ?[^\s\p{L}\p{N}]+|\s+"  # a digit, a word with the blank before it, marks, blanks


def byte_level_tokenizer(words: Iterable[str] = WORDS, template: str | None = None) -> PreTrainedTokenizerFast:
    """`words` are one token each, any other text is its bytes. No BOS: <|endoftext|> pads, <|im_end|> ends."""
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    vocab = {token: row for row, token in enumerate([*CONTROL, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    merges: dict[tuple[str, str], None] = {}
    for word in words:
        whole = as_bytes.pre_tokenize_str(word)[0][0]
        for end in range(1, len(whole)):
            merges[whole[:end], whole[end]] = None
            vocab.setdefault(whole[: end + 1], len(vocab))
    pieces = Tokenizer(models.BPE(vocab=vocab, merges=list(merges)))
    pieces.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(PARTS), "isolated"), as_bytes])
    pieces.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=pieces, pad_token=CONTROL[0], additional_special_tokens=[CONTROL[1]], eos_token=CONTROL[2],
        chat_template=template,
    )  # fmt: skip


def tiny_byte_level(folder: Path, template: str | None = None) -> Path:
    """Qwen 3 of two layers, d_model 32. Returns the folder."""
    tokenizer = byte_level_tokenizer(template=template)
    config = Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, max_position_embeddings=128, initializer_range=0.15, eos_token_id=2,
        pad_token_id=0,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
