"""SAELens: a folder a layer with `cfg.json` and `sae_weights.safetensors`, in the layouts of version 6 and before.

x @ W_enc + b_enc, the activation, @ W_dec + b_dec, and x @ W_skip^T. W_enc is (d_model, n_features). What the config
says beyond that is either taken in (b_dec subtracted from the input goes into b_enc) or refused by name.
"""

from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from engine.models.base import LoadedModel
from engine.models.families import family_of
from engine.models.formats.hook_names import read_at, written_at
from engine.models.formats.layout import (
    AnyTranscoders,
    Foreign,
    Format,
    Hooks,
    agreed,
    as_set,
    below,
    not_computed,
    one_a_layer,
)
from engine.models.formats.on_disk import LayerWeights, OnDisk, Stored, check_tensors, jump_relu, open_tensors, small
from engine.models.formats.ours import ReluTopK
from engine.store.files import read_json

_WEIGHTS = "sae_weights.safetensors"
_TRANSCODERS = ("transcoder", "skip_transcoder", "jumprelu_transcoder", "jumprelu_skip_transcoder")
# Made for autoencoders; some sets of transcoders were saved as these, with a second hook.
_AUTOENCODERS = ("standard", "jumprelu", "topk")


class _Metadata(Foreign):
    hook_name: str | None = None
    hook_name_out: str | None = None
    hook_out: str | None = None
    hook_layer: int | None = None
    hook_head_index: int | None = None
    hook_head_index_out: int | None = None


class LensConfig(_Metadata):
    """`cfg.json`. Before version 6 the metadata stood beside the rest."""

    architecture: str = "standard"
    metadata: _Metadata = _Metadata()
    apply_b_dec_to_input: bool | None = None
    normalize_activations: str | bool | None = None
    reshape_activations: str | None = None
    finetuning_scaling_factor: bool = False
    rescale_acts_by_decoder_norm: bool = False
    activation_fn: str | None = None
    activation_fn_str: str | None = None
    activation_fn_kwargs: dict[str, Any] = Field(default_factory=dict)
    k: int | None = Field(default=None, ge=1)

    def said(self, name: str) -> Any:
        """Of the metadata, wherever it stands."""
        own = getattr(self, name)
        return getattr(self.metadata, name) if own is None else own

    @property
    def activation(self) -> str:
        return self.activation_fn or self.activation_fn_str or "relu"

    @property
    def kind(self) -> str:
        """The architecture; version 5 called TopK a standard one with another activation."""
        return "topk" if self.architecture == "standard" and self.activation == "topk" else self.architecture

    @property
    def top(self) -> int | None:
        return self.k or self.activation_fn_kwargs.get("k")


def _read(folder: Path, loaded: LoadedModel) -> AnyTranscoders:
    family = family_of(loaded.model)
    found: list[tuple[int, Path]] = []
    configs: dict[Path, LensConfig] = {}
    hooks = []
    for path in _folders(folder):
        config = configs[path] = read_json(path / "cfg.json", LensConfig)
        _check(path, config)
        reads, writes = read_at(config.said("hook_name"), family), written_at(_out(config), family)
        layers = {reads.layer, writes.layer, config.said("hook_layer")} - {None}
        if len(layers) != 1:
            raise not_computed(
                path,
                f"it reads at {config.said('hook_name')} and writes at {_out(config)}, not in one and the same layer",
            )
        found.append((layers.pop() or 0, path))
        hooks.append(Hooks(reads.hook, writes.hook))
    ordered = one_a_layer(found, loaded, folder)
    transcoders = {layer: _transcoder(layer, path, configs[path], loaded) for layer, path in enumerate(ordered)}
    return as_set(transcoders, agreed(hooks, folder), loaded, source=folder, scan=str(folder))


def _transcoder(layer: int, folder: Path, config: LensConfig, loaded: LoadedModel) -> OnDisk:
    file = open_tensors(folder / _WEIGHTS)
    encoder = Stored(file, "W_enc", transposed=True)
    shapes = {"W_dec": ("n", "d"), "b_enc": ("n",), "b_dec": ("d",)}
    if "jumprelu" in config.kind:
        shapes["threshold"] = ("n",)
    if "skip" in config.kind:
        shapes["W_skip"] = ("d", "d")
    check_tensors(file, encoder, loaded, shapes)
    activation: torch.nn.Module = torch.nn.ReLU()
    if "jumprelu" in config.kind:
        activation = jump_relu(small(file, "threshold"))
    elif config.kind == "topk":
        if not isinstance(config.top, int) or not 1 <= config.top <= encoder.shape[0]:
            raise not_computed(folder, f"k is {config.top}, which should be 1 to {encoder.shape[0]:,}, the features")
        activation = ReluTopK(config.top)
    skip = small(file, "W_skip") if "skip" in config.kind else None
    weights = LayerWeights(encoder, Stored(file, "W_dec"), small(file, "b_enc"), small(file, "b_dec"), activation, skip)
    if config.kind in _AUTOENCODERS and config.apply_b_dec_to_input is not False:  # on where nothing is said
        weights = weights.reading_less_decoder_bias()
    return OnDisk(layer, weights, loaded)


def _check(folder: Path, config: LensConfig) -> None:
    """Raises InputError for what would change the result and is not computed."""
    if config.kind not in (*_TRANSCODERS, *_AUTOENCODERS):
        raise not_computed(folder, f"the architecture “{config.kind[:80]}” is not one of SAELens’s transcoders")
    if not config.said("hook_name"):
        raise not_computed(folder, "cfg.json does not say where it reads (hook_name)")
    if config.kind in _AUTOENCODERS and _out(config) in ("", config.said("hook_name")):
        raise not_computed(
            folder,
            f"it is a sparse autoencoder at {config.said('hook_name')}: it writes where it reads, and only transcoders "
            "stand for an MLP",
        )
    if not _out(config):
        raise not_computed(folder, "cfg.json does not say where it writes (hook_name_out)")
    refused = {
        "normalize_activations": config.normalize_activations not in (None, False, "none"),
        "reshape_activations": config.reshape_activations not in (None, "none"),
        "finetuning_scaling_factor": config.finetuning_scaling_factor,
        "rescale_acts_by_decoder_norm": config.rescale_acts_by_decoder_norm,
        "apply_b_dec_to_input": config.kind in _TRANSCODERS and bool(config.apply_b_dec_to_input),
        "activation_fn": config.activation not in ("relu", *(["topk"] if config.kind == "topk" else [])),
    }
    for name, wrong in refused.items():
        if wrong:
            said = config.activation if name == "activation_fn" else getattr(config, name)
            raise not_computed(folder, f"{name} is “{str(said)[:80]}”, which is not supported here")
    for name in ("hook_head_index", "hook_head_index_out"):
        if config.said(name) is not None:
            raise not_computed(folder, f"it stands for one attention head ({name} is {config.said(name)}), not an MLP")


def _out(config: LensConfig) -> str:
    return config.said("hook_name_out") or config.said("hook_out") or ""


def _folders(folder: Path) -> list[Path]:
    return [path.parent for path in below(folder, _WEIGHTS)]


def _files(folder: Path) -> list[Path]:
    return sorted(path / name for path in _folders(folder) for name in ("cfg.json", _WEIGHTS))


SAELENS = Format("SAELens’s", lambda folder: bool(_folders(folder)), _read, _files)
