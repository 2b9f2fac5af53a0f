"""Rotary positions in the terms of this transformers: one frequency base, one scaling, and a local base if need be.

transformers 5 writes `rope_parameters`, for all layers or one entry a layer type; 4 writes `rope_theta` (GPT-NeoX:
`rotary_emb_base`, `rotary_pct`) and `rope_scaling`. Either is read here, and what this version would leave out is
refused by name.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import transformers
from transformers import PretrainedConfig

# Kind -> what its settings must say, and what they may. “default” is rotation without scaling.
_KINDS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "default": (frozenset(), frozenset({"original_max_position_embeddings"})),
    "linear": (frozenset({"factor"}), frozenset({"original_max_position_embeddings"})),
    "dynamic": (frozenset({"factor"}), frozenset({"original_max_position_embeddings"})),
    "yarn": (
        frozenset({"factor"}),
        frozenset(
            {
                "attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim",
                "original_max_position_embeddings", "truncate",
            }
        ),
    ),
    "longrope": (
        frozenset({"short_factor", "long_factor"}),
        frozenset({"attention_factor", "factor", "original_max_position_embeddings"}),
    ),
    "llama3": (
        frozenset({"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"}),
        frozenset(),
    ),
}  # fmt: skip
_NOTES = frozenset({"finetuned"})  # says how the model was trained, not what it does
# Families whose configuration class does not list `rope_scaling`, but whose code reads it.
_UNLISTED = frozenset(
    {
        "bamba", "bitnet", "gemma", "gemma2", "glm", "glm4", "helium", "jetmoe", "lfm2", "minimax", "ministral",
        "mistral", "mixtral", "modernbert-decoder", "vaultgemma", "zamba2",
    }
)  # fmt: skip
_FULL, _SLIDING = "full_attention", "sliding_attention"
_ORIGINAL = "original_max_position_embeddings"
ROPE_KEYS = frozenset({"rope_parameters", "rope_scaling"})
Scaling = dict[str, Any]  # as `rope_scaling` of this transformers


class NotUnderstoodError(Exception):
    """What a configuration says and this transformers would not do; its text is the end of “config.json says …”."""


def known_names(config_class: type[PretrainedConfig]) -> frozenset[str]:
    """What the class takes by name, with the names that it maps to others."""
    makers = [vars(one)["__init__"] for one in config_class.__mro__ if "__init__" in vars(one) and one is not object]
    names = {name for maker in makers for name in inspect.signature(maker).parameters}
    return frozenset(names | set(config_class.attribute_map)) - {"self", "kwargs"}


def rope_of(fields: Mapping[str, Any], config_class: type[PretrainedConfig]) -> tuple[dict[str, Any], Scaling | None]:
    """What config.json says of positions, without `ROPE_KEYS`: fields for the class, and its `rope_scaling`.

    The fields are few: the base frequencies, the share of a head that is rotated, the length before scaling. Raises
    NotUnderstoodError.
    """
    family = config_class.model_type
    names = known_names(config_class)
    new, old = (_settings(fields, key) for key in ("rope_parameters", "rope_scaling"))
    found: dict[str, Any] = {}
    if not new:
        kind, settings = _checked(old, family)
        theta = share = None
    else:
        everywhere, local = _by_layer_type(new, family, names)
        theta, share = everywhere.pop("rope_theta", None), everywhere.pop("partial_rotary_factor", None)
        kind, settings = _checked(everywhere, family)
        if old and _checked(old, family) != (kind, settings):
            raise NotUnderstoodError("rope_scaling and rope_parameters, which contradict each other")
        if local is not None:
            found["rope_local_base_freq"] = local
    for wanted, value in (("rotary_emb_base rope_theta", theta), ("rotary_pct partial_rotary_factor", share)):
        if value is not None:
            _place(found, wanted.split(), value, names)
    _move_length(found, kind, settings, fields, names)
    if kind != "default" and "rope_scaling" not in names and family not in _UNLISTED:
        raise NotUnderstoodError(f"rotary positions of the kind “{kind}”, but {_version()} scales none in this family")
    for name, value in found.items():
        if fields.get(name) is not None and fields[name] != value:
            raise NotUnderstoodError(f"both {name} {fields[name]} and, in its rope settings, {value}")
    return found, None if kind == "default" else {"rope_type": kind, **settings}


def _settings(fields: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = fields.get(key) or {}
    if not isinstance(value, dict):
        raise NotUnderstoodError(f"{key} {str(value)[:60]}, which are no settings")
    return {name: one for name, one in value.items() if one is not None}


def _by_layer_type(settings: dict[str, Any], family: str, names: frozenset[str]) -> tuple[dict[str, Any], float | None]:
    """The settings of all layers, or of those that see everything; and the base of the others where it is its own."""
    typed = {name: dict(one) for name, one in settings.items() if isinstance(one, dict)}
    has_local = "rope_local_base_freq" in names
    if not typed:
        if has_local:
            raise NotUnderstoodError("one rope_parameters for all layers, but this family has one a layer type")
        return dict(settings), None
    if strange := sorted((settings.keys() - typed.keys()) | (typed.keys() - {_FULL, _SLIDING})):
        raise NotUnderstoodError(f"“{strange[0]}” in rope_parameters, which {_version()} does not know there")
    full, sliding = typed.get(_FULL), typed.get(_SLIDING)
    if full is None or sliding is None or (full == sliding and not has_local):
        if has_local:
            raise NotUnderstoodError(f"rope_parameters without {_SLIDING if full else _FULL}")
        return full or sliding or {}, None
    if not has_local and family != "olmo3":
        raise NotUnderstoodError(f"different rope_parameters by layer type, but {_version()} has one for all here")
    theta, share = sliding.pop("rope_theta", None), sliding.pop("partial_rotary_factor", 1)
    kind, _ = _checked(sliding, family)
    if kind != "default" or share != 1 or (not has_local and theta != full.get("rope_theta")):
        raise NotUnderstoodError(f"rope_parameters for {_SLIDING} that {_version()} would leave out")
    return full, theta if has_local else None


def _checked(settings: Mapping[str, Any], family: str) -> tuple[str, Scaling]:
    """The kind, and its settings: all that it needs and nothing that it would drop."""
    left = {name: one for name, one in settings.items() if one is not None and name not in _NOTES}
    said = {str(left.pop(name)) for name in ("rope_type", "type") if name in left}
    if family == "phi3" and said & {"su", "yarn"}:  # what longrope was called in its first files
        said = (said - {"su", "yarn"}) | {"longrope"}
    if len(said) > 1:
        raise NotUnderstoodError(f"two kinds of rotary positions, {' and '.join(sorted(said))}")
    (kind,) = said or {"default"}
    if kind not in _KINDS:
        raise NotUnderstoodError(
            f"rope_type “{kind[:40]}”, which {_version()} does not know; it knows {', '.join(_KINDS)}"
        )
    needed, possible = _KINDS[kind]
    if missing := sorted(needed - left.keys()):
        raise NotUnderstoodError(f"rope_type “{kind}” without its {missing[0]}")
    for name in sorted(left.keys() - needed - possible):
        if not (name == "factor" and left[name] == 1):
            raise NotUnderstoodError(f"“{name[:40]}” in its rope settings, which rope_type “{kind}” would ignore")
        del left[name]
    return kind, left


def _place(found: dict[str, Any], wanted: list[str], value: float, names: frozenset[str]) -> None:
    """Under the name that the class has for it."""
    for name in wanted:
        if name in names:
            found[name] = value
            return
    if wanted[0] == "rotary_pct" and value == 1:
        return
    raise NotUnderstoodError(f"{wanted[-1]} {value} in its rope settings, but {_version()} has none in this family")


def _move_length(
    found: dict[str, Any], kind: str, settings: Scaling, fields: Mapping[str, Any], names: frozenset[str]
) -> None:
    """The length before scaling to where the kind looks for it: beside the settings (longrope), or in them."""
    outside, inside = fields.get(_ORIGINAL), settings.get(_ORIGINAL)
    if kind == "longrope":
        length = settings.pop(_ORIGINAL, None) or outside
        if length is None and "factor" not in settings:
            raise NotUnderstoodError(f"rope_type “longrope” without {_ORIGINAL} or a factor")
        if length is not None:
            found[_ORIGINAL] = length
            ratio = fields.get("max_position_embeddings", length) / length
            # The ratio of the lengths is what this transformers takes for the factor.
            if settings.pop("factor", ratio) != ratio and "attention_factor" not in settings:
                raise NotUnderstoodError(f"a factor of “longrope” that is not the ratio of its lengths, {ratio:g}")
    elif kind in ("yarn", "llama3") and outside is not None and _ORIGINAL not in names:
        if inside not in (None, outside):
            raise NotUnderstoodError(f"{_ORIGINAL} {outside} and, in its rope settings, {inside}")
        settings[_ORIGINAL] = outside
    elif kind in ("default", "linear", "dynamic"):
        settings.pop(_ORIGINAL, None)  # not part of what these kinds compute


def _version() -> str:
    return f"transformers {transformers.__version__}"
