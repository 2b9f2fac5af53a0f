"""Sets that were trained here: `set.json` (TranscoderMeta) and `layer_N.safetensors`.

They are per layer, with TopK and then ReLU as activation: plain ReLU lets the number of active features explode on
fine-tuned checkpoints. A layer's file holds W_enc, W_dec (n_features, d_model), b_enc (n_features) and b_dec (d_model).
They are held in memory: training goes on from them, and at their size reading them again would only cost time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from circuit_tracer.transcoder import TranscoderSet
from circuit_tracer.transcoder.activation_functions import TopK
from circuit_tracer.transcoder.single_layer_transcoder import SingleLayerTranscoder
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from engine.domain.errors import Damaged, InputError
from engine.domain.models import TranscoderMeta
from engine.models.base import LoadedModel
from engine.models.families import family_of
from engine.models.formats.layout import Format, check_room, check_size
from engine.store.files import read_json, storing
from engine.store.tensor_headers import tensor_headers

_TENSORS = ("W_enc", "W_dec", "b_enc", "b_dec")
_REMEDY = "Remove the set and train it again."


class ReluTopK(torch.nn.Module):
    """The k largest pre-activations of a token, where positive; 0 elsewhere."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.top = TopK(k)

    def forward(self, pre: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.top(pre))


def new_transcoders(loaded: LoadedModel, n_features: int, top_k: int, *, scan: str = "") -> TranscoderSet:
    """An untrained set (all zeros) that fits the model.

    Raises InputError for more active features than there are, ModelUnavailable for a family without a row.
    """
    if top_k > n_features:
        raise InputError(f"top_k is {top_k}, but a layer has {n_features} features. Give at most {n_features}.")
    family = family_of(loaded.model)
    layers = {
        layer: SingleLayerTranscoder(
            loaded.d_model, n_features, ReluTopK(top_k), layer, device=loaded.model.device, dtype=loaded.model.dtype
        )
        for layer in range(loaded.n_layers)
    }
    return TranscoderSet(layers, feature_input_hook=family.reads, feature_output_hook=family.writes, scan=scan)


def save_transcoders(folder: Path, transcoders: TranscoderSet) -> None:
    """Write `layer_N.safetensors` into the folder; its TranscoderMeta says what they mean. Raises StorageFailed."""
    for layer, transcoder in enumerate(transcoders):
        path = folder / f"layer_{layer}.safetensors"
        with storing(path):
            save_file({name: getattr(transcoder, name).detach().cpu().contiguous() for name in _TENSORS}, path)


def _read(folder: Path, loaded: LoadedModel) -> TranscoderSet:
    meta = read_json(folder / "set.json", TranscoderMeta)
    check_size(meta.n_layers, meta.d_model, loaded, folder)
    n_features, paths = (
        meta.training.n_features,
        [folder / f"layer_{layer}.safetensors" for layer in range(meta.n_layers)],
    )
    for path in paths:  # before room is made for what set.json says
        _check_layer(path, n_features, meta.d_model)
    check_room(2 * meta.n_layers * n_features * meta.d_model, loaded, folder)
    transcoders = new_transcoders(loaded, n_features, meta.training.top_k, scan=meta.scan or meta.name)
    for path, transcoder in zip(paths, transcoders, strict=True):
        tensors = _read_layer(path)
        for name in _TENSORS:
            if not torch.isfinite(tensors[name]).all():
                raise Damaged(path, f"{name} holds values that are not finite", _REMEDY)
            getattr(transcoder, name).data.copy_(tensors[name])
    return transcoders.requires_grad_(requires_grad=False)


def _check_layer(path: Path, n_features: int, d_model: int) -> None:
    """By its header. Raises Damaged."""
    with _readable(path):
        found = {tensor.name: tensor.shape for tensor in tensor_headers(path)}
    matrix = (n_features, d_model)
    for name, wanted in zip(_TENSORS, (matrix, matrix, (n_features,), (d_model,)), strict=True):
        if found.get(name) != wanted:
            raise Damaged(path, f"{name} should be {wanted} and is {found.get(name, 'missing')}", _REMEDY)


def _read_layer(path: Path) -> dict[str, torch.Tensor]:
    with _readable(path):
        return load_file(path)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise Damaged(path, "the file is missing", _REMEDY) from error
    except (SafetensorError, OSError, ValueError) as error:
        raise Damaged(path, f"it is not a safetensors file ({error})", _REMEDY) from error


def layer_files(folder: Path) -> list[Path]:
    """`layer_N.safetensors`, as circuit-tracer's sets have them, too."""
    return sorted(folder.glob("layer_*.safetensors"))


OURS = Format("ours", lambda folder: (folder / "set.json").is_file(), _read, layer_files)
