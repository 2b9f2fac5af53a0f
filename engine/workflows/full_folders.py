"""Folders with all weights of a model, as `save_pretrained`, Trainer and others leave them: which files hold them, and
why some cannot be taken in. By names, small JSON files and the headers of safetensors files alone."""

import hashlib
import json
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from engine.store.files import object_in

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
DIFFERENCE_AT_MOST: Final = 0.9  # of the weights' bytes; where more differs from the base, the folder is referred to
_SAMPLE_BYTES = 4096
_PICKLES = ("pytorch_model*.bin", "pytorch_model.bin.index.json", "consolidated*.pth", "model.pt", "model.pth")
_SHARDS = "model-*-of-*.safetensors"


def is_full(folder: Path) -> bool:
    """Whether it holds, or should hold, all weights of a model: also in a form that is refused."""
    return any((folder / name).exists() for name in (WEIGHTS, INDEX)) or any(find(folder) for find, _ in _OTHERS)


def weight_files(folder: Path) -> tuple[str, ...]:
    """Names of the files that hold the weights, ascending; empty where there are none, or an index that is none."""
    return (WEIGHTS,) if (folder / WEIGHTS).exists() else shards_in(folder / INDEX)


def shards_in(index: Path) -> tuple[str, ...]:
    """Names of the files that an index names, ascending; empty where there is none, or it is none."""
    files = object_in(index).get("weight_map")
    named = set(files.values()) if isinstance(files, dict) else set()
    return tuple(sorted(name for name in named if isinstance(name, str)))


def why_not_full(folder: Path) -> str:
    """Why it cannot be taken in, with the way out; empty where nothing speaks against it."""
    names = weight_files(folder)
    if not names:
        said = next((why(folder) for find, why in _OTHERS if find(folder)), "")
        return said or f"{folder / INDEX} names no weights: save the model again"
    if why := why_not_whole(folder, names, INDEX):
        return why
    if not (folder / CONFIG).is_file():
        return f"it has no {CONFIG}: copy that of the base there, if it is the same kind of model"
    return _quantised(folder)


def why_not_whole(folder: Path, names: Sequence[str], index: str) -> str:
    """Why not all of the files that an index names are in its folder; empty where they are."""
    for name in names:
        if Path(name).name != name:
            return f"{folder / index} names {name[:60]}, which lies outside its folder: save the model again"
        if not (folder / name).is_file():
            return f"{name} is missing, which {index} names: copy it there"
    return ""


def weight_bytes_on_disk(folder: Path) -> int:
    return sum((folder / name).stat().st_size for name in weight_files(folder))


def sampled(folder: Path) -> str:
    """The same for the same weights: headers, and 4 KB from the middle of each tensor. Files are not read whole."""
    digest = hashlib.sha256()
    for name in weight_files(folder):
        with (folder / name).open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))
            header = file.read(min(length, 100_000_000))
            digest.update(header)
            for start, end in _places(header):
                middle = max(start, (start + end - _SAMPLE_BYTES) // 2)
                file.seek(8 + length + middle)
                digest.update(file.read(min(_SAMPLE_BYTES, end - middle)))
    return digest.hexdigest()


def _places(header: bytes) -> list[tuple[int, int]]:
    """Where tensors lie in a file, behind its header."""
    try:
        tensors = json.loads(header)
        return sorted(tuple(one["data_offsets"]) for name, one in tensors.items() if name != "__metadata__")
    except (ValueError, AttributeError, KeyError, TypeError):  # the import says what is wrong with it
        return []


def _quantised(folder: Path) -> str:
    fields = object_in(folder / CONFIG)
    settings = fields.get("quantization_config") or fields.get("quantization") or fields.get("compression_config")
    if not settings:
        return ""
    method = str(settings.get("quant_method") or "unknown method") if isinstance(settings, dict) else "unknown method"
    way = "give the weights that it was made from, or merge the adapter into the model as it was before"
    if method.lower() in ("bitsandbytes", "bnb"):
        way = f"dequantize it where it was trained: {_python(folder, '.dequantize()')}"
    return f"its weights are quantized ({method[:40]}), so they are not those that were trained: {way}"


def _pickles(folder: Path) -> list[str]:
    return sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))


def _why_pickled(folder: Path) -> str:
    pickled = _pickles(folder)[0]
    return f"it has only pickled weights ({pickled}), which are never read: convert them with {_python(folder)}"


def _python(folder: Path, then: str = "") -> str:
    """The command that loads a model with transformers and saves it."""
    load = f"AutoModelForCausalLM.from_pretrained({str(folder)!r}){then}"
    return f"`python -c \"from transformers import AutoModelForCausalLM; {load}.save_pretrained('OUT')\"`"


def _zero(folder: Path) -> list[Path]:
    return [*folder.glob("zero_to_fp32.py"), *folder.glob("global_step*/*_states.pt")]


def _why_zero(folder: Path) -> str:
    convert = f"`python {folder / 'zero_to_fp32.py'} {folder} OUT --safe_serialization`"
    return f"its weights are in DeepSpeed’s shards: join them with {convert}, and copy {CONFIG} there"


def _fsdp(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("pytorch_model_fsdp_*") if path.is_dir())


def _why_fsdp(folder: Path) -> str:
    convert = f"`accelerate merge-weights {_fsdp(folder)[0]} OUT`"
    return f"its weights are in FSDP’s shards: join them with {convert}, and copy {CONFIG} there"


def from_gguf(file: Path) -> str:
    """What to do with a GGUF file, as the end of a sentence."""
    return f"add it as a model (in the browser under “Add a model”, else `python -m engine models add {file}`)"


def _why_gguf(folder: Path) -> str:
    file = min(folder.glob("*.gguf"))
    return f"its weights are in {file.name}: {from_gguf(file)}, and import the folder that is written of it"


# Weights in another form than safetensors: how they are known, and what to do.
_OTHERS: Final[tuple[tuple[Callable[[Path], object], Callable[[Path], str]], ...]] = (
    (_zero, _why_zero),
    (_fsdp, _why_fsdp),
    (lambda folder: list(folder.glob(_SHARDS)), lambda _: f"it has shards and no {INDEX}: copy it there"),
    (_pickles, _why_pickled),
    (lambda folder: list(folder.glob("*.gguf")), _why_gguf),
)
