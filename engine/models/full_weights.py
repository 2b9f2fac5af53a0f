"""Full fine-tunes that were made elsewhere, held against their base: what differs is kept, or referred to."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from transformers import PretrainedConfig, PreTrainedModel

from engine.domain.errors import InputError
from engine.domain.pictures import text_name
from engine.models.base import LoadedModel, load_weights
from engine.models.configs import TRAINING, ModelConfig, model_config
from engine.models.plain_weights import names_in, save_changed, save_reference, tensors_in

# What a family's configuration may say otherwise than the base's without computing anything else; likewise whatever any
# configuration has (names, special tokens, generation, ties) and settings of training.
_FREE: Final = frozenset({"vocab_size", "max_position_embeddings", "max_window_layers", "use_cache"})
_ANY: Final = frozenset(vars(PretrainedConfig()))


def whole_model(loaded: LoadedModel, source: Path) -> PreTrainedModel:
    """transformers' own model of the folder `source`, in the base's dtype and on its device.

    Raises ModelUnavailable, Damaged, and InputError where it is no fine-tune of the base: another family or shape,
    weights that the model has no place for, or that transformers would leave out.
    """
    read = refuse_another_model(loaded.spec.name, loaded.folder, source)
    model, left = load_weights(loaded.spec, source, read)
    if left:
        raise InputError(
            f"{source} has weights that a {read.family} model has no place for, such as {left[0][:80]}. Save the plain "
            "model with save_pretrained."
        )
    return model


def refuse_another_model(name: str, base: Path, source: Path) -> ModelConfig:
    """What config.json in `source` says; only this file is read there. `name`: of the model in the folder `base`.

    Raises ModelUnavailable, Damaged, and InputError where it computes otherwise than the base.
    """
    read = model_config(source)
    if said := next(_differences(model_config(base), read), None):
        raise InputError(f"{source} is no fine-tune of “{name}”: {said}. Name the model that it began from.")
    return read


def keep_difference(
    loaded: LoadedModel, whole: PreTrainedModel, source: Path, folder: Path, *, files: Sequence[str], most: float
) -> None:
    """Into `folder` the parameters of `whole` that differ from the base's, as they lie in `files` of `source`.

    Where they take more than `most` of the bytes there (0 to 1), a reference. Raises InputError, Damaged.
    """
    lying = {name: source / file for file in files for name in names_in(source / file)}
    called = {text_name(name): name for name in lying}
    ends = _ends_of_ties(whole)
    _refuse_lost_head(ends, source, lying, called)
    places = {name: _place(whole, ends[name], called, source) for name in _changed(loaded.model, whole)}
    found: dict[str, torch.Tensor] = {}
    for path in sorted({lying[tensor] for tensor in places.values()}):
        found |= tensors_in(path, places.values())
    base_name = loaded.spec.location or loaded.spec.name
    n_bytes = sum(found[tensor].nbytes for tensor in places.values())
    if n_bytes <= most * sum((source / file).stat().st_size for file in files):
        save_changed(folder, {name: found[tensor] for name, tensor in places.items()}, base_name=base_name)
    else:
        n_changed = sum(found[tensor].numel() for tensor in places.values())
        save_reference(folder, source, places, files, base_name=base_name, n_changed=n_changed)


def _differences(base: ModelConfig, read: ModelConfig) -> Iterator[str]:
    """What makes it another model than the base, in words."""
    if base.family != read.family:
        yield f"it is a {read.family} model, and the base is a {base.family} model"
        return
    ours, theirs = base.config.to_dict(), read.config.to_dict()
    known = type(base.config)().to_dict().keys()  # what else is written computes nothing, or `model_config` refuses it
    windows = not any(one.get("use_sliding_window", True) for one in (ours, theirs))
    for key in sorted(known - _ANY - _FREE):
        if TRAINING.search(key) or (windows and key == "sliding_window") or ours.get(key) == theirs.get(key):
            continue
        yield f"its {key} is {_short(theirs.get(key))}, the base’s {_short(ours.get(key))}"
    lengths = [one.get("max_position_embeddings") for one in (ours, theirs)]
    if "dynamic" in str(theirs.get("rope_scaling")) and lengths[0] != lengths[1]:
        yield f"its positions are scaled by max_position_embeddings {lengths[1]}, the base’s by {lengths[0]}"


def _short(value: Any) -> str:
    return "not told" if value is None else str(value)[:60]


def _changed(base: PreTrainedModel, whole: PreTrainedModel) -> list[str]:
    """Names of the parameters that differ: of a tie that both have one, of a tie that only the base has both."""
    ours, theirs = (dict(model.named_parameters(remove_duplicate=False)) for model in (base, whole))
    for name in sorted(ours.keys() | theirs.keys()):
        if name not in ours or name not in theirs or ours[name].shape != theirs[name].shape:
            raise InputError(f"{name} has another shape than in the base. Name the model that it began from.")
    differ = {name for name in ours if not torch.equal(ours[name], theirs[name])}
    chosen = []
    for name, tied in _ends_of_ties(base).items():
        cut = any(theirs[other] is not theirs[name] for other in tied)
        if (cut and differ & set(tied)) or (not cut and name in differ and name == min(tied, key=list(ours).index)):
            chosen.append(name)
    return chosen


def _ends_of_ties(model: PreTrainedModel) -> dict[str, list[str]]:
    """For the name of every parameter all names that it has, this one first."""
    named = dict(model.named_parameters(remove_duplicate=False))
    same: dict[int, list[str]] = {}
    for name, one in named.items():
        same.setdefault(id(one), []).append(name)
    return {name: [name, *(other for other in same[id(one)] if other != name)] for name, one in named.items()}


def _place(whole: PreTrainedModel, names: Sequence[str], called: Mapping[str, str], source: Path) -> str:
    """What a parameter's tensor is called in the files: itself or its tied end, with or without the body's prefix.

    `called`: by what the language model alone calls it.
    """
    prefix = f"{whole.base_model_prefix}."
    for own in names:
        for candidate in (own, own.removeprefix(prefix), f"{prefix}{own}"):
            if candidate in called:
                return called[candidate]
    raise InputError(
        f"{source} has no {names[0][:80]} by this name, so what differs from the base cannot be told. Load it with "
        "transformers and save it again."
    )


def _refuse_lost_head(
    ends: Mapping[str, Sequence[str]], source: Path, lying: Mapping[str, Path], called: Mapping[str, str]
) -> None:
    """Of a tie transformers takes one end, without a word about the other."""
    for names in ends.values():
        there = [called[name] for name in names if name in called] if len(names) > 1 else []
        tensors = [tensors_in(lying[name], [name])[name] for name in there]
        if any(not torch.equal(tensors[0], other) for other in tensors[1:]):
            raise InputError(
                f"{source} holds {' and '.join(there)} with different values, and its config.json says that they are "
                "one (tie_word_embeddings). If both were trained, write false there; else save the model again."
            )
