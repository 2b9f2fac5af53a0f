"""A base with a vocabulary of its own for one run: the rows and the tokenizer that an imported fine-tune came with.

The base has no rows for tokens that were added to it. It is given those that training began with where PEFT has saved
them, else those of the run's first checkpoint, the nearest that is known; everything before them is the base's.
"""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from engine.domain.errors import InputError
from engine.domain.models import ModelSpec
from engine.models.adapters import WEIGHTS, is_saved, of_base, peft_config
from engine.models.base import BUILDING, LoadedModel, load_base
from engine.models.plain_weights import names_in, shape_in, tensors_in
from engine.models.prompts import bos_id
from engine.models.tokenizer_files import read_tokenizer
from engine.models.tokenizer_settings import TOKENIZER_FILES
from engine.store import Store
from engine.store.files import file_hash
from engine.store.layout import ADDED, ADDED_ROWS

_BEFORE = (".original_module.", ".base_layer.")  # in PEFT's names of what was there when training began


def n_rows(model: PreTrainedModel) -> int:
    """Tokens that a model has embeddings for."""
    return int(model.get_input_embeddings().weight.shape[0])


def n_rows_in(model: PreTrainedModel, files: Sequence[Path]) -> int | None:
    """The same of a checkpoint's safetensors files; None where they hold no embeddings."""
    return next((shape_in(path, name)[0] for path, name in _lying(model, files, "input")), None)


def write_rows(loaded: LoadedModel, files: Sequence[Path], folder: Path) -> None:
    """Into `folder` the rows of a checkpoint that the base has not. Raises Damaged, InputError."""
    ends = {}
    for end in _ends(loaded.model):
        found = next(iter(_lying(loaded.model, files, end)), None)
        if found is None:
            raise InputError(f"{files[0].parent} has more input embeddings than the base, and no {end} for them.")
        path, name = found
        ends[end] = tensors_in(path, [name])[name][n_rows(loaded.model) :].clone()
    save_file(ends, folder / ADDED_ROWS)


def write_tokenizer(source: Path, names: Sequence[str], folder: Path) -> None:
    for name in names:
        shutil.copyfile(source / name, folder / name)


def name_added(loaded: LoadedModel, folder: Path) -> str:
    """Writes what a vocabulary is, and names it: by its rows, then by how its texts are read."""
    (folder / ADDED).write_text(json.dumps({"n_base": n_rows(loaded.model)}) + "\n", encoding="utf-8")
    rows = file_hash(folder / ADDED_ROWS) if (folder / ADDED_ROWS).is_file() else "0" * 12
    digest = hashlib.sha256(
        b"".join((folder / name).read_bytes() for name in TOKENIZER_FILES if (folder / name).is_file())
    )
    return f"{rows[:12]}-{digest.hexdigest()[:8]}"


def with_added(loaded: LoadedModel, folder: Path) -> LoadedModel:
    """The base with the rows and the tokenizer of a vocabulary's folder. The model of `loaded` becomes it."""
    model, tokenizer = loaded.model, loaded.tokenizer
    if (folder / ADDED_ROWS).is_file():
        _extend(model, load_file(folder / ADDED_ROWS))
    if (folder / TOKENIZER_FILES[0]).is_file():
        tokenizer = read_tokenizer(folder, model.config)
    tokenizer.n_rows = n_rows(model)  # as `read_tokenizer` sets it
    return dataclasses.replace(loaded, model=model, tokenizer=tokenizer, n_vocab=model.config.vocab_size)


def load_base_of(store: Store, spec: ModelSpec) -> LoadedModel:
    """The base of a run, in memory of its own. Raises as `load_base`."""
    loaded, folder = load_base(spec, store.base_folder(spec)), store.vocabulary_folder(spec)
    return loaded if folder is None else with_added(loaded, folder)


def reading(tokenizer: PreTrainedTokenizerFast) -> str:
    """The same for tokenizers that read every text alike, whatever else their files say. A hash."""
    words = json.loads(tokenizer.backend_tokenizer.to_str())
    for key in ("truncation", "padding", "post_processor", "version"):
        words.pop(key, None)
    said = json.dumps([words, tokenizer.convert_ids_to_tokens(bos_id(tokenizer)), tokenizer.unk_token])
    return hashlib.sha256(said.encode()).hexdigest()


def leave_out_base_rows(loaded: LoadedModel, adapter: Path) -> None:
    """Take out of an adapter's file what is the base's: PEFT saves all embeddings where the vocabulary is another."""
    path, own = adapter / WEIGHTS, dict(loaded.model.named_parameters(remove_duplicate=False))
    names = {name: of_base(name) for name in names_in(path)}
    if not own.keys() & set(names.values()):
        return
    weights, trained = load_file(path), _trained_whole(adapter)
    into, out = loaded.model.get_input_embeddings(), loaded.model.get_output_embeddings()
    head = next((name for name, module in loaded.model.named_modules() if module is out), "")
    left = {}
    for name, one in weights.items():
        twice = ".modules_to_save." in name and name.replace(".modules_to_save.", ".") in weights
        # PEFT has one term at both ends of a tie, under the name of the first.
        twice = twice or (names[name].startswith(f"{head}.") and name.endswith("_delta") and out.weight is into.weight)
        of_before = ".original_module." in name  # PEFT does not run it
        same = names[name] in own and not names[name].endswith(trained) and is_saved(own[names[name]], one)
        if not (twice or of_before or same):
            left[name] = one
    if len(left) < len(weights):
        save_file(left, path, metadata={"format": "pt"})


def _trained_whole(adapter: Path) -> tuple[str, ...]:
    """Ends of the names of parameters that are in the file as they were trained, whatever the base's are."""
    return tuple(f"{name}.weight" for name in getattr(peft_config(adapter), "modules_to_save", None) or ())


def _extend(model: PreTrainedModel, rows: Mapping[str, torch.Tensor]) -> None:
    first = n_rows(model)
    with BUILDING, torch.no_grad():
        model.resize_token_embeddings(first + len(rows["input"]), mean_resizing=False)
        for end, parameter in _ends(model).items():
            parameter[first:] = rows[end].to(parameter)
    model.eval().requires_grad_(requires_grad=False)


def _ends(model: PreTrainedModel) -> dict[str, torch.nn.Parameter]:
    """What has a row for each token: input, and output where it is not tied to it."""
    into, out = model.get_input_embeddings(), model.get_output_embeddings()
    found = {"input": into.weight}
    if out is not None and out.weight is not into.weight:
        found["output"] = out.weight
    if out is not None and getattr(out, "bias", None) is not None:
        found["output_bias"] = out.bias
    return found


def _lying(model: PreTrainedModel, files: Sequence[Path], end: str) -> list[tuple[Path, str]]:
    """Files and names of the tensors that stand for it, of an adapter or a whole model; as they were before first."""
    parameter, prefix = _ends(model)[end], f"{model.base_model_prefix}."
    names = {name for name, one in model.named_parameters(remove_duplicate=False) if one is parameter}
    found = [
        (path, name)
        for path in files
        for name in names_in(path)
        if names & {of_base(name), f"{prefix}{of_base(name)}"} and "_delta" not in name
    ]
    return sorted(found, key=lambda one: not any(part in one[1] for part in _BEFORE))
