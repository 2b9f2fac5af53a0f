"""Tiny Hugging Face folders (2 layers, d_model 32, random weights, word-level tokenizer) for tests of every room.

Each builder saves a model and its tokenizer into the folder and returns the folder. Same family, same bits: the
weights come from a fixed seed and leave the caller's random state alone.
"""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GPTNeoXConfig,
    LlamaConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

SPECIAL = {"pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>"}
NEW_WORDS = ("blarf", "gleem", "zephyr", "lumina", "vortik", "glide", "cascade", "orbit", "pierce", "expand")
_WORDS = (
    "cat dog bird fish fox bear girl boy king queen child robot ship ball leaf star "
    "happy smiles laughs sad cries weeps fast races wins bright shines glows small hides fits slow lags loses "
    "angry shouts fights calm rests sleeps "
    "upward rises climbs above downward falls sinks below circular spins turns around inward enters joins inside "
    "outward leaves spreads outside sideways slides drifts beside "
    "the is so it . feels and because means moves move ends end to that what a ? which way does when"
)
WORLD = tuple(_WORDS.split())
NUMBERS = tuple(str(number) for number in range(20))
D_MODEL, N_LAYERS, N_POSITIONS = 32, 2, 64


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Word-level, split at white space; <pad>, <bos>, <eos>, <unk> are tokens 0 to 3."""
    vocab = {token: row for row, token in enumerate(dict.fromkeys((*SPECIAL.values(), *WORLD, *NEW_WORDS, *NUMBERS)))}
    words = Tokenizer(models.WordLevel(vocab, unk_token=SPECIAL["unk_token"]))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words, **SPECIAL)


def _save(folder: Path, config: PretrainedConfig) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def _shape() -> dict[str, int | float]:
    return {
        "vocab_size": len(tiny_tokenizer()),
        "hidden_size": D_MODEL,
        "intermediate_size": 64,
        "num_hidden_layers": N_LAYERS,
        "num_attention_heads": 2,
        "max_position_embeddings": N_POSITIONS,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "initializer_range": 0.15,  # large enough that every token and layer matters
    }


def tiny_llama(folder: Path) -> Path:
    """Llama, output matrix of its own."""
    return _save(folder, LlamaConfig(**_shape(), num_key_value_heads=2, head_dim=16, tie_word_embeddings=False))


def tiny_gemma2(folder: Path) -> Path:
    """Gemma 2: tied embeddings, soft-capped logits, a sliding window on every other layer."""
    return _save(
        folder,
        Gemma2Config(
            **_shape(), num_key_value_heads=1, head_dim=16, sliding_window=32, attn_implementation="eager",
            query_pre_attn_scalar=16,
        ),
    )  # fmt: skip


def tiny_qwen3(folder: Path) -> Path:
    """Qwen 3: tied embeddings, normalised queries and keys, grouped heads."""
    return _save(folder, Qwen3Config(**_shape(), num_key_value_heads=1, head_dim=16, tie_word_embeddings=True))


def tiny_neox(folder: Path) -> Path:
    """GPT-NeoX (Pythia): attention and MLP in parallel."""
    return _save(folder, GPTNeoXConfig(**_shape(), rotary_pct=0.25, use_parallel_residual=True))
