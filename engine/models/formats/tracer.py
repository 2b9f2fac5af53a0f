"""circuit-tracer's own form: `config.yaml`, and `layer_N.safetensors` or the files that the config lists.

Each file is circuit-tracer's (W_enc, W_dec, b_enc, b_dec, maybe W_skip and activation_function.threshold) or one of
Gemma Scope's. The activation is ReLU, JumpReLU where there are thresholds, or TopK where the config says so: circuit-
tracer 0.5.0 reads such a set as ReLU, later versions keep the k largest pre-activations, whatever their sign.
"""

import re
from pathlib import Path

import yaml  # type: ignore[import-untyped]  # its stubs are not worth a dependency
from circuit_tracer.transcoder import TranscoderSet
from circuit_tracer.transcoder.activation_functions import TopK
from circuit_tracer.transcoder.single_layer_transcoder import SingleLayerTranscoder, load_relu_transcoder
from circuit_tracer.utils.hf_utils import resolve_transcoder_paths
from pydantic import Field, ValidationError

from engine.domain.errors import Damaged, InputError, ModelUnavailable
from engine.domain.foreign import one_line, translated
from engine.domain.record import Record
from engine.models.base import LoadedModel
from engine.models.families import family_of
from engine.models.formats import cross_layer, gemma_scope
from engine.models.formats.hook_names import read_at, written_at
from engine.models.formats.layout import (
    AGAIN,
    AnyTranscoders,
    Format,
    Hooks,
    as_set,
    not_computed,
    one_a_layer,
)
from engine.models.formats.on_disk import Stored, TensorFile, check_finite, check_tensors, open_tensors
from engine.models.formats.ours import layer_files
from engine.store.files import first_reason, read_text

_NUMBER = re.compile(r"layer_(\d{1,5})\.safetensors")
_TELLING = re.compile(r"activation|top_?k|normali")  # in a name that is not known, of what would change the result
_LONGEST, _DEEPEST = 50_000, 20  # characters and levels of a config; the parser takes seconds for more
_OPENS = (
    yaml.FlowSequenceStartToken, yaml.FlowMappingStartToken, yaml.BlockSequenceStartToken, yaml.BlockMappingStartToken,
)  # fmt: skip
_CLOSES = (yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken, yaml.BlockEndToken)
_THRESHOLD = "activation_function.threshold"
# Its config says TopK and leaves k to circuit-tracer, which has this number in its code.
_KNOWN_K = {"facebook/crv-8b-instruct-transcoders": 128}


class TracerConfig(Record, extra="allow"):
    """`config.yaml`: what decides what a set computes, and whatever else it holds."""

    feature_input_hook: str
    feature_output_hook: str
    model_kind: str = "transcoder_set"
    activation: str | None = None
    k: int | None = Field(default=None, ge=1)
    transcoders: tuple[str, ...] = ()


def config_of(folder: Path, *, name: str = "") -> TracerConfig:
    """The folder's config, checked; `name` is that of a published set. Raises Damaged, InputError."""
    path, config = folder / "config.yaml", _parsed(folder)
    if config.model_kind not in ("transcoder_set", "cross_layer_transcoder"):
        raise not_computed(path, f"model_kind “{config.model_kind[:80]}” is not known")
    if telling := sorted(filter(_TELLING.search, map(str, config.model_extra or {}))):
        raise not_computed(path, f"it says {telling[0][:80]}, of which is not known what it does")
    if config.activation not in (None, "relu", "jumprelu", "jump_relu", "topk"):
        raise not_computed(path, f"the activation “{config.activation[:80]}” is not known, only relu, jumprelu, topk")
    if config.activation == "topk" and config.k is None:
        if name not in _KNOWN_K:
            raise InputError(
                f"{path} says that only the largest activations stay (topk), and not how many. Add a line “k: N” with "
                "the number that the set was trained with."
            )
        config = config.model_copy(update={"k": _KNOWN_K[name]})
    return config


def _parsed(folder: Path) -> TracerConfig:
    path = folder / "config.yaml"
    try:
        text = read_text(path)
        if _grows(text):
            raise Damaged(path, "it is longer or deeper than such a file is, or repeats itself by references", AGAIN)
        return TracerConfig.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, ValidationError):
            raise Damaged(path, first_reason(error), AGAIN) from error
        raise Damaged(path, f"it is not YAML ({one_line(error)})", AGAIN) from error


def _grows(text: str) -> bool:
    """Whether parsing it could take seconds, or what is parsed be larger than it."""
    if len(text) > _LONGEST:
        return True
    depth = 0
    for token in yaml.scan(text):
        depth += isinstance(token, _OPENS) - isinstance(token, _CLOSES)
        if depth > _DEEPEST or isinstance(token, yaml.AliasToken):
            return True
    return False


def read(folder: Path, loaded: LoadedModel, *, name: str = "") -> AnyTranscoders:
    """As every format's `read`; `name` is that of a published set."""
    config = config_of(folder, name=name)
    family = family_of(loaded.model)
    hooks = Hooks(read_at(config.feature_input_hook, family).hook, written_at(config.feature_output_hook, family).hook)
    top = None if config.activation != "topk" or config.k is None else TopK(config.k)
    if config.model_kind == "cross_layer_transcoder":
        if config.transcoders:
            raise not_computed(folder, "cross-layer transcoders that are listed file by file are not read")
        whole = cross_layer.read(folder, hooks, loaded, scan=name or str(folder))
        _check_activation(config, whole.d_transcoder, folder, thresholds=cross_layer.has_thresholds(whole))
        if top is not None:
            whole.activation_function = top
        return whole
    return _read_set(folder, config, hooks, top, loaded, scan=name or str(folder))


def _read_set(
    folder: Path, config: TracerConfig, hooks: Hooks, top: TopK | None, loaded: LoadedModel, *, scan: str
) -> TranscoderSet:
    layers: dict[int, SingleLayerTranscoder] = {}
    for layer, path in enumerate(one_a_layer(_numbered(folder, config), loaded, folder)):
        file = open_tensors(path)
        if gemma_scope.is_one(file):
            layers[layer] = gemma_scope.transcoder(layer, file, loaded)
        else:
            layers[layer] = _transcoder(layer, file, loaded)
        _check_activation(config, layers[layer].d_transcoder, path, thresholds=_has_thresholds(file))
        if top is not None:
            layers[layer].activation_function = top
    return as_set(layers, hooks, loaded, source=folder, scan=scan)


def _transcoder(layer: int, file: TensorFile, loaded: LoadedModel) -> SingleLayerTranscoder:
    if "log_thresholds" in file.shapes:
        raise not_computed(file.path, "its thresholds are stored as logarithms (log_thresholds)")
    shapes = {"W_dec": ("n", "d"), "b_enc": ("n",), "b_dec": ("d",)}
    if "W_skip" in file.shapes:
        shapes["W_skip"] = ("d", "d")
    if _THRESHOLD in file.shapes:
        shapes[_THRESHOLD] = ("n",)
    check_tensors(file, Stored(file, "W_enc"), loaded, shapes)
    check_finite(file, shapes.keys() - {"W_dec"})
    device, dtype = loaded.model.device, loaded.model.dtype
    with translated(lambda reason: Damaged(file.path, f"it cannot be read ({reason})", AGAIN)):
        return load_relu_transcoder(str(file.path), layer, device, dtype, lazy_encoder=True, lazy_decoder=True)


def _has_thresholds(file: TensorFile) -> bool:
    return bool({_THRESHOLD, "threshold"} & file.shapes.keys())


def _check_activation(config: TracerConfig, n_features: int, path: Path, *, thresholds: bool) -> None:
    """Whether the config says what the tensors say."""
    if config.activation in ("relu", "topk") and thresholds:
        raise not_computed(path, f"config.yaml says {config.activation}, but it holds thresholds, which are JumpReLU’s")
    if config.activation in ("jumprelu", "jump_relu") and not thresholds:
        raise not_computed(path, f"config.yaml says {config.activation}, but it holds no thresholds")
    if config.activation == "topk" and config.k is not None and config.k > n_features:
        raise not_computed(path, f"k is {config.k}, but a layer has {n_features} features")


def _numbered(folder: Path, config: TracerConfig) -> list[tuple[int, Path]]:
    if not config.transcoders:
        found = ((_NUMBER.fullmatch(path.name), path) for path in layer_files(folder))
        return [(int(match[1]), path) for match, path in found if match]
    try:
        paths = resolve_transcoder_paths({"transcoders": list(config.transcoders)})
    # It passes on whatever the hub or the network raises.
    except Exception as error:
        raise ModelUnavailable(
            f"{folder / 'config.yaml'} lists files on the hub that could not be had: {first_line(error)}. Connect to "
            "the network (and, if they are gated, run `huggingface-cli login`), or list files that are here."
        ) from error
    return [(layer, folder / path) for layer, path in paths.items()]


def first_line(error: Exception) -> str:
    """What a foreign error says, short and without its full stop."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".")


def _files(folder: Path) -> list[Path]:
    """The config is among them where it says more than circuit-tracer 0.5.0 reads."""
    path, config = folder / "config.yaml", _parsed(folder)
    if config.model_kind == "cross_layer_transcoder":
        return [path, *cross_layer.files(folder)]
    if config.transcoders:
        return [path, *(folder / name for name in config.transcoders if (folder / name).is_file())]
    return [path, *layer_files(folder)] if config.activation == "topk" else layer_files(folder)


TRACER = Format("circuit-tracer’s", lambda folder: (folder / "config.yaml").is_file(), read, _files)
