"""Which architectures circuits can be found in, by the `model_type` of config.json: what pages say before any load."""

from collections.abc import Mapping
from typing import Any, Final

# Where the parts of their layers are is in `engine.models.families`.
FAMILY_TITLES: Final[dict[str, str]] = {
    "llama": "Llama",
    "mistral": "Mistral",
    "olmo": "OLMo 1",
    "qwen2": "Qwen 2",
    "qwen3": "Qwen 3",
    "smollm3": "SmolLM3",
    "ministral": "Ministral",
    "ernie4_5": "ERNIE 4.5",
    "seed_oss": "Seed-OSS",
    "helium": "Helium",
    "arcee": "Arcee",
    "starcoder2": "StarCoder2",
    "glm": "GLM-4",
    "glm4": "GLM-4-0414",
    "phi3": "Phi-3",
    "olmo2": "OLMo 2",
    "olmo3": "OLMo 3",
    "exaone4": "EXAONE 4",
    "gemma": "Gemma 1",
    "gemma2": "Gemma 2",
    "gemma3_text": "Gemma 3 (text)",
    "gpt2": "GPT-2",
    "gpt_neo": "GPT-Neo",
    "gpt_neox": "GPT-NeoX",
    "opt": "OPT",
}
# Families that read pictures, too -> the one that their language model is of.
WITH_PICTURES: Final[dict[str, str]] = {"gemma3": "gemma3_text", "mistral3": "mistral", "llava": "llama"}
# Why there is no row.
UNSUPPORTED: Final[dict[str, str]] = {
    "gptj": "attention and MLP share one norm, which hooks cannot tell apart",
    **dict.fromkeys(
        ("mixtral", "qwen2_moe", "qwen3_moe"),
        "its MLPs are mixtures of experts, which one transcoder a layer does not stand for",
    ),
    "mamba": "it has no attention and no MLPs to replace",
}

LAYER_KEYS: Final = ("num_hidden_layers", "n_layer", "num_layers")  # what config.json calls the number of layers


def number_in(config: Mapping[str, Any], *names: str) -> int | None:
    """The first of these fields of a config.json that is a whole number."""
    return next((value for name in names if isinstance(value := config.get(name), int)), None)


def lacking(kind: str, config: Mapping[str, Any]) -> str:
    """Why circuits cannot be found in a model of a family that has a row; "" where they can.

    `config`: the fields of its config.json; what the file leaves out has transformers' default.
    """
    if kind == "olmo" and config.get("clip_qkv"):
        return "its queries, keys and values are clipped (clip_qkv)"
    if kind != "opt":
        return ""
    if not config.get("do_layer_norm_before", True) or config.get("_remove_final_layer_norm", False):
        return "its norms follow the blocks instead of coming before them (as in OPT-350m)"
    width = config.get("hidden_size", 768)
    if (embedded := config.get("word_embed_proj_dim") or width) != width:
        return f"its embeddings have {embedded} numbers and its stream {width}"
    return ""


def why_no_circuits(kind: str, config: Mapping[str, Any]) -> str:
    """One reason for a page or a list; "" where circuits can be found."""
    if kind not in FAMILY_TITLES:
        return UNSUPPORTED.get(kind, "this family is not supported")
    return lacking(kind, config)
