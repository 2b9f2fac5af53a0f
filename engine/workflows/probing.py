"""Measure the probe scores of a run again, or those of a corpus that it was imported without."""

from typing import TYPE_CHECKING

from engine.domain.corpus import Corpus
from engine.domain.errors import InputError
from engine.domain.jobs import CancelToken, MeasureProbes, Report
from engine.domain.numbers import plural
from engine.domain.runs import Checkpoint, ProbeResults, RunConfig
from engine.store import Store
from engine.workflows.loading import base_model
from engine.workflows.prompt_groups import lacks_corpus

if TYPE_CHECKING:
    from engine.models.base import LoadedModel
    from engine.training.probe_batches import ProbeBatch


def probe(store: Store, request: MeasureProbes, report: Report, cancel: CancelToken) -> str:
    """Every checkpoint, base first; returns the run's name. Gives what was measured at capture, to the same bits.

    With another corpus than the run's all of it counts or nothing. Raises NotFound, Damaged, InputError (a run that was
    trained here has its own corpus; a corpus without probes; scores of another corpus that are not to be replaced),
    what loading raises, StorageFailed, Canceled.
    """
    from engine.training.probe_batches import prepare_probes

    config = store.run(request.run)
    corpus = _corpus(store, config, request.corpus)
    is_new = (config.corpus, config.corpus_hash) != (corpus.name, corpus.hash) and bool(request.corpus)
    if is_new and not request.replace:
        _refuse_to_lose(store, config, corpus)
    report(0.0, "loading the model")
    loaded = base_model(store, config.model)
    batch = prepare_probes(loaded.tokenizer, corpus.probes, limit=loaded.n_positions)
    checkpoints = store.checkpoints(request.run)
    held: dict[int, ProbeResults] = {}
    for done, checkpoint in enumerate(checkpoints):
        cancel.check()
        held[checkpoint.step] = _measured(loaded, checkpoint, batch)
        if not is_new:
            store.save_probe_results(request.run, checkpoint.step, held[checkpoint.step])
        report((done + 1) / len(checkpoints), f"{checkpoint.label} measured")
    if is_new:
        cancel.check()
        store.save_corpus_of_run(request.run, corpus)
        for step, results in held.items():
            store.save_probe_results(request.run, step, results)
    return request.run


def _corpus(store: Store, config: RunConfig, named: str) -> Corpus:
    if named and named != config.corpus and not config.imported:
        raise InputError(
            f"The run “{config.name}” was trained here on the corpus “{config.corpus}”, whose probes are its own. "
            "Those of another corpus can be measured on imported runs alone."
        )
    if not named and not config.has_corpus:
        raise InputError(lacks_corpus(store, config.name))
    corpus = store.corpus(named or config.corpus)
    if not corpus.probes:
        raise InputError(f"The corpus “{corpus.name}” has no probes, so there is nothing to measure. Choose another.")
    return corpus


def _refuse_to_lose(store: Store, config: RunConfig, corpus: Corpus) -> None:
    """Where the run has scores of another corpus, which those of `corpus` would replace."""
    held = store.probe_results(config.name)
    if not held:
        return
    n = max(len(results.probe_id) for results in held.values())
    before = f"“{config.corpus}”" + (" as it was then" if config.corpus == corpus.name else "")
    raise InputError(
        f"The run “{config.name}” has scores of {plural(n, 'probe')} of the corpus {before}, at "
        f"{plural(len(held), 'checkpoint')}. Measuring the {plural(len(corpus.probes), 'probe')} of “{corpus.name}” "
        "would replace them, and the learning curves made of them, so nothing was measured. "
        f"`probe {config.name} --corpus {corpus.name} --replace` does it all the same. To keep both, put all probes "
        "into one corpus and measure that, or import the checkpoints under another name too."
    )


def _measured(loaded: "LoadedModel", checkpoint: Checkpoint, batch: "ProbeBatch") -> ProbeResults:
    from engine.models.sharing import saved_model
    from engine.training.probing import measure

    return measure(saved_model(loaded, checkpoint.adapter) if checkpoint.adapter else loaded.model, batch)
