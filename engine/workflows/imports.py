"""Take in checkpoints that were made elsewhere, as a run like any other.

They hold what a plain PEFT script saves, all weights of a model, or those that changed as this house saves them.
"""

import dataclasses
import json
import math
import shutil
from collections.abc import Sequence
from filecmp import cmpfiles
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.domain.corpus import Corpus
from engine.domain.errors import InputError, NotFound
from engine.domain.foreign import renamed
from engine.domain.imports import FoundCheckpoint
from engine.domain.jobs import CancelToken, ImportCheckpoints, Report, part
from engine.domain.methods import METHOD_INFOS
from engine.domain.models import ModelSpec
from engine.domain.names import check_name
from engine.domain.numbers import plural
from engine.domain.paths import person_path
from engine.domain.runs import NO_CORPUS, CheckpointState, LoggedMetrics, LossLog, ProbeResults, RunConfig
from engine.store import Store
from engine.store.files import scratch_folder, write_text
from engine.store.layout import step_folder
from engine.store.run_files import LOSSES, METRICS, write_probes, write_state
from engine.workflows.added_vocabulary import with_vocabulary
from engine.workflows.checkpoint_folders import files_of, preview, refusal, tensor_files
from engine.workflows.full_folders import DIFFERENCE_AT_MOST, weight_files
from engine.workflows.hub_checkpoints import Looked, fetched, hub_ids, look_at
from engine.workflows.loading import base_model
from engine.workflows.trainer_logs import (
    merged_metrics,
    number,
    read_log,
    read_metrics,
    table_metrics,
    whole_number,
)

if TYPE_CHECKING:
    from engine.training.probe_batches import ProbeBatch

METHODS = {info.peft_type: name for name, info in METHOD_INFOS.items() if info.peft_type}


def import_checkpoints(store: Store, request: ImportCheckpoints, report: Report, cancel: CancelToken) -> str:
    """As `import_adapters`. Returns the name of the run."""
    import_adapters(
        store, request.folders, name=request.name, model=request.model, corpus=request.corpus, steps=request.steps,
        logs=[person_path(log) for log in request.logs], resume=request.resume, report=report, cancel=cancel,
    )  # fmt: skip
    return request.name


def import_adapters(
    store: Store,
    folders: Sequence[Path | str],
    *,
    name: str,
    model: ModelSpec,
    corpus: str | None,
    report: Report,
    cancel: CancelToken,
    steps: Sequence[int] = (),
    logs: Sequence[Path] = (),
    resume: bool = False,
) -> str:
    """Make the run `name` of checkpoint folders, or of folders that hold some, or of ids on the Hugging Face hub, which
    are fetched into its cache; returns its name. Its model is offered from then on.

    `steps`: of the checkpoints, where a person sets them; else as `checkpoint_folders.preview` finds them. With a
    corpus its probes are measured at every checkpoint. `logs`: CSV files with other measures by step. `resume`: a
    killed import is done again; where it had come to its end, its run is found to be the same and left alone. Raises
    InputError (no checkpoint, two of one step, one for another model or a pickled one, a link, one that answers
    differently than PEFT or transformers runs it, a log that is no table of steps), Damaged, NotFound, NameRefused,
    ModelUnavailable, Canceled: nothing of a refused import stays.
    """
    from engine.models.hub import fetch_model

    if check_name(name) in {info.name for info in store.runs()} and not resume:
        raise _taken(name)
    items = [str(folder) for folder in folders]
    ids = hub_ids(items)
    if ids:
        report(0.0, f"looking at {', '.join(list(ids)[:3])}")
    found = _find(items, steps, look_at(ids), model.location)
    taught = store.corpus(corpus) if corpus else None
    metrics = merged_metrics(read_metrics(found[-1].trainer), table_metrics(logs))
    if model.source == "hub":
        fetch_model(model.location, part(report, 0.0, 0.0), cancel)  # its message says how far it is
    _refuse_another_model(store, model, found)
    downloading, rest = (part(report, 0.0, 0.5), part(report, 0.5, 1.0)) if ids else (report, report)
    found, words = fetched(found, downloading, cancel)
    with renamed(words):
        _make(store, found, name=name, model=model, taught=taught, metrics=metrics, report=rest, cancel=cancel)
    return name


def _make(
    store: Store,
    found: Sequence[FoundCheckpoint],
    *,
    name: str,
    model: ModelSpec,
    taught: Corpus | None,
    metrics: LoggedMetrics,
    report: Report,
    cancel: CancelToken,
) -> None:
    from engine.training.probe_batches import prepare_probes
    from engine.training.probing import measure

    report(0.0, "loading the model")
    # Kept for the comparison that follows; by any name that it was loaded by.
    loaded = dataclasses.replace(base_model(store, model), spec=model)
    with scratch_folder(store.workspace / "runs" / name) as scratch:
        (vocabulary := scratch / "vocabulary").mkdir()
        loaded = with_vocabulary(loaded, found, vocabulary)
        model = model.model_copy(update={"vocabulary": loaded.spec.vocabulary})
        probes = prepare_probes(loaded.tokenizer, taught.probes if taught else (), limit=loaded.n_positions)
        report(0.0, "probing the base")
        copies, scores = [], [measure(loaded.model, probes)]
        for done, one in enumerate(found):
            cancel.check()
            report(done / (len(found) + 1), f"checking step {one.step}")
            copied, results = _take(loaded, one, scratch, probes)
            copies.append(copied)
            scores.append(results)
        config = _config(name, model, copies, taught)
        cancel.check()
        if not _is_kept(store, config, copies):
            _keep(store, config, copies, scores if taught else None, vocabulary, metrics)
    report(1.0, f"{plural(len(copies), 'checkpoint')} imported")


def _find(items: Sequence[str], steps: Sequence[int], looked: Looked, base: str) -> list[FoundCheckpoint]:
    """Ascending by step. Raises InputError for what is neither taken nor the same as another one."""
    found = preview([person_path(item) for item in items], steps=steps, looked=looked, base=base)
    if why := refusal(found):
        raise InputError(why)
    return list(found.taken)


def _refuse_another_model(store: Store, model: ModelSpec, found: Sequence[FoundCheckpoint]) -> None:
    """Before gigabytes are downloaded. Raises InputError, ModelUnavailable, Damaged."""
    from engine.models.full_weights import refuse_another_model
    from engine.models.hub import model_folder, place_of

    for one in found:
        if one.hub and one.kind == "full":
            base = model_folder(model.location) if model.source == "hub" else store.base_folder(model)
            with renamed({str(place_of(one.hub)): str(one.path)}):
                refuse_another_model(model.name, base, place_of(one.hub))


def _take(
    loaded: Any, one: FoundCheckpoint, scratch: Path, probes: "ProbeBatch"
) -> tuple[FoundCheckpoint, ProbeResults]:
    """What the run keeps of a checkpoint, in a folder of its own, and its scores. What is checked is what is kept.

    Raises InputError, Damaged of the person's folder, not of what is kept.
    """
    from engine.models.adapters import join_files
    from engine.models.added_tokens import leave_out_base_rows
    from engine.models.as_trained import check_as_trained, take_full
    from engine.models.kept_answers import diverged
    from engine.models.text_adapters import leave_out_pictures
    from engine.training.probing import measure

    folder = scratch / str(one.step)
    folder.mkdir()
    with renamed({str(folder): str(one.path)}):
        if one.kind == "full":
            tuned: Any = take_full(
                loaded, one.path, folder, files=weight_files(one.path), most=DIFFERENCE_AT_MOST
            )  # fmt: skip
        else:
            about, weights = files_of(one.kind)
            shutil.copyfile(one.path / about, folder / about)
            join_files(tensor_files(one), folder / weights)
            if one.kind == "adapter":
                leave_out_pictures(folder, loaded)
                leave_out_base_rows(loaded, folder)
            tuned = check_as_trained(loaded, folder)
        if probes.ids and diverged(folder):
            raise InputError(
                f"{one.path} answers with what are no numbers (NaN), as its training diverged, so its probes cannot be "
                "measured. Import the others alone, or all without a corpus."
            )
        return one.model_copy(update={"path": folder}), measure(tuned, probes)


def _config(name: str, model: ModelSpec, found: Sequence[FoundCheckpoint], taught: Corpus | None) -> RunConfig:
    last = found[-1]
    about = json.loads((last.path / files_of(last.kind)[0]).read_text(encoding="utf-8"))
    n_steps = max(whole_number(last.trainer.get("max_steps")) or 1, last.step or 1)
    return RunConfig(
        name=name,
        model=model,
        corpus=taught.name if taught else NO_CORPUS,
        corpus_hash=taught.hash if taught else "",
        method=_method(about),
        n_steps=n_steps,
        batch_size=whole_number(last.trainer.get("train_batch_size")) or 1,
        rank=whole_number(about.get("target_r" if about.get("peft_type") == "ADALORA" else "r")) or 1,
        alpha=1 if about.get("lora_alpha") is None else about["lora_alpha"],
        capture=tuple((one.step or 0) / n_steps for one in found),
        imported=True,
    )


def _method(about: dict[str, Any]) -> str:
    """The method that makes such a checkpoint. What could not be put onto the model has been refused before."""
    if "peft_type" not in about:
        return str(about["type"])
    method = METHODS[about["peft_type"]]
    return "lora_tokens" if method == "lora" and about.get("trainable_token_indices") else method


def _taken(name: str) -> InputError:
    return InputError(f"The run “{name}” already exists. Choose another name, or delete it first.")


def _is_kept(store: Store, config: RunConfig, found: Sequence[FoundCheckpoint]) -> bool:
    """Whether the run is there, with exactly these checkpoints. Raises InputError where it is another one."""
    try:
        kept = {one.step: one.folder for one in store.checkpoints(config.name)}
        is_same = store.run(config.name) == config
    except NotFound:
        return False
    steps = {one.step or 0: one.path for one in found}
    if is_same and kept.keys() == {0, *steps} and all(_holds(kept[step], path) for step, path in steps.items()):
        return True
    raise _taken(config.name)


def _holds(kept: Path, made: Path) -> bool:
    """Whether all that was made anew is kept, bit for bit."""
    names = [file.name for file in made.iterdir()]
    return len(cmpfiles(kept, made, names, shallow=False)[0]) == len(names)


def _keep(
    store: Store,
    config: RunConfig,
    found: Sequence[FoundCheckpoint],
    scores: Sequence[ProbeResults] | None,
    vocabulary: Path,
    metrics: LoggedMetrics,
) -> None:
    """The whole run or nothing of it. `vocabulary`: what the base has besides its own, if `config` names that."""
    log, _ = read_log(found[-1].trainer)
    if config.model.source != "bundled":
        # Offered from then on, as it is for every run; first, so that nothing is missing once the run is there.
        store.save_model(config.model.model_copy(update={"vocabulary": ""}))
    try:
        with store.new_run(config) as run:
            for row, one in enumerate([None, *found]):
                state = _state(config, one, log)
                (folder := run / "checkpoints" / step_folder(state.step)).mkdir(parents=True)
                for file in one.path.iterdir() if one else ():
                    file.rename(folder / file.name)
                if scores:
                    write_probes(folder, scores[row])
                write_state(folder, state)
            write_text(run / LOSSES, log.to_json())
            if metrics.series:
                write_text(run / METRICS, metrics.to_json())
            if config.model.vocabulary:
                store.save_vocabulary(config.model.vocabulary, vocabulary)
        if config.model.vocabulary and not store.has_vocabulary(config.model.vocabulary):
            # Until the run was there, no run needed it: whoever deleted one meanwhile has taken it along.
            store.save_vocabulary(config.model.vocabulary, vocabulary)
    except BaseException:
        store.remove_unused_vocabularies()
        raise


def _state(config: RunConfig, one: FoundCheckpoint | None, log: LossLog) -> CheckpointState:
    step = (one.step or 0) if one else 0
    exact = step in log.step and (step == 1 or step - 1 in log.step)
    at = log.step.index(step) if exact else 0
    exact = exact and math.isfinite(log.loss[at])
    epoch = number(one.trainer.get("epoch")) if one else 0.0
    return CheckpointState(
        step=step,
        max_steps=config.n_steps,
        epoch=epoch if math.isfinite(epoch) else 0.0,
        loss=log.loss[at] if exact else None,
        smoothed_loss=None,
        learning_rate=log.learning_rate[at] if exact else None,
        seed=config.seed,
        examples_seen=step * config.batch_size,
        wall_time_s=0.0,
        corpus_hash=config.corpus_hash,
        n_trainable=_n_weights(one) if one else 0,
    )


def _n_weights(one: FoundCheckpoint) -> int:
    """Of a full fine-tune those that differ from the base."""
    from safetensors import safe_open

    about, weights = (one.path / name for name in files_of(one.kind))
    if one.kind == "full":
        return int(json.loads(about.read_text(encoding="utf-8"))["n_changed"])
    with safe_open(weights, framework="np") as file:
        return sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118 (no mapping)
