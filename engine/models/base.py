"""Load a base model.

The bundled model, a local Hugging Face folder and a hub id are one thing here: a folder with `config.json`, a fast
tokenizer and safetensors weights. Code that comes with a model is never run, and pickled weights are never read.
"""

import copy
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoModelForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.utils.logging import disable_progress_bar, enable_progress_bar, is_progress_bar_enabled

from engine.domain.errors import Damaged, ModelUnavailable
from engine.domain.foreign import one_line, renamed, translated
from engine.domain.models import ModelSpec
from engine.domain.numbers import memory
from engine.domain.paths import person_path
from engine.domain.pictures import text_name
from engine.models.bounds import refuse_sizes
from engine.models.configs import AGAIN, ModelConfig, model_config
from engine.models.families import attention_of
from engine.models.hub import model_folder
from engine.models.memory import refuse_larger_than_free, weight_bytes
from engine.models.plain_weights import names_in, tensors_in
from engine.models.prompts import PromptReader
from engine.models.tokenizer_files import read_tokenizer
from engine.models.tried import refuse_harmful
from engine.store import BUNDLED
from engine.store.files import object_in

logger = logging.getLogger(__name__)


DEVICES = ("cpu", "cuda", "mps")
_TABLES_AT_MOST = 1_000_000_000  # bytes of what a model holds beside its weights

# transformers and PEFT switch torch's initialisers, default dtype and parameter registration for the whole process
# while they build modules, so two threads must not build at once. Held wherever a model or adapter is made.
BUILDING = threading.RLock()


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A base model in memory: in eval mode, without gradients for its weights."""

    spec: ModelSpec
    folder: Path  # where its files lie, also for a hub id
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    n_layers: int
    d_model: int
    n_positions: int  # the longest prompt, in tokens with BOS
    n_vocab: int  # outputs
    family: str  # model_type in its config.json; `engine.models.families` has a row for most


def load_base(spec: ModelSpec, folder: Path | None = None) -> LoadedModel:
    """The model that `spec` describes, on its device and in its dtype.

    `folder` is where the bundled model or a local folder lies (`Store.base_folder`). Only a hub id may use the network.
    Raises ModelUnavailable (cannot be had here, or not supported) and Damaged (its files are broken).
    """
    where = _folder(spec, folder)
    with renamed(_words(spec, where)):
        read = model_config(where)
        with ThreadPoolExecutor(max_workers=1) as beside:
            tried = beside.submit(refuse_harmful, where)  # in another process, which takes its time
            device = _refuse_unfit(spec, where, read)
            tried.result()
        tokenizer = read_tokenizer(where, read.config)  # before the weights, which take longer
        model, _ = _load_weights(spec, where, read, device)
        config = model.config
    return LoadedModel(
        spec=spec,
        folder=where,
        model=model,
        tokenizer=tokenizer,
        n_layers=config.num_hidden_layers,
        d_model=config.hidden_size,
        n_positions=config.max_position_embeddings,
        n_vocab=config.vocab_size,
        family=read.family,
    )


def check_base(spec: ModelSpec, folder: Path | None = None) -> None:
    """Looks at everything but the weights' numbers; a hub model is downloaded. `folder` and what is raised as for
    `load_base`."""
    _device(spec)
    where = _folder(spec, folder)
    with renamed(_words(spec, where)):
        read = model_config(where)
        _refuse_unfit(spec, where, read)
        read_tokenizer(where, read.config)


def load_weights(spec: ModelSpec, where: Path, read: ModelConfig) -> tuple[PreTrainedModel, tuple[str, ...]]:
    """The model in a folder on the device and in the dtype of `spec`, and the names in its files that it has not.

    Raises ModelUnavailable, Damaged.
    """
    return _load_weights(spec, where, read, _refuse_unfit(spec, where, read))


def load_tokenizer(spec: ModelSpec, folder: Path | None = None) -> PreTrainedTokenizerFast:
    """The tokenizer alone, without reading weights. `folder` and what is raised as for `load_base`."""
    return read_tokenizer(_folder(spec, folder))


def encode(loaded: LoadedModel, prompt: str) -> torch.Tensor:
    """Token ids of a prompt, (1, n_pos) int64 with BOS first, on the model's device. Raises PromptRefused."""
    ids = PromptReader(loaded.tokenizer).prompt(prompt, limit=loaded.n_positions)
    return torch.tensor([ids], device=loaded.model.device)


def _device(spec: ModelSpec) -> torch.device:
    try:
        device = torch.device(spec.device)
        if device.type not in DEVICES:
            raise RuntimeError("not supported here")
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ModelUnavailable(
            f"The device “{spec.device}” of model “{spec.name}” cannot be used: {one_line(error)[:120]}. "
            f"Use one of {', '.join(DEVICES)} that this machine has."
        ) from error
    return device


def _folder(spec: ModelSpec, folder: Path | None) -> Path:
    """The local folder of the model's files; downloads a hub model that is not in the cache yet."""
    if spec.source == "hub":
        return model_folder(spec.location)
    where = folder or (BUNDLED / "base" if spec.source == "bundled" else person_path(spec.location))
    if not (where / "config.json").is_file():
        raise ModelUnavailable(f"Model “{spec.name}”: there is no config.json in {where}. {_instead(where)}")
    return where


def _words(spec: ModelSpec, where: Path) -> dict[str, str]:
    """What the person calls the folder, where that is not the folder."""
    return {str(where): spec.location} if spec.source == "hub" else {}


def _instead(where: Path) -> str:
    """What to do with a folder that is no model's."""
    if (where / "adapter_config.json").is_file() or any(where.glob("checkpoint-*")):
        return "These are checkpoints of a fine-tune: import them, and add the model that they were trained from."
    if gguf := sorted(where.glob("*.gguf")):
        return f"Add its GGUF file by its own path: {gguf[0]}."
    return "Give the folder that save_pretrained or huggingface-cli wrote."


def _refuse_unfit(spec: ModelSpec, where: Path, read: ModelConfig) -> torch.device:
    """Before weights are read: where they are to lie. Raises as `load_weights`."""
    device = _device(spec)
    _refuse_pickles(where)
    _refuse_too_large(spec, where, device, read)
    _refuse_larger_than_saved(where, read)
    return device


def _refuse_pickles(where: Path) -> None:
    if not any(where.glob("*.safetensors")):
        pickled = sorted(path.name for path in (*where.glob("*.bin"), *where.glob("*.pt"), *where.glob("*.pth")))
        what = f"only pickled ones ({pickled[0]}), which are never read" if pickled else "none at all"
        raise ModelUnavailable(
            f"{where} has no safetensors weights but {what}. Save the model again with "
            "save_pretrained(…, safe_serialization=True)."
        )


def _refuse_too_large(spec: ModelSpec, where: Path, device: torch.device, read: ModelConfig) -> None:
    try:
        refuse_sizes(where, read.config.to_dict())
        refuse_larger_than_free(spec.name, where, spec.dtype, device)
    except (SafetensorError, OSError) as error:
        raise Damaged(where, f"the weights cannot be read ({one_line(error)})", AGAIN) from error


def _refuse_larger_than_saved(where: Path, read: ModelConfig) -> None:
    """Builds the model without memory, whatever the configuration calls its sizes.

    Raises Damaged where it is more than twice the files; where less is missing, loading them tells which.
    """
    try:
        with BUILDING, torch.device("meta"):
            model = AutoModelForCausalLM.from_config(copy.deepcopy(read.config))
    except Exception:  # what cannot be built says why when it is loaded
        logger.info("%s is not built without memory", where, exc_info=True)
        return
    held = weight_bytes(where, torch.float32)
    made = 4 * sum(parameter.numel() for parameter in model.parameters())
    tables = sum(table.nbytes for table in model.buffers())  # of masks and positions
    if made > 2 * held or tables > max(held, _TABLES_AT_MOST):
        raise Damaged(
            where / "config.json", f"it tells of a model of {memory(made + tables)}, and its files hold {memory(held)}",
            AGAIN,
        )  # fmt: skip


def _load_weights(
    spec: ModelSpec, where: Path, read: ModelConfig, device: torch.device
) -> tuple[PreTrainedModel, tuple[str, ...]]:
    with BUILDING:
        model, left = _read_weights(where, read, getattr(torch, spec.dtype), device)
    read.check(model.config)  # building a model may change what it is given
    return model, left


def _read_weights(
    where: Path, read: ModelConfig, dtype: torch.dtype, device: torch.device
) -> tuple[PreTrainedModel, tuple[str, ...]]:
    unreadable = translated(lambda reason: Damaged(where, f"the weights cannot be read ({reason})", AGAIN))
    with unreadable, _without_bars():
        from_pretrained = AutoModelForCausalLM.from_pretrained
        tensors: dict[str, Any] = {}
        if read.with_pictures:  # transformers has no names for the part of another class
            from_pretrained = MODEL_FOR_CAUSAL_LM_MAPPING[type(read.config)].from_pretrained
            tensors = {"state_dict": _of_text(where)}
        model, info = from_pretrained(
            None if tensors else where,
            config=read.config,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            attn_implementation=attention_of(read.config),
            output_loading_info=True,
            **tensors,
        )
    if missing := sorted(info["missing_keys"]):
        raise Damaged(where, f"{len(missing)} weights are missing, such as {missing[0]}", AGAIN)
    ready: PreTrainedModel = model.to(device).eval().requires_grad_(requires_grad=False)
    return ready, tuple(sorted(info["unexpected_keys"]))


def _of_text(where: Path) -> dict[str, torch.Tensor]:
    """The tensors of the language model in a folder whose model reads pictures, too, as that model calls them."""
    of_text = {name: file for name, file in _lying(where).items() if text_name(name)}
    return {
        text_name(name): tensor for name, file in of_text.items() for tensor in tensors_in(file, [name]).values()
    }  # fmt: skip


def _lying(where: Path) -> dict[str, Path]:
    """The file that transformers reads each tensor from: beside these may lie the same names in another form, or of an
    earlier save."""
    whole, shards = where / "model.safetensors", object_in(where / "model.safetensors.index.json").get("weight_map")
    if not whole.exists() and isinstance(shards, dict):
        return {name: where / str(file) for name, file in shards.items()}
    files = [whole] if whole.exists() else sorted(where.glob("model*.safetensors"))
    return {name: file for file in files for name in names_in(file)}


@contextmanager
def _without_bars() -> Iterator[None]:
    """transformers draws one on the terminal for a model of several files, across ours. Of the whole process, so only
    while one thread builds."""
    if not is_progress_bar_enabled():
        yield
        return
    disable_progress_bar()
    try:
        yield
    finally:
        enable_progress_bar()
