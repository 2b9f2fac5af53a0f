"""A model's config.json, read once and held to what this transformers makes of it.

A newer transformers, another program or a person may have written it. What is called otherwise there is translated;
what this version would leave out or change, and could change an answer, is refused by name: a model is the one that
was saved, or is not loaded.
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers
from transformers import CONFIG_MAPPING, PretrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from engine.domain.errors import Damaged, ModelUnavailable
from engine.domain.foreign import translated
from engine.domain.pictures import text_fields
from engine.models.bounds import refuse_sizes
from engine.models.families import FAMILIES
from engine.models.rope import ROPE_KEYS, NotUnderstoodError, Scaling, known_names, rope_of

logger = logging.getLogger(__name__)

AGAIN = "Download or save the model again."
# Not handed on: who wrote the file, code that comes with it (never run), how answers are handed over, what is computed
# with. All of it is decided here, or changes no answer.
_DROPPED = frozenset(
    {
        "_name_or_path", "name_or_path", "_commit_hash", "transformers_version", "architectures", "model_type",
        "auto_map", "dtype", "torch_dtype", "_attn_implementation", "_attn_implementation_internal",
        "attn_implementation", "_attn_implementation_autoset", "output_attentions", "output_hidden_states",
        "return_dict", "torchscript", "use_bfloat16", "tf_legacy_loss", "gradient_checkpointing",
    }
)  # fmt: skip
# Unknown names that real files carry and that change nothing here.
_HARMLESS = frozenset(
    {
        "_from_model_config", "_num_labels", "attention_softmax_in_fp32", "bias_dropout_fusion",
        "cache_implementation", "is_llama_config", "masked_softmax_fusion", "max_length", "max_seq_len",
        "max_sequence_length", "model_max_length", "n_ctx", "offset_alibi", "output_past", "output_projection",
        "pad_key_length", "predict_special_tokens", "pretraining_tp", "seq_length", "skip_bias_add",
        "skip_bias_add_qkv", "transformers.js_config", "unsloth_fixed", "unsloth_version", "use_flash_attention",
        "use_flash_attention_2", "use_flash_attn", "use_flashattn",
    }
)  # fmt: skip
# Unknown names with the value at which they do nothing.
_NEUTRAL: dict[str, object] = {
    "full_attn_mod": 1, "interpolate_factor": 1, "learned_embeddings": True, "partial_rotary_factor": 1,
    "is_causal": True, "causal": True, "rotary": True, "rotary_scaling_factor": 1,
    "scale_attn_weights": True,
}  # fmt: skip
_NEUTRAL_IN: dict[str, dict[str, object]] = {"starcoder2": {"mlp_type": "default", "norm_type": "layer_norm"}}
# An unknown name set to false, zero or nothing is what the model is without it; these say something when false.
_TELLING = frozenset({"is_causal", "causal", "use_rope", "use_rotary"})
# One thing by two names: an unknown one is harmless where it says what the known one says.
_SYNONYMS = {
    "hidden_act": "hidden_activation", "hidden_activation": "hidden_act", "activation_function": "hidden_act",
    "norm_eps": "layer_norm_eps", "rope_pct": "partial_rotary_factor",
}  # fmt: skip
# Taken by the class and read by none of its code, so it must say what its synonym says.
_UNREAD = {"gemma": "hidden_activation"}
_WINDOW = ("sliding_window", "max_window_layers")  # say nothing where use_sliding_window is false
TRAINING = re.compile(r"(dropout|pdrop|_drop|dropout_prob|layerdrop)$|^(init|initializer|summary|neftune)_")
# Words of names: of a part of the computation, and of notes about the file. Numbers, flags and lists under any other
# name are taken for a part of the computation.
_PARTS = frozenset(
    {
        "act", "activation", "adapter", "alibi", "alpha", "attention", "attn", "base", "bias", "bidirectional",
        "bits", "block", "cap", "causal", "chunk", "clip", "conv", "depth", "dim", "embd", "embed", "embedding",
        "embeddings", "eps", "epsilon", "expert", "experts", "factor", "ffn", "fused", "gate", "gated", "gelu",
        "global", "group", "groups", "head", "heads", "hidden", "intermediate", "kv", "latent", "layer", "layers",
        "local", "logit", "logits", "loop", "mask", "mlp", "moe", "mtp", "mup", "multiplier", "norm", "normalization",
        "position", "positional", "positions", "qk", "qkv", "quant", "quantization", "quantized", "query",
        "recurrent", "residual", "rope", "rotary", "rotation", "router", "routing", "scale", "scaled", "scaling",
        "shared", "silu", "skip", "sliding", "softcap", "softcapping", "softmax", "sparse", "ssm", "state", "swiglu",
        "temperature", "theta", "tie", "tied", "window", "yarn",
    }
)  # fmt: skip
_NOTES = frozenset(
    {
        "author", "checkpoint", "commit", "data", "dataset", "date", "epoch", "epochs", "file", "framework",
        "generator", "hash", "id", "language", "library", "license", "lr", "model", "name", "notes", "optimizer",
        "path", "project", "reentrant", "repo", "revision", "run", "seed", "step", "steps", "tag", "tags", "time",
        "timestamp", "token", "tokens", "trained", "training", "url", "user", "version", "wandb",
    }
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class ModelConfig:
    """What a folder's config.json says, and this transformers' object that says the same."""

    file: Path
    fields: Mapping[str, Any]  # in this transformers' terms
    config: PretrainedConfig
    with_pictures: bool = False  # the folder's model reads them, too; this is its language model

    @property
    def family(self) -> str:
        return str(self.config.model_type)

    def check(self, understood: PretrainedConfig) -> None:
        """Holds a configuration, such as a loaded model's, to the file. Raises ModelUnavailable."""
        for problem in _differences(self.fields, understood):
            raise _refusal(self.file, problem)


def model_config(where: Path) -> ModelConfig:
    """What the config.json in a folder says.

    Raises Damaged (no configuration at all) and ModelUnavailable (not a causal language model that this transformers
    loads, or something in it that this version would read as another model).
    """
    file = where / "config.json"
    whole = _read(file)
    written = text_fields(whole)
    config_class = _class_of(where, written)
    _refuse_quantised(file, {**written, **whole})
    with translated(lambda reason: Damaged(where, f"the weights cannot be read ({reason})", AGAIN)):
        refuse_sizes(where, written)
    fields = {key: value for key, value in written.items() if key not in _DROPPED | ROPE_KEYS}
    # Gemma 3's rule for layers without their own types; it is saved under the second name.
    patterns = [fields.pop(name, None) for name in ("sliding_window_pattern", "_sliding_window_pattern")]
    if fields.get("layer_types") is None and any(patterns):
        fields["sliding_window_pattern"] = patterns[0] or patterns[1]
    try:
        rope, scaling = rope_of(written, config_class)
    except NotUnderstoodError as error:
        raise _refusal(file, str(error)) from error
    fields |= rope
    found = ModelConfig(file, fields, _build(file, config_class, fields, scaling), with_pictures=written != whole)
    if problem := next(_unknown(fields, found.config), None):
        raise _refusal(file, f"{problem}, which {_version()} does not know for {found.family}", known=False)
    found.check(found.config)
    if "auto_map" in written:
        logger.info("%s comes with code of its own, which is not run: transformers' own %s is", where, found.family)
    return found


def _read(file: Path) -> dict[str, Any]:
    try:
        written = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise Damaged(file, "it is not a model's configuration", AGAIN) from error
    if not isinstance(written, dict):
        raise Damaged(file, "it is not a model's configuration but a list or a single value", AGAIN)
    return written


def _class_of(where: Path, written: Mapping[str, Any]) -> type[PretrainedConfig]:
    family = written.get("model_type")
    made = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(family) if isinstance(family, str) else None
    names = written.get("architectures")
    saved = names[0] if isinstance(names, list) and names else made
    if made is None or saved != made or "text_config" in written:
        raise ModelUnavailable(
            f"{where} holds a model of the family “{str(family)[:60]}” ({str(saved)[:60]}), which is not a causal "
            f"language model that {_version()} loads. Use one that writes text from left to right, such as "
            f"{', '.join(row.title for row in FAMILIES.values())}."
        )
    found: type[PretrainedConfig] = CONFIG_MAPPING[family]
    return found


def _refuse_quantised(file: Path, written: Mapping[str, Any]) -> None:
    for key in ("quantization_config", "quantization", "compression_config"):
        if settings := written.get(key):
            method = settings.get("quant_method") if isinstance(settings, dict) else None
            raise ModelUnavailable(
                f"{file} says that the weights are quantized ({str(method or key)[:40]}), which is not supported. "
                "Use the model as it was before quantization."
            )


def _build(
    file: Path, config_class: type[PretrainedConfig], fields: Mapping[str, Any], scaling: Scaling | None
) -> PretrainedConfig:
    def damaged(reason: str) -> Damaged:
        return Damaged(file, f"{_version()} takes it for no {config_class.model_type} model ({reason[:200]})", AGAIN)

    with translated(damaged):  # each family's class has its own checks
        config = config_class(**json.loads(json.dumps(fields)))  # classes keep and change what they are given
    # Not through the class, whose checks know fewer kinds of scaling than the code that computes them.
    if scaling is not None or hasattr(config, "rope_scaling"):
        config.rope_scaling = scaling
    return config


def _unknown(fields: Mapping[str, Any], config: PretrainedConfig) -> Iterator[str]:
    """What is written, unknown to the class, and could change an answer."""
    names = known_names(type(config)) | vars(type(config)()).keys() | vars(PretrainedConfig()).keys()
    for key in sorted(fields.keys() - names - _HARMLESS):
        if not _says_nothing(key, fields, config):
            yield f"{key[:60]} {json.dumps(fields[key], ensure_ascii=False)[:60]}"
    if fields.get("use_bidirectional_attention"):
        yield "use_bidirectional_attention"


def _says_nothing(key: str, fields: Mapping[str, Any], config: PretrainedConfig) -> bool:
    value = fields[key]
    if value is None or (not value and key not in _TELLING):
        return True
    neutral = _NEUTRAL | _NEUTRAL_IN.get(config.model_type, {})
    if key in neutral:
        return value == neutral[key]
    if key == "head_dim":
        return value * config.num_attention_heads == config.hidden_size
    if key == "layer_types":
        kind = "full_attention" if getattr(config, "sliding_window", None) is None else "sliding_attention"
        return value == [kind] * config.num_hidden_layers
    if key in _SYNONYMS:
        return value == getattr(config, _SYNONYMS[key], None)
    if key == "sliding_window_pattern":
        return hasattr(config, "_sliding_window_pattern")  # read, though not by name
    if key == "original_max_position_embeddings":
        return True  # `rope_of` has put it where it counts
    if key in _WINDOW and fields.get("use_sliding_window") is False:
        return True
    return bool(TRAINING.search(key)) or _is_note(key, value)


def _is_note(key: str, value: object) -> bool:
    words = set(re.findall(r"[a-z]+", re.sub(r"([A-Z])", r"_\1", key).lower()))
    return not words & _PARTS and (isinstance(value, str) or bool(words & _NOTES))


def _differences(fields: Mapping[str, Any], config: PretrainedConfig) -> Iterator[str]:
    """What is written and known, and yet not what the configuration says."""
    for key, value in fields.items():
        if value is None or not hasattr(config, key) or key in ("id2label", "label2id", "num_labels", "pruned_heads"):
            continue
        if key in _WINDOW and not getattr(config, "use_sliding_window", True):
            continue
        found = getattr(config, key)
        if found != value:
            yield f"{key} {str(value)[:60]}, of which {_version()} makes {str(found)[:60]}"
    unread = _UNREAD.get(config.model_type)
    if unread and fields.get(unread) not in (None, getattr(config, _SYNONYMS[unread])):
        yield f"{unread} {fields[unread]} and {_SYNONYMS[unread]} {getattr(config, _SYNONYMS[unread])}"


def _refusal(file: Path, said: str, *, known: bool = True) -> ModelUnavailable:
    way_out = "" if known else "If it changes nothing in this model, delete it from the file. Otherwise use "
    return ModelUnavailable(
        f"{file} says {said}. Another model would be loaded than the one that was saved, so none is. "
        f"{way_out or 'Use '}a model that {_version()} saved."
    )


def _version() -> str:
    return f"transformers {transformers.__version__}"
