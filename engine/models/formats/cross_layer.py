"""circuit-tracer's cross-layer transcoders: W_enc_N.safetensors (W_enc_N, b_enc_N, b_dec_N, maybe threshold_N) and
W_dec_N.safetensors (W_dec_N: n_features, layers from N on, d_model) for each layer, beside `config.yaml`.

circuit-tracer reads one layer's encoder and the decoders of active features when they are needed.
"""

import re
from pathlib import Path

from circuit_tracer.transcoder.activation_functions import JumpReLU
from circuit_tracer.transcoder.cross_layer_transcoder import CrossLayerTranscoder, load_clt

from engine.domain.errors import Damaged, InputError
from engine.domain.foreign import translated
from engine.models.base import LoadedModel
from engine.models.formats.layout import AGAIN, Hooks, check_size, one_a_layer
from engine.models.formats.on_disk import Stored, check_finite, check_tensors, open_tensors

_ENCODERS = re.compile(r"W_enc_(\d{1,5})\.safetensors")


def read(folder: Path, hooks: Hooks, loaded: LoadedModel, *, scan: str) -> CrossLayerTranscoder:
    """Raises Damaged, InputError."""
    found = [(int(match[1]), path) for path in files(folder) if (match := _ENCODERS.fullmatch(path.name))]
    sizes = set()
    with_thresholds = set()
    for layer, path in enumerate(one_a_layer(found, loaded, folder)):
        n_features, thresholds = _check(layer, path, loaded)
        sizes.add(n_features)
        with_thresholds.add(thresholds)
    if len(sizes) > 1 or len(with_thresholds) > 1:
        raise InputError(
            f"The layers in {folder} do not have the same number of features, or thresholds in some of them only. Use "
            "a set whose layers are alike."
        )
    with translated(lambda reason: Damaged(folder, f"it cannot be read ({reason})", AGAIN)):
        whole: CrossLayerTranscoder = load_clt(
            str(folder), hooks.reads, hooks.writes, scan, loaded.model.device, loaded.model.dtype,
            lazy_decoder=True, lazy_encoder=True,
        )  # fmt: skip
    return whole.requires_grad_(requires_grad=False)


def has_thresholds(transcoders: CrossLayerTranscoder) -> bool:
    return isinstance(transcoders.activation_function, JumpReLU)


def files(folder: Path) -> list[Path]:
    """Of all layers, encoders and decoders."""
    return sorted([*folder.glob("W_enc_*.safetensors"), *folder.glob("W_dec_*.safetensors")])


def _check(layer: int, path: Path, loaded: LoadedModel) -> tuple[int, bool]:
    """How many features the layer has, and whether it has thresholds."""
    encoders, decoders = open_tensors(path), open_tensors(path.with_name(f"W_dec_{layer}.safetensors"))
    encoder, threshold = Stored(encoders, f"W_enc_{layer}"), f"threshold_{layer}"
    shapes = {f"b_enc_{layer}": ("n",), f"b_dec_{layer}": ("d",)}
    if threshold in encoders.shapes:
        shapes[threshold] = ("n",)
    check_size(loaded.n_layers, encoder.shape[1], loaded, path)
    check_tensors(encoders, encoder, loaded, shapes)
    check_finite(encoders, shapes)
    wanted = (encoder.shape[0], loaded.n_layers - layer, loaded.d_model)
    if (found := decoders.shapes.get(f"W_dec_{layer}", "missing")) != wanted:
        raise Damaged(decoders.path, f"W_dec_{layer} should be {wanted} and is {found}", AGAIN)
    return encoder.shape[0], threshold in encoders.shapes
