"""A model in a GGUF file, written once as a Hugging Face folder: transformers reads it, through the `gguf` package.

The weights are those of the file: what its quantisation rounded off does not come back. What transformers would leave
out of the file is put right where the configuration has a field for it, and otherwise refused by name: a model is the
one that was saved, or is not written.
"""

import copy
import importlib.util
import logging
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import torch
import transformers
from filelock import FileLock
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PretrainedConfig

from engine.domain.errors import Damaged, ModelUnavailable
from engine.domain.foreign import translated
from engine.domain.jobs import CancelToken, Report
from engine.domain.model_families import FAMILY_TITLES, UNSUPPORTED
from engine.domain.models import Converted
from engine.domain.numbers import memory
from engine.domain.real_model import READER
from engine.models.base import BUILDING
from engine.models.families import FAMILIES
from engine.models.gguf_header import GgufHeader, gguf_header
from engine.models.memory import free_memory
from engine.store.converted import CONVERTED, converted_from, write_converted
from engine.store.files import file_hash, new_folder

_log = logging.getLogger(__name__)
_READ: Final = {row.gguf: kind for kind, row in FAMILIES.items() if row.gguf}
_NOT_READ: Final = {kind.replace("_", ""): kind for kind, row in FAMILIES.items() if not row.gguf}
# What transformers' reader leaves out, and the field of the configuration that says it.
_LEFT_OUT: Final = {
    "attention.key_length": "head_dim",
    "attention.sliding_window": "sliding_window",
    "attn_logit_softcapping": "attn_logit_softcapping",
    "final_logit_softcapping": "final_logit_softcapping",
}
_SAME: Final = ("attention.value_length", "rope.dimension_count")
_WIDTHS: Final = ("attention.key_length", *_SAME)  # of a head, all of them
_FACTORS: Final = "rope_freqs.weight"
_LLAMA_3: Final = (8.0, 32.0)  # of Llama 3.1 and 3.3, and of 3.2
_SAYS_NOTHING: Final = ("vocab_size", "tensor_data_layout", "rope.scaling.original_context_length")
_NOT_SIZES: Final = ("context_length", "attention.sliding_window", "rope.scaling.original_context_length")
# Their attention is scaled by a number that the file does not hold and the smaller ones do not need.
_OTHER_SCALE: Final = {"gemma2 46": "Gemma 2 27B", "gemma3 62": "Gemma 3 27B"}  # by layers


def gguf_model(file: Path, cache: Path, name: str, dtype: str, report: Report, cancel: CancelToken) -> Path:
    """The model in `file` as a folder below `cache`, in `dtype`; what lies there whole, of the same file, is kept.

    Safe between processes. Raises ModelUnavailable (no reader, another family, not enough room), Damaged (the file, or
    what it holds), StorageFailed, Canceled.
    """
    if importlib.util.find_spec(READER) is None:
        raise ModelUnavailable(
            f"Reading {file.name} needs the package {READER}, which is not installed. Run `pip install --no-deps "
            "-r requirements-real.txt` in the repository, with the pip of its environment."
        )
    report(0.0, f"reading the head of {file.name}")
    header = gguf_header(file)
    refuse_unread(file, header)
    report(0.05, f"reading {memory(header.n_bytes)}")
    digest = file_hash(file)
    folder = cache / CONVERTED / f"{name}-{digest[:12]}-{dtype}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        if not _is_whole(folder):
            cancel.check()
            n_bytes = refuse_no_room(file, header, folder.parent, dtype)
            report(0.2, f"writing {memory(n_bytes)} of weights")
            with new_folder(folder, replace=True) as new:
                write_folder(file, new, getattr(torch, dtype), header)
                written = {path.name: file_hash(path) for path in new.glob("*.safetensors")}
                about = Converted(file=str(file), sha256=digest, stored_as=_kinds(header), weights_sha256=written)
                write_converted(new, about)
                cancel.check()
    return folder


def _is_whole(folder: Path) -> bool:
    about = converted_from(folder)
    if about is None or not about.weights_sha256:
        return False
    files = [(folder / name, digest) for name, digest in about.weights_sha256.items()]
    return all(path.is_file() and file_hash(path) == digest for path, digest in files)


def _kinds(header: GgufHeader) -> str:
    from gguf import GGMLQuantizationType

    counted = Counter[str]()
    for one in header.tensors:
        counted[GGMLQuantizationType(one.kind).name] += one.n_numbers
    return ", ".join(name for name, _ in counted.most_common())


def refuse_no_room(file: Path, header: GgufHeader, where: Path, dtype: str) -> int:
    """What the weights take in `dtype`, which is told. transformers holds them all in float32 besides.

    Raises ModelUnavailable where that is more than the disk of `where`, or the memory, has left.
    """
    n = sum(one.n_numbers for one in header.tensors)
    written = n * getattr(torch, dtype).itemsize
    held = 4 * n + (0 if dtype == "float32" else written)
    said = f"{file.name} holds {memory(header.n_bytes)}. As {dtype} its weights are {memory(written)}"
    if written > (free := shutil.disk_usage(where).free):
        raise ModelUnavailable(
            f"{said}, and the disk of the workspace ({where}) has {memory(free)} left. Free some space, or use another "
            "workspace (--workspace DIR or TRACELAPSE_HOME)."
        )
    if held > (free := free_memory(torch.device("cpu"), held)):
        raise ModelUnavailable(
            f"{said}; writing them takes {memory(held)} of memory, and {memory(free)} are free. Use a machine with "
            "more memory, or a smaller model."
        )
    return int(written)


def refuse_unread(file: Path, header: GgufHeader) -> None:
    """Raises ModelUnavailable for another family, and for a model that would not come out as it is in the file; Damaged
    for sizes that it does not hold."""
    _refuse_other_family(file, header)
    own = header.of_architecture()
    if title := _OTHER_SCALE.get(f"{header.architecture} {own.get('block_count')}"):
        raise _left_out(file, f"not how {title} scales its attention, which", "its Hugging Face folder says")
    for name in own:
        if _changes_the_model(name, own[name], header.architecture):
            raise _left_out(file, f"{name} {str(own[name])[:40]}", "transformers leaves out")
    _refuse_sizes(file, header, own)


def _left_out(file: Path, what: str, whose: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"{file} says {what}, which {whose} of GGUF files (transformers {transformers.__version__}). Another model "
        "would be written than the one in the file. Use the model’s Hugging Face folder instead."
    )


def _refuse_other_family(file: Path, header: GgufHeader) -> None:
    kind = header.architecture
    if kind in _READ:
        return
    if kind in _NOT_READ:
        raise ModelUnavailable(
            f"{file} holds a model of the family {FAMILY_TITLES[_NOT_READ[kind]]}, which transformers "
            f"{transformers.__version__} does not read from GGUF files. Use its Hugging Face folder instead."
        )
    known = ", ".join(FAMILY_TITLES[family] for family in _READ.values())
    why = UNSUPPORTED.get(kind, "")
    raise ModelUnavailable(
        f"{file} holds a model of the family “{kind[:60]}”, which is not supported{f': {why}' if why else ''}. Use a "
        f"GGUF file of one of these: {known}."
    )


def _changes_the_model(name: str, value: object, kind: str) -> bool:
    """Whether a field is left out by transformers and says something."""
    from transformers.integrations.ggml import GGUF_CONFIG_MAPPING

    if name in GGUF_CONFIG_MAPPING[kind] or name in _LEFT_OUT or name in _SAME or name in _SAYS_NOTHING:
        return value == []  # a number for each layer, where one for all is read
    return not (value in (None, False, 0, "", "none") or (name == "attention.causal" and value is True))


def _refuse_sizes(file: Path, header: GgufHeader, own: Mapping[str, object]) -> None:
    """Room is made for what is told before the weights are looked at."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    known = {int(kind): GGML_QUANT_SIZES[kind] for kind in GGMLQuantizationType}
    for one in header.tensors:
        if one.kind not in known:
            raise ModelUnavailable(f"{file}: {one.name} is quantized in a way that is not known ({one.kind}).")
        numbers, n_bytes = known[one.kind]
        if one.n_numbers // numbers * n_bytes > header.n_bytes:
            raise Damaged(file, f"{one.name} is larger than the file", "Download the file again.")
    largest = max((side for one in header.tensors for side in one.shape), default=0)
    for name, value in own.items():
        most = len(header.tensors) if name == "block_count" else largest
        if isinstance(value, int) and name not in _NOT_SIZES and value > most:
            raise Damaged(
                file, f"it says that {name} is {value:,}, and it holds nothing of that size", "Download the file again."
            )


def write_folder(file: Path, folder: Path, dtype: torch.dtype, header: GgufHeader) -> None:
    """The model and its tokenizer, as save_pretrained writes them. Raises ModelUnavailable, Damaged, StorageFailed."""
    given: dict[str, Any] = {"gguf_file": file.name, "local_files_only": True}
    with BUILDING, translated(partial(_unreadable, file)):
        config = AutoConfig.from_pretrained(file.parent, **given)
        _put_right(file, header, config)
        _refuse_other_names(file, header, config)
        model, info = AutoModelForCausalLM.from_pretrained(
            file.parent, config=config, dtype=dtype, output_loading_info=True, **given
        )
        tokenizer = _tokenizer(file, config, given)
    if missing := sorted(info["missing_keys"]):
        raise _unreadable(file, f"{len(missing)} weights are missing, such as {missing[0]}")
    model.save_pretrained(folder, max_shard_size="2GB")
    tokenizer.save_pretrained(folder)
    (folder / "tokenizer.model").unlink(missing_ok=True)  # the GGUF file once more, under the name of a tokenizer's


class _Tokens(list[str]):
    """A list that is quick to be asked for what is in it: transformers asks once for each part of each token."""

    def __init__(self, tokens: Iterable[str]) -> None:
        super().__init__(tokens)
        self._known = frozenset(self)

    def __contains__(self, token: object) -> bool:
        return token in self._known


def _tokenizer(file: Path, config: PretrainedConfig, given: Mapping[str, Any]) -> Any:
    """As transformers makes it of the file, but for an hour that it would take with the 262,144 tokens of Gemma."""
    from transformers.integrations.ggml import convert_gguf_tokenizer
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    read = load_gguf_checkpoint(str(file))
    parts = read["tokenizer"] | {"tokens": _Tokens(read["tokenizer"]["tokens"])}
    words, more = convert_gguf_tokenizer(read["config"]["model_type"], parts)
    # `legacy`, or stderr asks whether that is meant.
    settings = read["tokenizer_config"] | more | {"legacy": True, "tokenizer_object": words}
    # The configuration, or the whole file is read once more.
    return AutoTokenizer.from_pretrained(file.parent, config=config, **settings, **given)


def _unreadable(file: Path, reason: str) -> Damaged:
    return Damaged(file, f"it cannot be read ({reason})", "Download the file again.")


def _put_right(file: Path, header: GgufHeader, config: PretrainedConfig) -> None:
    """What the file says and transformers reads from none. Raises ModelUnavailable where no field can say it."""
    own = header.of_architecture()
    if (config.pad_token_id or 0) >= config.vocab_size:
        config.pad_token_id = None  # a family's own, which this vocabulary has not
    if header.architecture == "gpt2":
        config.n_positions, config.n_inner = own["context_length"], own["feed_forward_length"]
        del config.feed_forward_length  # as transformers calls it, and reads it nowhere
    for name, field in _LEFT_OUT.items():
        if own.get(name) and hasattr(config, field):
            setattr(config, field, own[name])
    _scale_rotations(file, header, config)
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    for name in (*_LEFT_OUT, *_SAME):
        said = getattr(config, _LEFT_OUT.get(name, ""), width if name in _WIDTHS else None)
        if own.get(name) and own[name] != said:
            raise _left_out(file, f"{name} {own[name]}", "transformers leaves out")


def _scale_rotations(file: Path, header: GgufHeader, config: PretrainedConfig) -> None:
    """Llama 3.1 and later turn slow pairs slower. A file has the factors, a configuration what they are made of."""
    if all(one.name != _FACTORS for one in header.tensors):
        return
    from gguf import GGUFReader
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    held = next(torch.tensor(one.data) for one in GGUFReader(file).tensors if one.name == _FACTORS)
    plain, _ = ROPE_INIT_FUNCTIONS["llama3"](_with_factor(config, 1.0), torch.device("cpu"))
    for factor in _LLAMA_3:
        scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](_with_factor(config, factor), torch.device("cpu"))
        if len(held) == len(plain) and torch.allclose(held, plain / scaled, rtol=1e-3):
            config.rope_scaling = _with_factor(config, factor).rope_scaling
            return
    raise _left_out(file, f"{_FACTORS} with other factors than Llama’s", "transformers leaves out")


def _with_factor(config: PretrainedConfig, factor: float) -> PretrainedConfig:
    scaling = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
    found = copy.deepcopy(config)
    found.rope_scaling = {"rope_type": "llama3", "factor": factor} | scaling
    return found


def _refuse_other_names(file: Path, header: GgufHeader, config: PretrainedConfig) -> None:
    """What the file holds and the model has not would be dropped silently; what it has not would be random numbers."""
    from transformers.modeling_gguf_pytorch_utils import get_gguf_hf_weights_map

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, attn_implementation=FAMILIES[config.model_type].implementation)
    names, held = get_gguf_hf_weights_map(model), {one.name: one for one in header.tensors if one.name != _FACTORS}
    if left := sorted(held.keys() - names.keys()):
        raise _left_out(file, f"{left[0]} and {len(left) - 1} more", "transformers leaves out")
    sizes = {name: value.numel() for name, value in model.state_dict().items()}
    wanted = {name: sizes[inner] for name, inner in names.items() if inner in dict(model.named_parameters())}
    for name, n in wanted.items():
        if name not in held:
            raise _unreadable(file, f"{name} is missing")
        if held[name].n_numbers != n:
            raise _unreadable(file, f"{name} has {held[name].n_numbers:,} numbers and should have {n:,}")
