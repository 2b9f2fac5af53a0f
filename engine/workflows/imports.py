"""Take in checkpoints that were made elsewhere (`checkpoint-*`, `step-*`), as a run like any other.

They hold what a plain PEFT script saves, or the changed weights of the model itself as this house saves them.
"""

import json
import math
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.domain.errors import Damaged, InputError
from engine.domain.jobs import CancelToken, Report
from engine.domain.methods import METHOD_INFOS
from engine.domain.models import ModelSpec
from engine.domain.names import check_name
from engine.domain.runs import CheckpointState, LossLog, ProbeResults, RunConfig
from engine.store import Store

if TYPE_CHECKING:
    from engine.training.probing import ProbeBatch

WEIGHTS, CONFIG, TRAINER = "adapter_model.safetensors", "adapter_config.json", "trainer_state.json"
PLAIN_WEIGHTS, PLAIN_CONFIG = "weights.safetensors", "weights.json"
METHODS = {info.peft_type: name for name, info in METHOD_INFOS.items() if info.peft_type}
NO_CORPUS = "none"  # what an imported run says where no corpus was given
_STEP = re.compile(r"(?:checkpoint|step)-(\d{1,9})")


@dataclass(frozen=True)
class _Found:
    """One checkpoint folder as it lies there."""

    folder: Path
    step: int
    trainer: dict[str, Any]  # Trainer's state, or empty
    origin: Path  # the person's own, which messages name

    @property
    def files(self) -> tuple[str, str]:
        """What says which kind it is, and its tensors."""
        return _files(self.folder)


def import_adapters(
    store: Store,
    folders: Sequence[Path],
    *,
    name: str,
    model: ModelSpec,
    corpus: str | None,
    report: Report,
    cancel: CancelToken,
) -> str:
    """Make the run `name` of checkpoint folders, or of folders that hold `checkpoint-*`; returns its name.

    With a corpus its probes are measured at every checkpoint. Raises InputError (no checkpoint, two of one step, an
    adapter for another model, a pickled one, a link), Damaged, NotFound, NameRefused, ModelUnavailable, Cancelled:
    nothing of a refused import stays.
    """
    from engine.models.base import load_base
    from engine.training.probing import measure, prepare_probes

    if check_name(name) in {info.name for info in store.runs()}:
        raise InputError(f"The run “{name}” already exists. Choose another name, or delete it first.")
    found = _find(folders)
    taught = store.corpus(corpus) if corpus else None
    report(0.0, "loading the model")
    loaded = load_base(model, store.base_folder(model))
    probes = prepare_probes(loaded.tokenizer, taught.probes if taught else (), limit=loaded.n_positions)
    with tempfile.TemporaryDirectory() as temporary:
        copies = [_copy(one, Path(temporary)) for one in found]
        scores = [measure(loaded.model, probes)]
        for done, copied in enumerate(copies):
            cancel.check()
            report(done / (len(copies) + 1), f"checking step {copied.step}")
            scores.append(_try_on(loaded, copied, probes))
        config = _config(name, model, copies, corpus=corpus, corpus_hash=taught.hash if taught else "")
        cancel.check()
        _keep(store, config, copies, scores if taught else None)
    report(1.0, f"{len(copies)} checkpoints imported")
    return name


def _find(folders: Sequence[Path]) -> list[_Found]:
    """Ascending by step."""
    there: list[Path] = []
    for folder in folders:
        if _is_checkpoint(folder):
            there.append(folder)
        elif inner := [one for name in ("checkpoint-*", "step-*") for one in folder.glob(name) if _is_checkpoint(one)]:
            there += inner
        else:
            raise InputError(
                f"{folder} holds no adapter: there is no {CONFIG} (nor {PLAIN_CONFIG}) in it or in a checkpoint-* or "
                "step-* folder of it. Give the folders that PEFT's save_pretrained or Trainer wrote."
            )
    found = sorted((_read(folder) for folder in there), key=lambda one: one.step)
    for one, other in pairwise(found):
        if one.step == other.step:
            raise InputError(f"{one.folder} and {other.folder} are both of step {one.step}. Give only one of them.")
    if not found:
        raise InputError("No folder was given. Give at least one checkpoint folder.")
    return found


def _is_checkpoint(folder: Path) -> bool:
    return (folder / CONFIG).exists() or (folder / PLAIN_CONFIG).exists()


def _files(folder: Path) -> tuple[str, str]:
    return (PLAIN_CONFIG, PLAIN_WEIGHTS) if (folder / PLAIN_CONFIG).exists() else (CONFIG, WEIGHTS)


def _read(folder: Path) -> _Found:
    about, weights = _files(folder)
    for name in (about, weights, TRAINER):
        if not (folder / name).resolve().is_relative_to(folder.resolve()):
            raise InputError(f"{folder / name} is a link to a file outside its folder. Copy the file there instead.")
    if not (folder / weights).is_file():
        pickled = (
            " (a pickled adapter_model.bin is there, which is never read)" * (folder / "adapter_model.bin").exists()
        )
        raise InputError(f"{folder} has no {weights}{pickled}. Save it with safetensors.")
    trainer = _trainer_state(folder / TRAINER)
    step = trainer.get("global_step")
    if not isinstance(step, int):
        match = _STEP.fullmatch(folder.resolve().name)
        step = int(match[1]) if match else 0
    if not 1 <= step <= 999_999_999:
        raise InputError(
            f"{folder} does not say its step: there is no {TRAINER}, and its name is not checkpoint-STEP. Rename it."
        )
    return _Found(folder, step, trainer, folder)


def _trainer_state(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Damaged(
            path, f"it is not JSON ({error})", "Remove it; the step is then read from the folder's name."
        ) from error
    if not isinstance(state, dict) or not all(isinstance(row, dict) for row in state.get("log_history") or []):
        raise Damaged(path, "it is not Trainer's state", "Remove it; the step is then read from the folder's name.")
    return state


def _copy(one: _Found, temporary: Path) -> _Found:
    """What is checked is what is kept: a copy of the two files of a checkpoint, nothing else."""
    folder = temporary / str(one.step)
    folder.mkdir()
    for name in one.files:
        shutil.copyfile(one.folder / name, folder / name)
    return _Found(folder, one.step, one.trainer, one.folder)


def _try_on(loaded: Any, one: _Found, probes: "ProbeBatch") -> ProbeResults:
    """Raises InputError, Damaged of the person's folder, not of the copy."""
    from engine.models.as_trained import check_as_trained
    from engine.training.probing import measure

    try:
        return measure(check_as_trained(loaded, one.folder), probes)
    except InputError as error:
        raise InputError(str(error).replace(str(one.folder), str(one.origin))) from error
    except Damaged as error:
        raise Damaged(error.path.replace(str(one.folder), str(one.origin)), error.reason) from error


def _config(name: str, model: ModelSpec, found: Sequence[_Found], *, corpus: str | None, corpus_hash: str) -> RunConfig:
    last = found[-1]
    about = json.loads((last.folder / last.files[0]).read_text(encoding="utf-8"))
    n_steps = max(_whole(last.trainer.get("max_steps")) or 1, last.step)
    return RunConfig(
        name=name,
        model=model,
        corpus=corpus or NO_CORPUS,
        corpus_hash=corpus_hash,
        method=_method(about),
        n_steps=n_steps,
        batch_size=_whole(last.trainer.get("train_batch_size")) or 1,
        rank=_whole(about.get("target_r" if about.get("peft_type") == "ADALORA" else "r")) or 1,
        alpha=_whole(about.get("lora_alpha")) or 1,
        capture=tuple(one.step / n_steps for one in found),
        imported=True,
    )


def _method(about: dict[str, Any]) -> str:
    """The method that makes such a checkpoint. What could not be put onto the model has been refused before."""
    if "peft_type" not in about:
        return str(about["type"])
    method = METHODS[about["peft_type"]]
    return "lora_tokens" if method == "lora" and about.get("trainable_token_indices") else method


def _keep(store: Store, config: RunConfig, found: Sequence[_Found], scores: Sequence[ProbeResults] | None) -> None:
    log = _losses(found[-1].trainer)
    store.save_run(config)
    try:
        for row, one in enumerate([None, *found]):
            probes = scores[row] if scores else None
            with store.new_checkpoint(config.name, _state(config, one, log), probes) as folder:
                if one:
                    shutil.copytree(one.folder, folder, dirs_exist_ok=True)
        store.save_losses(config.name, log)
    except BaseException:
        store.delete_run(config.name)
        raise


def _losses(trainer: dict[str, Any]) -> LossLog:
    """What Trainer logged. Each is the mean of the steps since the one before, so of one step only where all are."""
    rows = [
        (row["step"], row["loss"], row.get("learning_rate"))
        for row in trainer.get("log_history") or []
        if "loss" in row
    ]
    rows = [row for row in rows if _whole(row[0]) and isinstance(row[1], float | int)]
    return LossLog(
        step=tuple(step for step, _, _ in rows),
        loss=tuple(float(loss) for _, loss, _ in rows),
        learning_rate=tuple(float(rate) if isinstance(rate, float | int) else 0.0 for _, _, rate in rows),
    )


def _state(config: RunConfig, one: _Found | None, log: LossLog) -> CheckpointState:
    step = one.step if one else 0
    exact = step in log.step and (step == 1 or step - 1 in log.step)
    at = log.step.index(step) if exact else 0
    return CheckpointState(
        step=step,
        max_steps=config.n_steps,
        epoch=float(one.trainer.get("epoch") or 0.0) if one else 0.0,
        loss=log.loss[at] if exact else None,
        smoothed_loss=None,
        learning_rate=log.learning_rate[at] if exact else None,
        seed=config.seed,
        examples_seen=step * config.batch_size,
        wall_time_s=0.0,
        corpus_hash=config.corpus_hash,
        n_trainable=_n_weights(one.folder / one.files[1]) if one else 0,
    )


def _n_weights(path: Path) -> int:
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        return sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118 (no mapping)


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None
