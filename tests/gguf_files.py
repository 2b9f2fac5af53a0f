"""GGUF files of tiny models, as llama.cpp's conversion lays them out, made with the gguf package's own writer."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    Phi3Config,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

from tests.tiny import WORLD

_SPECIAL, _NAMES = ("<s>", "</s>", "<unk>"), ("bos_token", "eos_token", "unk_token")


def words() -> PreTrainedTokenizerFast:
    """Byte-level BPE, as GGUF files of today hold it."""
    made = Tokenizer(models.BPE(unk_token=None))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=list(_SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator([" ".join(("", *WORLD))] * 2, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, **dict(zip(_NAMES, _SPECIAL, strict=True)))


_SHAPE: dict[str, Any] = {
    "vocab_size": 400, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "max_position_embeddings": 64, "initializer_range": 0.25, "bos_token_id": 0, "eos_token_id": 1,
}  # fmt: skip
_GATED = _SHAPE | {"intermediate_size": 64, "num_key_value_heads": 2}
_WIDE = _GATED | {"head_dim": 16, "sliding_window": 3}  # heads together wider than the stream
CONFIGS: dict[str, PretrainedConfig] = {
    "llama": LlamaConfig(**_GATED, rope_theta=100_000.0),
    "llama-3": LlamaConfig(
        **_GATED, rope_theta=500_000.0, tie_word_embeddings=True,
        rope_scaling={
            "rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    ),
    "qwen2": Qwen2Config(**_GATED),
    "qwen3": Qwen3Config(**_GATED, head_dim=16, tie_word_embeddings=True),
    "phi3": Phi3Config(**_GATED, pad_token_id=2, sliding_window=3),
    "gemma2": Gemma2Config(**_WIDE, attn_logit_softcapping=30.0),
    "gemma3": Gemma3TextConfig(**_WIDE),
    "gpt2": GPT2Config(**(_SHAPE | {"bos_token_id": 0}), n_inner=48),
}  # fmt: skip

# Wavelengths 6.3, 167, 4,443 and 118,143 tokens: below 8192 / 4 as they are, above 8192 by 32, between in between.
_BETWEEN = (8192 / 4442.882938 - 1) / (4 - 1)
LLAMA_3 = (1.0, 1.0, 1 / ((1 - _BETWEEN) / 32 + _BETWEEN), 32.0)


def made(architecture: str) -> PreTrainedModel:
    """In float32, with norms and biases that are not trivial."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(CONFIGS[architecture], attn_implementation="eager")
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.data += 0.2 * torch.randn_like(parameter)
    return model.eval()


def _as_llama(name: str, value: np.ndarray, config: PretrainedConfig) -> np.ndarray:
    """Halves of a head's rotary pairs lie beside each other there, not behind each other."""
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    n = next((n for part, n in heads.items() if f".{part}." in name), 0)
    if not n:
        return value
    return value.reshape(n, 2, value.shape[0] // n // 2, *value.shape[1:]).swapaxes(1, 2).reshape(value.shape)


def _as_gpt2(name: str, value: np.ndarray, config: PretrainedConfig) -> np.ndarray:
    parts = ("attn_qkv.weight", "ffn_down.weight", "ffn_up.weight", "attn_output.weight")
    return value.T if name.endswith(parts) else value


def _as_gemma(name: str, value: np.ndarray, config: PretrainedConfig) -> np.ndarray:
    return value + 1 if name.endswith("norm.weight") else value


_LAID_OUT: dict[str, Callable[[str, np.ndarray, PretrainedConfig], np.ndarray]] = {
    "llama": _as_llama, "gpt2": _as_gpt2, "gemma2": _as_gemma, "gemma3": _as_gemma,
}  # fmt: skip


def write_gguf(
    file: Path, model: PreTrainedModel, architecture: str, *, kind: str = "F32", more: dict[str, Any] | None = None,
    leave_out: str = "", pieces: bool = False, factors: Sequence[float] = (),
) -> Path:  # fmt: skip
    """`kind`: how its matrices are held. `more`: fields besides. `leave_out`: a tensor's name.

    `pieces`: tokens as SentencePiece has them, with scores and no merges. `factors`: by which pairs are turned slower.
    """
    import gguf
    from transformers.modeling_gguf_pytorch_utils import get_gguf_hf_weights_map

    architecture, *version = architecture.split("-")
    if version and not factors:
        factors = LLAMA_3
    writer = gguf.GGUFWriter(file, architecture)
    for name, value in (_fields(architecture, model.config) | (more or {})).items():
        add = {bool: writer.add_bool, int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}
        add.get(type(value), writer.add_array)(name, value)
    (_add_pieces if pieces else _add_words)(writer)
    state = model.state_dict()
    tied = bool(model.config.tie_word_embeddings)
    for name, inner in get_gguf_hf_weights_map(model).items():
        if name == leave_out or (tied and name == "output.weight") or inner not in state:
            continue
        value = _LAID_OUT.get(architecture, lambda _name, value, _config: value)(
            name, state[inner].float().numpy(), model.config
        )
        value = np.ascontiguousarray(value, dtype=np.float32)
        if value.ndim == 1 or kind == "F32":
            writer.add_tensor(name, value)
        else:
            held = gguf.GGMLQuantizationType[kind]
            writer.add_tensor(name, gguf.quantize(value, held), raw_dtype=held)
    if len(factors):
        writer.add_tensor("rope_freqs.weight", np.array(factors, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _fields(architecture: str, config: PretrainedConfig) -> dict[str, Any]:
    found: dict[str, Any] = {
        "block_count": config.num_hidden_layers,
        "context_length": config.max_position_embeddings,
        "embedding_length": config.hidden_size,
        "attention.head_count": config.num_attention_heads,
        "feed_forward_length": getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None),
    }
    if architecture == "gpt2":
        found["attention.layer_norm_epsilon"] = config.layer_norm_epsilon
        return {f"gpt2.{name}": value for name, value in found.items()}
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    found |= {
        "attention.head_count_kv": config.num_key_value_heads,
        "attention.layer_norm_rms_epsilon": config.rms_norm_eps,
        "rope.freq_base": float(config.rope_theta),
        "attention.key_length": width,
        "attention.value_length": width,
        "rope.dimension_count": width,
    }
    for name in ("attn_logit_softcapping", "final_logit_softcapping"):
        if value := getattr(config, name, None):
            found[name] = float(value)
    if window := getattr(config, "sliding_window", None):
        found["attention.sliding_window"] = window
    return {f"{architecture}.{name}": value for name, value in found.items()}


def _add_words(writer: Any) -> None:
    state = json.loads(words().backend_tokenizer.to_str())["model"]
    tokens = sorted(state["vocab"], key=state["vocab"].__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in _SPECIAL else 1 for token in tokens])
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_merges([" ".join(merge) for merge in state["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_unk_token_id(2)
    writer.add_pad_token_id(2)


def _add_pieces(writer: Any) -> None:
    """“the”, “c” and “at” are made of what has a score; “cat” could be and has none."""
    made = ("▁t", "▁th", "▁the", "at", "▁c")
    tokens = [*_SPECIAL, *"▁thecamnors", *made]
    tokens += [f"<0x{byte:02X}>" for byte in range(256)]
    tokens += [f"unused{number}" for number in range(400 - len(tokens))]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in _SPECIAL else 1 for token in tokens])
    writer.add_token_scores([-float(tokens.index(token)) for token in tokens])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_unk_token_id(2)
