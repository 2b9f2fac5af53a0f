"""Fine-tune a base model on a corpus, with checkpoints along the way."""

import contextlib
import tempfile
from pathlib import Path

import torch

from engine.decisions import curriculum_named, needs_circuits, stopping_named
from engine.domain.corpus import Corpus
from engine.domain.errors import InputError, NotFound
from engine.domain.jobs import CancelToken, Report, part
from engine.domain.methods import METHOD_INFOS
from engine.domain.runs import ProbeResults, RunConfig
from engine.models.added_tokens import load_base_of
from engine.models.base import LoadedModel
from engine.store import Store
from engine.training.critical import find_layers, probes_of
from engine.training.deciding import Decider, decides
from engine.training.methods import method_named
from engine.training.probe_batches import prepare_probes
from engine.training.probing import measure
from engine.training.recorder import Recorder, RecordSteps
from engine.training.resume import ADAPTER, random_state_restored, read_point
from engine.training.sampling import TypeSampler
from engine.training.texts import TokenRow, training_rows
from engine.training.trainer import make_trainer
from engine.training.tuning import tuning_of
from engine.training.watching import Watcher, reading_queue


def fine_tune(
    store: Store,
    config: RunConfig,
    report: Report,
    cancel: CancelToken,
    *,
    resume: bool = False,
    watcher: Watcher | None = None,
) -> None:
    """Make the run `config.name`, or with `resume` go on with it to the same bits as if never interrupted.

    Deterministic for a seed on one device and thread count. A run that was never begun is begun; a finished one is
    left alone. After Canceled or a crash the run can be resumed. Its stopping policy may end it at a capture before
    the last step. Raises many kinds of TracelapseError, InputError also where the config needs circuits and there is
    no watcher; input that is refused leaves no run behind.
    """
    corpus = store.corpus(config.corpus)
    config = complete(config, corpus)
    watcher = _watcher(config, watcher)
    begun = _begun(store, config, resume=resume)
    config = begun or config
    if begun and any(info.name == config.name and info.finished for info in store.runs()):
        report(1.0, "the run was finished already")
        return
    report(0.0, "loading the model")
    loaded = load_base_of(store, config.model)
    rows = training_rows(loaded.tokenizer, corpus, limit=loaded.n_positions)
    probes = prepare_probes(loaded.tokenizer, corpus.probes, limit=loaded.n_positions)
    config, prepared_s, report = _with_layers(store, config, loaded, report, cancel)
    device = loaded.model.device
    with random_state_restored(), _current(device), reading_queue(watcher, device) as readings:
        report(0.0, "probing the base")
        base = measure(loaded.model, probes)  # before the method changes the model
        tuned = method_named(config.method).attach(loaded.model, config, loaded.tokenizer, corpus)
        recorder = Recorder(store, tuning_of(tuned, config), probes, n_examples=len(rows), prepared_s=prepared_s)
        cancel.check()
        if not begun:
            store.save_run(config)
        decider = Decider(store, config, corpus.probes, report, readings) if decides(config) else None
        with recorder.memory:
            _train(recorder, loaded, rows, base, RecordSteps(recorder, report, cancel, decider=decider))
    recorder.save_losses()
    store.delete_resume_state(config.name)
    report(1.0, _outcome(config, decider))


def _watcher(config: RunConfig, watcher: Watcher | None) -> Watcher | None:
    """None where the run needs no circuits. Raises InputError where it does and nobody watches."""
    if not needs_circuits(config):
        return None
    if watcher is None:
        raise InputError(
            f"The run “{config.name}” needs circuits while it trains (stopping “{config.stopping}”, curriculum "
            f"“{config.curriculum}”, watch {config.watch}), but nothing that traces them was given. Train it from the "
            "app or the command line, or choose policies that need no circuits."
        )
    return watcher


def _outcome(config: RunConfig, decider: Decider | None) -> str:
    if decider is None or decider.stopped_at is None:
        return f"{config.n_steps} steps done"
    return f"stopped at step {decider.stopped_at} of {config.n_steps}: {decider.reason}"


def complete(config: RunConfig, corpus: Corpus) -> RunConfig:
    """`config` with the corpus's hash and the method's learning rate filled in.

    Raises NotFound for an unknown method or policy, and InputError where the corpus is not the one that the run was
    begun with.
    """
    method = method_named(config.method)
    stopping_named(config.stopping)
    curriculum_named(config.curriculum)
    if config.corpus_hash not in ("", corpus.hash):
        raise InputError(
            f"The corpus “{corpus.name}” has changed since the run “{config.name}” was started (its hash was "
            f"{config.corpus_hash} and is {corpus.hash}). Train under a new name, or put the old corpus back."
        )
    rate = method.default_learning_rate if config.learning_rate is None else config.learning_rate
    return config.model_copy(update={"corpus_hash": corpus.hash, "learning_rate": rate})


def _with_layers(
    store: Store, config: RunConfig, loaded: LoadedModel, report: Report, cancel: CancelToken
) -> tuple[RunConfig, float, Report]:
    """`config` with the critical layers filled in that its method draws, or finds by probe runs.

    And how many seconds that took, and a report whose 0 to 1 is what is left of the whole.
    """
    draw, finds = method_named(config.method).layers, METHOD_INFOS[config.method].uses_probe
    given = config.method_settings.critical_layers
    if given or not (draw or finds):
        return config, _prepared_s(store, config), report
    if draw is not None:
        return _naming(config, draw(config, loaded.n_layers)), 0.0, report
    n_before = sum(probe.n_steps for probe in probes_of(config))
    share = n_before / (n_before + config.n_steps)
    found = find_layers(store, config, loaded, part(report, 0.0, share), cancel, train=fine_tune)
    return _naming(config, found.layers), found.took_s, part(report, share, 1.0)


def _naming(config: RunConfig, layers: tuple[int, ...]) -> RunConfig:
    settings = config.method_settings.model_copy(update={"critical_layers": layers})
    return config.model_copy(update={"method_settings": settings})


def _prepared_s(store: Store, config: RunConfig) -> float:
    """What an earlier sitting needed before the first step."""
    try:
        return store.checkpoint(f"{config.name}@base").state.prepared_s
    except NotFound:
        return 0.0


def _begun(store: Store, config: RunConfig, *, resume: bool) -> RunConfig | None:
    """The run as it was begun, if it was. Raises InputError where it may not be gone on with."""
    try:
        stored = store.run(config.name)
    except NotFound:
        return None
    if not resume:
        raise InputError(f"The run “{config.name}” already exists. Choose another name, delete it, or resume it.")
    if stored.imported:
        raise InputError(f"The run “{config.name}” was trained elsewhere and imported, so it cannot be resumed here.")
    if stored.corpus_hash != config.corpus_hash:
        raise InputError(
            f"The corpus “{config.corpus}” has changed since the run “{config.name}” was started (its hash was "
            f"{stored.corpus_hash} and is {config.corpus_hash}). Train under a new name, or put the old corpus back."
        )
    # a run that found its layers itself knows them; who asks for it again need not
    given = config.method_settings.critical_layers or stored.method_settings.critical_layers
    before, now = _flat(stored), _flat(_naming(config, given))
    if changed := [f"{key} was {before[key]} and is {now[key]}" for key in before if before[key] != now[key]]:
        raise InputError(
            f"The run “{config.name}” was started with other settings: {'; '.join(changed)[:400]}. "
            "Resume it with its own, or train under a new name."
        )
    return stored


def _flat(config: RunConfig) -> dict[str, object]:
    """Every setting by its name, so that of the thresholds only those are named that differ."""
    values = config.model_dump()
    for group in ("decisions", "method_settings"):
        values |= {f"{group}.{key}": value for key, value in values.pop(group).items()}
    return values


def _train(
    recorder: Recorder, loaded: LoadedModel, rows: list[TokenRow], base: ProbeResults, record: RecordSteps
) -> None:
    store, config, decider = recorder.store, recorder.config, record.decider
    kept = store.captured_steps(config.name)
    if 0 not in kept:
        recorder.capture_base(base)
    state = store.resume_folder(config.name)
    point = read_point(state)
    if point is not None:
        recorder.go_on_from(point)
        recorder.tuning.put(state / ADAPTER)
        recorder.tuning.steps.read_log(state)
        if point.step in record.captures - kept:  # the process died between the resume state and the checkpoint
            recorder.capture()
    ends = decider is not None and decider.take_over(recorder.step)
    if recorder.step < config.n_steps and not ends:
        with tempfile.TemporaryDirectory() as output:
            trainer = make_trainer(
                recorder.tuning.model,
                rows,
                config,
                pad_id=loaded.tokenizer.pad_token_id or 0,
                output=Path(output),
                callback=record,
                steps=recorder.tuning.steps,
                sampler=_sampler(store, config, decider),
            )
            record.trainer = trainer
            trainer.train(resume_from_checkpoint=str(state) if point is not None else None)
    if decider is not None:
        decider.finish()


def _sampler(store: Store, config: RunConfig, decider: Decider | None) -> TypeSampler | None:
    """None where every example is as likely as every other: Trainer's own order stays as it is."""
    if decider is None or config.curriculum == "uniform":
        return None
    types = [example.constraint_type for example in store.corpus(config.corpus).examples]
    return TypeSampler(types, config, decider.weights_at)


def _current(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Trainer takes the current CUDA device, not the model's."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()
