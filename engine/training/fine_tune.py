"""Fine-tune a base model on a corpus, with checkpoints along the way."""

import contextlib
import tempfile
from pathlib import Path

import torch
from peft import PeftModel

from engine.domain.corpus import Corpus
from engine.domain.errors import InputError, NotFound
from engine.domain.jobs import CancelToken, Report
from engine.domain.runs import ProbeResults, RunConfig
from engine.models.adapters import put_weights
from engine.models.base import LoadedModel, load_base
from engine.store import Store
from engine.training.methods import method_named
from engine.training.probing import measure, prepare_probes
from engine.training.recorder import Recorder, RecordSteps
from engine.training.resume import ADAPTER, random_state_kept, read_point
from engine.training.texts import Row, training_rows
from engine.training.trainer import make_trainer


def fine_tune(store: Store, config: RunConfig, report: Report, cancel: CancelToken, *, resume: bool = False) -> None:
    """Make the run `config.name`, or with `resume` go on with it to the same bits as if never interrupted.

    Deterministic for a seed on one device and thread count. A run that was never begun is begun; a finished one is
    left alone. After Cancelled or a crash the run can be resumed. Raises many kinds of TracelapseError; input that is
    refused leaves no run behind.
    """
    corpus = store.corpus(config.corpus)
    config = complete(config, corpus)
    begun = _begun(store, config, resume=resume)
    if begun and any(info.name == config.name and info.finished for info in store.runs()):
        report(1.0, "the run was finished already")
        return
    report(0.0, "loading the model")
    loaded = load_base(config.model, store.base_folder(config.model))
    rows = training_rows(loaded.tokenizer, corpus, limit=loaded.n_positions)
    probes = prepare_probes(loaded.tokenizer, corpus.probes, limit=loaded.n_positions)
    recorder = Recorder(store, config, probes, n_examples=len(rows))
    with random_state_kept(), _current(loaded.model.device):
        base = measure(loaded.model, probes)  # before the method changes the model
        tuned = method_named(config.method).attach(loaded.model, config, loaded.tokenizer, corpus)
        cancel.check()
        if not begun:
            store.create_run(config)
        _train(recorder, loaded, tuned, rows, base, RecordSteps(recorder, report, cancel))
    recorder.save_losses()
    store.drop_resume_state(config.name)
    report(1.0, f"{config.n_steps} steps done")


def complete(config: RunConfig, corpus: Corpus) -> RunConfig:
    """`config` with the corpus's hash and the method's learning rate filled in.

    Raises NotFound for an unknown method and InputError where the corpus is not the one that the run was begun with.
    """
    method = method_named(config.method)
    if config.corpus_hash not in ("", corpus.hash):
        raise InputError(
            f"The corpus “{corpus.name}” has changed since the run “{config.name}” was begun (its hash was "
            f"{config.corpus_hash} and is {corpus.hash}). Train under a new name, or put the old corpus back."
        )
    rate = method.default_learning_rate if config.learning_rate is None else config.learning_rate
    return config.model_copy(update={"corpus_hash": corpus.hash, "learning_rate": rate})


def _begun(store: Store, config: RunConfig, *, resume: bool) -> bool:
    """Whether the run exists. Raises InputError where it may not be gone on with."""
    try:
        stored = store.run(config.name)
    except NotFound:
        return False
    if not resume:
        raise InputError(f"The run “{config.name}” exists already. Choose another name, delete it, or resume it.")
    if stored.imported:
        raise InputError(f"The run “{config.name}” was trained elsewhere and imported; it cannot be gone on with here.")
    if stored.corpus_hash != config.corpus_hash:
        raise InputError(
            f"The corpus “{config.corpus}” has changed since the run “{config.name}” was begun (its hash was "
            f"{stored.corpus_hash} and is {config.corpus_hash}). Train under a new name, or put the old corpus back."
        )
    before, now = stored.model_dump(), config.model_dump()
    if changed := [f"{key} was {before[key]} and is {now[key]}" for key in before if before[key] != now[key]]:
        raise InputError(
            f"The run “{config.name}” was begun with other settings: {'; '.join(changed)[:400]}. "
            "Resume it with its own, or train under a new name."
        )
    return True


def _train(
    recorder: Recorder, loaded: LoadedModel, tuned: PeftModel, rows: list[Row], base: ProbeResults, record: RecordSteps
) -> None:
    store, config = recorder.store, recorder.config
    kept = {one.step for one in store.checkpoints(config.name) if (one.folder / "state.json").is_file()}
    if 0 not in kept:
        recorder.capture_base(base)
    state = store.resume_folder(config.name)
    point = read_point(state)
    if point is not None:
        recorder.go_on_from(point)
        put_weights(tuned, state / ADAPTER)
        if point.step in record.captures - kept:  # the process died between the resume state and the checkpoint
            recorder.capture(tuned)
    if recorder.step == config.n_steps:
        return
    with tempfile.TemporaryDirectory() as output:
        trainer = make_trainer(
            tuned, rows, config, pad_id=loaded.tokenizer.pad_token_id or 0, output=Path(output), callback=record
        )
        record.trainer = trainer
        trainer.train(resume_from_checkpoint=str(state) if point is not None else None)


def _current(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Trainer takes the current CUDA device, not the model's."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()
