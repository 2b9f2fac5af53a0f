"""EleutherAI's sparsify: a folder a hook point (`layers.3.mlp`) with `cfg.json` and `sae.safetensors`.

The k largest of relu(encoder(x)), @ W_dec + b_dec, and x @ W_skip^T, from an MLP's input to its output. Until February
2025 transcoders subtracted b_dec from their input, as its autoencoders do; their `cfg.json` has no `transcode`.
"""

from pathlib import Path
from typing import Any

from pydantic import Field

from engine.domain.errors import Damaged
from engine.domain.record import Record
from engine.models.base import LoadedModel
from engine.models.families import family_of
from engine.models.formats.hook_names import read_at, written_at
from engine.models.formats.layout import (
    AGAIN,
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
from engine.models.formats.on_disk import LayerWeights, OnDisk, Stored, check_tensors, open_tensors, small
from engine.models.formats.ours import ReluTopK
from engine.store.files import read_json

_WEIGHTS = "sae.safetensors"
# These matter in training only: the weights are as they say already.
_TRAINING = {"normalize_decoder", "multi_topk", "expansion_factor", "num_latents", "lookup_max_order"}


class SparsifyConfig(Record, extra="allow"):
    """`cfg.json`. What is not named here is refused where it is set."""

    d_in: int = Field(ge=1)
    k: int = Field(default=32, ge=1)
    activation: str = "topk"
    num_latents: int = 0
    expansion_factor: int = 32
    skip_connection: bool = False
    transcode: bool | None = None

    @property
    def n_features(self) -> int:
        return self.num_latents or self.d_in * self.expansion_factor

    @property
    def unknown(self) -> dict[str, Any]:
        extra = self.model_extra or {}
        return {name: value for name, value in extra.items() if value and name not in _TRAINING}


class _Trained(Foreign):
    """`config.json` beside the hook points' folders: how all of them were trained."""

    transcode: bool = False


def _read(folder: Path, loaded: LoadedModel) -> AnyTranscoders:
    family, found, hooks = family_of(loaded.model), [], []
    for path in _folders(folder):
        reads, writes = read_at(path.name, family, side="input"), written_at(path.name, family)
        found.append((reads.layer or 0, path))
        hooks.append(Hooks(reads.hook, writes.hook))
    layers = {layer: _transcoder(layer, path, loaded) for layer, path in enumerate(one_a_layer(found, loaded, folder))}
    return as_set(layers, agreed(hooks, folder), loaded, source=folder, scan=str(folder))


def _transcoder(layer: int, folder: Path, loaded: LoadedModel) -> OnDisk:
    config = read_json(folder / "cfg.json", SparsifyConfig)
    _check(folder, config)
    file = open_tensors(folder / _WEIGHTS)
    encoder = Stored(file, "encoder.weight")
    shapes = {"encoder.bias": ("n",), "W_dec": ("n", "d"), "b_dec": ("d",)}
    if config.skip_connection:
        shapes["W_skip"] = ("d", "d")
    check_tensors(file, encoder, loaded, shapes)
    if encoder.shape[0] != config.n_features:
        raise Damaged(file.path, f"it has {encoder.shape[0]} features, and cfg.json says {config.n_features}", AGAIN)
    if config.k > config.n_features:
        raise not_computed(folder, f"k is {config.k}, but a layer has {config.n_features} features")
    skip = small(file, "W_skip") if config.skip_connection else None
    weights = LayerWeights(
        encoder, Stored(file, "W_dec"), small(file, "encoder.bias"), small(file, "b_dec"), ReluTopK(config.k), skip
    )
    return OnDisk(layer, weights if config.transcode else weights.reading_less_decoder_bias(), loaded)


def _check(folder: Path, config: SparsifyConfig) -> None:
    """Raises InputError for what would change the result and is not computed."""
    if config.activation != "topk":
        raise not_computed(folder, f"the activation “{config.activation[:80]}” is not supported here, only topk")
    if config.unknown:
        name, value = next(iter(sorted(config.unknown.items())))
        raise not_computed(folder, f"cfg.json says {name[:80]}: {str(value)[:80]}, of which is not known what it does")
    if not (config.transcode or config.skip_connection or _trained_as_transcoder(folder)):
        raise not_computed(
            folder, "it is a sparse autoencoder: it writes where it reads, and only transcoders stand for an MLP"
        )


def _trained_as_transcoder(folder: Path) -> bool:
    path = folder.with_name("config.json")
    return path.is_file() and read_json(path, _Trained).transcode


def _folders(folder: Path) -> list[Path]:
    return [path.parent for path in below(folder, _WEIGHTS)]


def _files(folder: Path) -> list[Path]:
    found = _folders(folder)
    own = [path / name for path in found for name in ("cfg.json", _WEIGHTS)]
    return sorted([*own, *{path.parent / "config.json" for path in found if (path.parent / "config.json").is_file()}])


SPARSIFY = Format("sparsify’s", lambda folder: bool(_folders(folder)), _read, _files)
