"""Measure the probe scores of a run again."""

from engine.domain.jobs import CancelToken, MeasureProbes, Report
from engine.store import Store


def probe(store: Store, request: MeasureProbes, report: Report, cancel: CancelToken) -> str:
    """Every checkpoint, base first; returns the run's name. Gives what was measured at capture, to the same bits."""
    from engine.models.added_tokens import load_base_of
    from engine.models.sharing import saved_model
    from engine.training.probe_batches import prepare_probes
    from engine.training.probing import measure

    config = store.run(request.run)
    corpus = store.corpus(config.corpus)
    report(0.0, "loading the model")
    loaded = load_base_of(store, config.model)
    batch = prepare_probes(loaded.tokenizer, corpus.probes, limit=loaded.n_positions)
    checkpoints = store.checkpoints(request.run)
    for done, checkpoint in enumerate(checkpoints):
        cancel.check()
        model = saved_model(loaded, checkpoint.adapter) if checkpoint.adapter else loaded.model
        store.save_probe_results(request.run, checkpoint.step, measure(model, batch))
        report((done + 1) / len(checkpoints), f"{checkpoint.label} measured")
    return request.run
