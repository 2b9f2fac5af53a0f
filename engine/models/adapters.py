"""What fine-tuning made of a base model: put on, merged, saved, and named by content.

A checkpoint's folder holds a PEFT adapter or, where the model's own weights were trained, those that changed
(`plain_weights`). The functions here take both.
"""

import copy
import hashlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import torch
from safetensors import SafetensorError
from safetensors.torch import load, load_file, save_file
from transformers import PreTrainedModel

from engine.domain.errors import Damaged, InputError
from engine.domain.foreign import one_line, translated
from engine.models.adapter_settings import ORIGIN, PEFT_FIELDS, why_refused
from engine.models.base import BUILDING, LoadedModel
from engine.models.bounds import refuse_endless, refuse_ranks
from engine.models.plain_weights import TENSORS, is_plain, put_plain, read_about, refers, save_plain
from engine.store.files import file_hash

if TYPE_CHECKING:  # PEFT takes a tenth of a second to import, which a base does not need
    from peft import PeftConfig, PeftModel

Tuned: TypeAlias = "PreTrainedModel | PeftModel"  # a model with an adapter, or one whose own weights are trained
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
_FROM_BASE = ("pissa", "olora")  # beginnings of LoRA that are taken off the base's weights, each time the same way
_WRAPPED = re.compile(r"\.(original_module|modules_to_save|token_adapter|base_layer)(?=\.)")
_DEFAULT = re.compile(r"(\.lora_\w+)\.default(?=\.weight$|\.bias$|$)")


def checkpoint_hash(base: LoadedModel | Path, adapter: Path | None) -> str:
    """Names the weights of a checkpoint: 20 hex digits over the base's weights and, if any, the adapter's.

    Raises Damaged where the adapter's files cannot be read.
    """
    digest = hashlib.sha256(base_hash(base.folder if isinstance(base, LoadedModel) else base).encode())
    if isinstance(base, LoadedModel):
        digest.update(base.spec.vocabulary.encode())
    if adapter is not None:
        about, tensors = (read_about, TENSORS) if is_plain(adapter) else (read_config, WEIGHTS)
        config = {key: value for key, value in about(adapter).items() if key not in ORIGIN}
        digest.update(json.dumps(_in_order(config), sort_keys=True).encode())
        if is_plain(adapter) and refers(adapter):
            return digest.hexdigest()[:20]  # the hashes of the files are in what was read
        try:
            with (adapter / tensors).open("rb") as file:
                while block := file.read(1 << 24):
                    digest.update(block)
        except OSError as error:
            raise Damaged(adapter / tensors, one_line(error)) from error
    return digest.hexdigest()[:20]


def base_hash(folder: Path) -> str:
    """sha256 over the weight files of a base model."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise Damaged(folder, "it has no safetensors weights", "Download or save the model again.")
    digest = hashlib.sha256()
    for path in files:
        digest.update(bytes.fromhex(file_hash(path)))
    return digest.hexdigest()


def merged_weights(loaded: LoadedModel, adapter: Path | None) -> PreTrainedModel:
    """A fresh copy of the base with the adapter merged into it: in eval mode, without gradients.

    Raises Damaged (files that cannot be read) and InputError (an adapter for another model, or of an unknown type).
    """
    from peft import PeftModel

    with BUILDING:
        model = copy.deepcopy(loaded.model)
        if adapter is not None:
            tuned = with_adapter(model, adapter)
            model = tuned.merge_and_unload() if isinstance(tuned, PeftModel) else tuned
    return model.eval().requires_grad_(requires_grad=False)


def with_adapter(model: PreTrainedModel, adapter: Path) -> Tuned:
    """`model` itself (not a copy) with what was saved put on. Raises as `merged_weights` does."""
    from peft import PeftModel

    if is_plain(adapter):
        put_plain(model, adapter)
        return model
    config = peft_config(adapter)
    fields = read_config(adapter)
    refuse_ranks(adapter / CONFIG, fields, adapter / WEIGHTS)
    refuse_endless(adapter / CONFIG, fields, [name for name, _ in model.named_modules()])
    if config.peft_type == "TRAINABLE_TOKENS" and _only_embeddings(model, config.target_modules):
        # PEFT finds the input embeddings by itself, and warns about tied ones (which it handles) where they are named.
        config.target_modules = None
    # PEFT reads it only with the weights, and would warn that it names no modules.
    ranks = config.rank_pattern if config.peft_type == "ADALORA" else None
    if ranks is not None:
        config.rank_pattern = None
    with _fitting(adapter, " Use the model that it was made for."), BUILDING:
        tuned = PeftModel(model, config)
    if ranks is not None:
        config.rank_pattern = ranks
    put_weights(tuned, adapter)
    return tuned


def put_weights(tuned: Tuned, adapter: Path) -> None:
    """Set the weights of `tuned`, as its method began, to those saved in a folder, all of them or none."""
    from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict

    if not isinstance(tuned, PeftModel):
        put_plain(tuned, adapter)
        return
    weights = read_weights(adapter)
    with _fitting(adapter):  # as with ranks that AdaLoRA never gave
        # PEFT warns of a matrix that AdaLoRA left no rank, but not in a state dict that it is given.
        expected = get_peft_model_state_dict(tuned, state_dict=tuned.state_dict(), save_embedding_layers=False)
    for name, tensor in expected.items():
        found = weights.get(name)
        if found is None or found.shape != tensor.shape:
            what = "none" if found is None else tuple(found.shape)
            raise InputError(
                f"{adapter} does not fit this model: {name} must have the shape {tuple(tensor.shape)}, the adapter has "
                f"{what}. Use the model that it was made for."
            )
    with _fitting(adapter):
        result = set_peft_model_state_dict(tuned, weights)
    if result.unexpected_keys:
        raise InputError(
            f"{adapter} does not fit this model: it has no {result.unexpected_keys[0]}. "
            "Use the model that it was made for."
        )


def _fitting(adapter: Path, remedy: str = "") -> AbstractContextManager[None]:
    return translated(lambda reason: InputError(f"{adapter} does not fit this model: {reason.rstrip('.')}.{remedy}"))


def save_adapter(
    tuned: Tuned, folder: Path, *, base_name: str, method: str = "full", start: Mapping[str, torch.Tensor] | None = None
) -> None:
    """A checkpoint's folder, the same bytes for the same weights: PEFT's own files, or a plain model's.

    `base_name` is what PEFT tools load it onto. A plain model needs `start`, the parameters where it began, and
    `method`, which is written beside its weights.
    """
    from peft import PeftModel

    if not isinstance(tuned, PeftModel):
        save_plain(tuned, folder, method=method, base_name=base_name, start=start or {})
        return
    # Not PEFT's save_pretrained, which writes a model card beside it, with paths of this machine, in most of its time.
    # The embeddings of the base are never copied into it: an adapter of ten tokens stays at 10 KB.
    weights = _weights_of(tuned)
    folder.mkdir(parents=True, exist_ok=True)
    own = {name: w.clone().contiguous() for name, w in weights.items()}  # the names of a tied matrix share memory
    save_file(own, folder / WEIGHTS, metadata={"format": "pt"})
    tuned.peft_config[tuned.active_adapter].save_pretrained(str(folder))
    config = read_config(folder) | {"base_model_name_or_path": base_name, "inference_mode": True}
    if config.get("peft_type") == "ADALORA":
        config["rank_pattern"] = None
    # PEFT writes its sets in an order that differs from process to process.
    (folder / CONFIG).write_text(json.dumps(_in_order(config), indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _weights_of(tuned: "PeftModel") -> dict[str, torch.Tensor]:
    """The adapter's tensors; AdaLoRA's with the ranks that it has masked (there they are zero), so of one shape."""
    from peft import get_peft_model_state_dict

    config = tuned.peft_config[tuned.active_adapter]
    pattern = getattr(config, "rank_pattern", None)
    if config.peft_type != "ADALORA" or pattern is None:
        return get_peft_model_state_dict(tuned, save_embedding_layers=False)
    config.rank_pattern = None
    try:
        return get_peft_model_state_dict(tuned, save_embedding_layers=False)
    finally:
        config.rank_pattern = pattern


def config_text(adapter: Path) -> str:
    """`adapter_config.json` as it stands. Raises Damaged."""
    try:
        return (adapter / CONFIG).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise Damaged(adapter / CONFIG, one_line(error)) from error


def read_config(adapter: Path) -> dict[str, object]:
    """What `adapter_config.json` says. Raises Damaged."""
    try:
        config = json.loads(config_text(adapter))
    except (ValueError, RecursionError) as error:
        raise Damaged(adapter / CONFIG, one_line(error)) from error
    if not isinstance(config, dict):
        raise Damaged(adapter / CONFIG, "it is not a JSON object")
    return config


def peft_config(adapter: Path) -> "PeftConfig":
    """Of a type that is supported here. Raises Damaged, InputError."""
    from peft import PeftConfig

    fields = read_config(adapter)
    if why := why_refused(fields):
        raise InputError(f"{adapter} {why}.")
    known = PEFT_FIELDS[str(fields["peft_type"])]
    with translated(lambda reason: Damaged(adapter / CONFIG, reason)):
        return PeftConfig.from_peft_type(**{name: value for name, value in fields.items() if name in known})


def changes_base(config: "PeftConfig") -> bool:
    """Whether PEFT changes the base's own weights when it puts such an adapter on."""
    how = getattr(config, "init_lora_weights", None)
    return isinstance(how, str) and how.lower().startswith(_FROM_BASE)


def _only_embeddings(model: PreTrainedModel, targets: object) -> bool:
    """Whether the only target is the input embedding."""
    names = [targets] if isinstance(targets, str) else sorted(targets) if isinstance(targets, (list, set)) else []
    embedding = model.get_input_embeddings()
    return len(names) == 1 and any(
        module is embedding and f".{name}".endswith(f".{names[0]}") for name, module in model.named_modules()
    )


def read_weights(adapter: Path) -> dict[str, torch.Tensor]:
    """By PEFT's names. Raises Damaged."""
    path = adapter / WEIGHTS
    if not path.is_file():
        pickled = (adapter / "adapter_model.bin").exists()
        reason = "only a pickled adapter_model.bin is there, which is never read" if pickled else "it is missing"
        raise Damaged(path, reason, "Save the adapter again with safetensors.")
    try:
        found = load(path.read_bytes())  # a map of the file costs more, tensor by tensor, than the small file itself
    except (SafetensorError, OSError, ValueError) as error:
        raise Damaged(path, one_line(error)) from error
    return {plain_name(name): tensor for name, tensor in found.items()}


def join_files(files: Sequence[Path], to: Path) -> None:
    """One file as it is; of shards all tensors in one file. Raises Damaged."""
    if len(files) == 1:
        shutil.copyfile(files[0], to)
        return
    tensors: dict[str, torch.Tensor] = {}
    for file in files:
        try:
            read = load_file(file)
        except (SafetensorError, OSError, ValueError) as error:
            raise Damaged(file, one_line(error), "Save the adapter again.") from error
        if both := sorted(tensors.keys() & read.keys()):
            raise Damaged(file, f"{both[0]} lies in another of the files, too", "Save the adapter again.")
        tensors |= read
    save_file(tensors, to)


def plain_name(name: str) -> str:
    """Without what torch.compile and FSDP put into names, and without the adapter's own."""
    for wrapper in ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."):
        name = name.replace(wrapper, "")
    return _DEFAULT.sub(r"\1", name) if ".default" in name else name


def of_base(name: str) -> str:
    """The base's parameter that a tensor of an adapter's file stands for, if any: as trained, or as it was before."""
    return _WRAPPED.sub("", plain_name(name).removeprefix("base_model.model."))


def is_saved(parameter: torch.Tensor, saved: torch.Tensor) -> bool:
    """Whether a saved tensor gives a parameter the values that it has."""
    return parameter.shape == saved.shape and torch.equal(parameter, saved.to(parameter))


def _in_order(value: object) -> object:
    """Lists of names sorted (PEFT keeps them as sets), everything else as it is."""
    if isinstance(value, dict):
        return {key: _in_order(member) for key, member in value.items()}
    if isinstance(value, list) and all(isinstance(member, str) for member in value):
        return sorted(value)
    return value
