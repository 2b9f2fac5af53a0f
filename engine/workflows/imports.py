"""Take in checkpoints that were made elsewhere, as a run like any other.

They hold what a plain PEFT script saves, or the changed weights of the model itself as this house saves them.
"""

import json
import math
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.domain.errors import Damaged, InputError
from engine.domain.imports import FoundCheckpoint
from engine.domain.jobs import CancelToken, ImportCheckpoints, Report
from engine.domain.methods import METHOD_INFOS
from engine.domain.models import ModelSpec
from engine.domain.names import check_name
from engine.domain.paths import person_path
from engine.domain.runs import CheckpointState, LossLog, ProbeResults, RunConfig
from engine.store import Store
from engine.store.files import write_text
from engine.store.layout import step_folder
from engine.store.run_files import LOSSES, write_probes, write_state
from engine.workflows.checkpoint_folders import files_of, preview, read_log, whole_number

if TYPE_CHECKING:
    from engine.training.probing import ProbeBatch

METHODS = {info.peft_type: name for name, info in METHOD_INFOS.items() if info.peft_type}
_MOST_NAMED = 10  # of refused folders
NO_CORPUS = "none"  # what an imported run says where no corpus was given


def import_checkpoints(store: Store, request: ImportCheckpoints, report: Report, cancel: CancelToken) -> str:
    """As `import_adapters`. Returns the name of the run."""
    folders = [person_path(folder) for folder in request.folders]
    import_adapters(
        store, folders, name=request.name, model=request.model, corpus=request.corpus, steps=request.steps,
        report=report, cancel=cancel,
    )  # fmt: skip
    return request.name


def import_adapters(
    store: Store,
    folders: Sequence[Path],
    *,
    name: str,
    model: ModelSpec,
    corpus: str | None,
    report: Report,
    cancel: CancelToken,
    steps: Sequence[int] = (),
) -> str:
    """Make the run `name` of checkpoint folders, or of folders that hold some; returns its name. Its model is offered
    from then on.

    `steps`: of the checkpoints, where a person sets them; else as `checkpoint_folders.preview` finds them. With a
    corpus its probes are measured at every checkpoint. Raises InputError (no checkpoint, two of one step, an adapter
    for another model or a pickled one, a link, one that answers differently than PEFT runs it), Damaged, NotFound,
    NameRefused, ModelUnavailable, Cancelled: nothing of a refused import stays.
    """
    from engine.models.base import load_base
    from engine.training.probing import measure, prepare_probes

    if check_name(name) in {info.name for info in store.runs()}:
        raise InputError(f"The run “{name}” already exists. Choose another name, or delete it first.")
    found = _find(folders, steps)
    taught = store.corpus(corpus) if corpus else None
    report(0.0, "loading the model")
    loaded = load_base(model, store.base_folder(model))
    probes = prepare_probes(loaded.tokenizer, taught.probes if taught else (), limit=loaded.n_positions)
    with tempfile.TemporaryDirectory() as temporary:
        copies = [_copy(one, Path(temporary)) for one in found]
        scores = [measure(loaded.model, probes)]
        for done, (one, copied) in enumerate(zip(found, copies, strict=True)):
            cancel.check()
            report(done / (len(copies) + 1), f"checking step {copied.step}")
            scores.append(_try_on(loaded, one, copied.path, probes))
        config = _config(name, model, copies, corpus=corpus, corpus_hash=taught.hash if taught else "")
        cancel.check()
        _keep(store, config, copies, scores if taught else None)
    report(1.0, f"{len(copies)} checkpoints imported")
    return name


def _find(folders: Sequence[Path], steps: Sequence[int]) -> list[FoundCheckpoint]:
    """Ascending by step. Raises InputError for what is neither taken nor the same as another one."""
    found = preview(folders, steps=steps)
    if found.refused:
        named = "; ".join(f"{one.path}: {one.why}" for one in found.refused[:_MOST_NAMED])
        more = len(found.refused) - _MOST_NAMED
        raise InputError(f"Not taken in: {named}{f'; and {more} more' if more > 0 else ''}.")
    return list(found.taken)


def _copy(one: FoundCheckpoint, temporary: Path) -> FoundCheckpoint:
    """What is checked is what is kept: a copy of the two files of a checkpoint, nothing else."""
    folder = temporary / str(one.step)
    folder.mkdir()
    for name in files_of(one.kind):
        shutil.copyfile(one.path / name, folder / name)
    return one.model_copy(update={"path": folder})


def _try_on(loaded: Any, one: FoundCheckpoint, copied: Path, probes: "ProbeBatch") -> ProbeResults:
    """Raises InputError, Damaged of the person's folder, not of the copy."""
    from engine.models.as_trained import check_as_trained
    from engine.training.probing import measure

    try:
        return measure(check_as_trained(loaded, copied), probes)
    except InputError as error:
        raise InputError(str(error).replace(str(copied), str(one.path))) from error
    except Damaged as error:
        raise Damaged(error.path.replace(str(copied), str(one.path)), error.reason, error.remedy) from error


def _config(
    name: str, model: ModelSpec, found: Sequence[FoundCheckpoint], *, corpus: str | None, corpus_hash: str
) -> RunConfig:
    last = found[-1]
    about = json.loads((last.path / files_of(last.kind)[0]).read_text(encoding="utf-8"))
    n_steps = max(whole_number(last.trainer.get("max_steps")) or 1, last.step or 1)
    return RunConfig(
        name=name,
        model=model,
        corpus=corpus or NO_CORPUS,
        corpus_hash=corpus_hash,
        method=_method(about),
        n_steps=n_steps,
        batch_size=whole_number(last.trainer.get("train_batch_size")) or 1,
        rank=whole_number(about.get("target_r" if about.get("peft_type") == "ADALORA" else "r")) or 1,
        alpha=about.get("lora_alpha") or 1,
        capture=tuple((one.step or 0) / n_steps for one in found),
        imported=True,
    )


def _method(about: dict[str, Any]) -> str:
    """The method that makes such a checkpoint. What could not be put onto the model has been refused before."""
    if "peft_type" not in about:
        return str(about["type"])
    method = METHODS[about["peft_type"]]
    return "lora_tokens" if method == "lora" and about.get("trainable_token_indices") else method


def _keep(
    store: Store, config: RunConfig, found: Sequence[FoundCheckpoint], scores: Sequence[ProbeResults] | None
) -> None:
    log, _ = read_log(found[-1].trainer)
    if config.model.source != "bundled":
        store.save_model(config.model)  # offered from then on; first, so that nothing is missing once the run is there
    with store.new_run(config) as run:
        for row, one in enumerate([None, *found]):
            state = _state(config, one, log)
            (folder := run / "checkpoints" / step_folder(state.step)).mkdir(parents=True)
            if one:
                shutil.copytree(one.path, folder, dirs_exist_ok=True)
            if scores:
                write_probes(folder, scores[row])
            write_state(folder, state)
        write_text(run / LOSSES, log.to_json())


def _state(config: RunConfig, one: FoundCheckpoint | None, log: LossLog) -> CheckpointState:
    step = (one.step or 0) if one else 0
    exact = step in log.step and (step == 1 or step - 1 in log.step)
    at = log.step.index(step) if exact else 0
    exact = exact and math.isfinite(log.loss[at])
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
        n_trainable=_n_weights(one.path / files_of(one.kind)[1]) if one else 0,
    )


def _n_weights(path: Path) -> int:
    from safetensors import safe_open

    with safe_open(path, framework="np") as file:
        return sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118 (no mapping)
