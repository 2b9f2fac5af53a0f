"""One run of a study, in whatever process it is done: everything comes in and goes out as text."""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.decisions import needs_circuits
from engine.domain.jobs import CancelToken, Train
from engine.domain.names import Name
from engine.domain.record import Record
from engine.domain.runs import RunConfig
from engine.domain.studies import RunOutcome, StudyRun
from engine.store import Store
from engine.store.files import write_text
from engine.store.layout import main_file
from engine.studies.measured import measure


class CorpusTexts(Record):
    """Corpora on their way to a worker."""

    jsonl: dict[Name, str]


def do_run(run_json: str, corpora_json: str, cancel: CancelToken) -> str:
    """Train one run in a workspace that is thrown away, and measure it; returns its RunOutcome as JSON.

    run_json: a StudyRun; corpora_json: `CorpusTexts`, of its own corpus and those that its method needs.

    One torch thread, so that the figures do not depend on where it runs. Not to be called by two threads of a process
    at once: torch's random state belongs to the process. Raises TracelapseError, Canceled.
    """
    asked = StudyRun.model_validate_json(run_json)
    if "torch" not in sys.modules:
        os.environ["OMP_NUM_THREADS"] = "1"  # threads other than this one take it from here
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    with tempfile.TemporaryDirectory(prefix="tracelapse-run-") as folder, _one_thread():
        store = Store(Path(folder))  # with the bundled demo behind it, which would not let its own corpus be saved
        try:
            for name, jsonl in CorpusTexts.model_validate_json(corpora_json).jsonl.items():
                write_text(store.workspace / main_file("corpus", name), jsonl)
            store.sync()
            return _done(store, asked, cancel).model_dump_json()
        finally:
            store.close()


def corpora_of(config: RunConfig) -> tuple[str, ...]:
    """Names of the corpora that a run needs: its own, and those of its method's prior."""
    return tuple(dict.fromkeys((config.corpus, *config.method_settings.prior)))


def _done(store: Store, asked: StudyRun, cancel: CancelToken) -> RunOutcome:
    from engine.workflows import run
    from engine.workflows.changes import captures_of

    config = asked.config
    _import_all(config)
    began = time.perf_counter()
    run(store, Train(config=config, follow=False), _unread, cancel)  # the workspace is thrown away
    train_s = time.perf_counter() - began
    decided = store.decisions(config.name)
    captures = captures_of(store, config.name)
    state = store.checkpoints(config.name)[-1].state
    measured = measure(store, asked, _unread, cancel)
    return RunOutcome(
        config=config,
        captures=captures,
        decisions=decided.decisions,
        n_steps=captures[-1].step,
        stopped_at=decided.stopped_at,
        train_s=train_s,
        look_s=decided.look_s,
        refresh_s=sum(reading.refresh_s for reading in decided.readings),
        waited_s=decided.waited_s,
        versions=state.versions,
        prior_hashes={name: store.corpus(name).hash for name in config.method_settings.prior},
        n_trainable=state.n_trainable,
        n_moved=state.n_moved,
        prepared_s=state.prepared_s,
        peak_bytes=state.peak_bytes,
        critical_layers=store.run(config.name).method_settings.critical_layers,
        measured=asked.measure,
        scoring=asked.scoring,
        components=measured.components,
        robustness=measured.robustness,
        union=measured.union,
        taught=measured.taught,
        acted=measured.acted,
        unmeasured=measured.unmeasured,
    )


def _unread(fraction: float, message: str) -> None:
    """A study tells how many runs are done, not how far each of them is."""


def _import_all(config: RunConfig) -> None:
    """Takes seconds in a new process, which are not the run's."""
    import engine.training.fine_tune
    import engine.workflows.training

    if needs_circuits(config):
        import engine.attribution.overlap
        import engine.attribution.trace
        import engine.models.replacement
        import engine.models.transcoder_training
        import engine.workflows.watching  # noqa: F401


@contextmanager
def _one_thread() -> Iterator[None]:
    import engine.attribution.trace
    import engine.training.fine_tune  # noqa: F401  (they take seconds, which are not the run's)
    from engine.models.threads import one_thread

    with one_thread():
        yield
