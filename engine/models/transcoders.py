"""Transcoder sets: sparse stand-ins for each layer's MLP, ours or published.

Ours are per layer, with TopK and then ReLU as activation: plain ReLU lets the number of active features explode on
fine-tuned checkpoints. A folder of ours holds `set.json` (TranscoderMeta) and `layer_N.safetensors` with W_enc, W_dec
(n_features, d_model), b_enc (n_features) and b_dec (d_model). A folder in circuit-tracer's own form (`config.yaml`
and the same layer files) and its published sets by name ("gemma", "llama") or hub id are read too.
"""

import hashlib
import logging
from pathlib import Path
from typing import TypeAlias

import torch
import yaml  # type: ignore[import-untyped]  # its stubs are not worth a dependency
from circuit_tracer.transcoder import TranscoderSet
from circuit_tracer.transcoder.activation_functions import TopK
from circuit_tracer.transcoder.cross_layer_transcoder import CrossLayerTranscoder
from circuit_tracer.transcoder.single_layer_transcoder import SingleLayerTranscoder, load_transcoder_set
from circuit_tracer.utils.hf_utils import load_transcoder_from_hub
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from engine.domain.errors import Damaged, InputError, ModelUnavailable
from engine.domain.models import TranscoderMeta
from engine.models.base import LoadedModel
from engine.models.families import family_of
from engine.store.files import read_json, storing

_log = logging.getLogger(__name__)
AnyTranscoders: TypeAlias = TranscoderSet | CrossLayerTranscoder
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


def load_transcoders(source: Path | str, loaded: LoadedModel) -> AnyTranscoders:
    """A set from a folder of ours, a folder in circuit-tracer's form, or a published set by its name or hub id.

    Raises Damaged (a file that is not what it should be), InputError (made for a model of another shape),
    ModelUnavailable (cannot be had here).
    """
    folder = Path(source).expanduser()
    if (folder / "set.json").is_file():
        transcoders = _load_ours(folder, loaded)
    elif (folder / "config.yaml").is_file():
        transcoders = _load_tracer_folder(folder, loaded)
    elif folder.is_dir():
        raise InputError(f"{folder} is not a transcoder set: it has neither set.json nor config.yaml.")
    else:
        transcoders = _load_published(str(source), loaded)
    _check_shape(transcoders, loaded, str(source))
    return transcoders


def transcoders_hash(source: Path | str) -> str:
    """16 hex digits: of the tensors' files for a folder, of the name for a published set."""
    digest = hashlib.sha256()
    folder = Path(source).expanduser()
    if not folder.is_dir():
        digest.update(str(source).encode())
    for path in sorted(folder.glob("layer_*.safetensors")):
        digest.update(path.name.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def _load_ours(folder: Path, loaded: LoadedModel) -> TranscoderSet:
    meta = read_json(folder / "set.json", TranscoderMeta)
    _check_size(meta.n_layers, meta.d_model, loaded, str(folder))
    transcoders = new_transcoders(loaded, meta.training.n_features, meta.training.top_k, scan=meta.scan or meta.name)
    for layer, transcoder in enumerate(transcoders):
        path = folder / f"layer_{layer}.safetensors"
        tensors = _read_layer(path)
        for name in _TENSORS:
            wanted = getattr(transcoder, name)
            if name not in tensors or tensors[name].shape != wanted.shape:
                found = tuple(tensors[name].shape) if name in tensors else "missing"
                raise Damaged(path, f"{name} should be {tuple(wanted.shape)} and is {found}", _REMEDY)
            if not torch.isfinite(tensors[name]).all():
                raise Damaged(path, f"{name} holds values that are not finite", _REMEDY)
            wanted.data.copy_(tensors[name])
    return transcoders.requires_grad_(requires_grad=False)


def _read_layer(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise Damaged(path, "the file is missing", _REMEDY) from error
    except (SafetensorError, OSError, ValueError) as error:
        raise Damaged(path, f"it is not a safetensors file ({error})", _REMEDY) from error


def _load_tracer_folder(folder: Path, loaded: LoadedModel) -> TranscoderSet:
    """circuit-tracer's own per-layer form: ReLU, or JumpReLU where a layer file has thresholds."""
    path = folder / "config.yaml"
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        reads, writes = config["feature_input_hook"], config["feature_output_hook"]
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise Damaged(path, f"it does not name feature_input_hook and feature_output_hook ({error})") from error
    layers = {layer: str(folder / f"layer_{layer}.safetensors") for layer in range(loaded.n_layers)}
    for layer_path in layers.values():
        _read_layer(Path(layer_path))
    device, dtype = loaded.model.device, loaded.model.dtype
    return load_transcoder_set(layers, str(folder), reads, writes, device=device, dtype=dtype)


def _load_published(name: str, loaded: LoadedModel) -> AnyTranscoders:
    try:
        device, dtype = loaded.model.device, loaded.model.dtype
        transcoders, _ = load_transcoder_from_hub(name, device=device, dtype=dtype, lazy_decoder=True)
    # The loader passes on whatever the hub, the network or a foreign config raises.
    except Exception as error:
        _log.warning("Transcoders “%s” could not be loaded", name, exc_info=True)
        raise ModelUnavailable(
            f"Transcoders “{name}” could not be loaded: {_first_line(error)}. If this is a folder, check its path. If "
            "it is a published set, connect to the network (and, if it is gated, run `huggingface-cli login`), or "
            "download it elsewhere with `huggingface-cli download` and give the folder. Or leave transcoders empty: "
            "a shared set is then trained here."
        ) from error
    return transcoders


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".")


def _check_shape(transcoders: AnyTranscoders, loaded: LoadedModel, source: str) -> None:
    d_model = transcoders[0].d_model if isinstance(transcoders, TranscoderSet) else transcoders.d_model
    _check_size(transcoders.n_layers, d_model, loaded, source)


def _check_size(n_layers: int, d_model: int, loaded: LoadedModel, source: str) -> None:
    if (n_layers, d_model) != (loaded.n_layers, loaded.d_model):
        raise InputError(
            f"Transcoders {source} are for a model with {n_layers} layers and d_model {d_model}; “{loaded.spec.name}” "
            f"has {loaded.n_layers} layers and d_model {loaded.d_model}. Use a set made for this model, or none: a "
            "shared set is then trained."
        )
