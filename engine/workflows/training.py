"""Train a run. One run trains at a time in a workspace, whichever process asks."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.decisions import needs_circuits
from engine.domain.corpus import Corpus
from engine.domain.errors import InputError
from engine.domain.jobs import CancelToken, Report, Train, part
from engine.domain.numbers import plural
from engine.domain.runs import RunConfig
from engine.store import Store

if TYPE_CHECKING:
    from engine.training.watching import Watcher

WAIT_S = 0.5  # between two tries for the lock
_N_NAMED = 10  # words that a message names
_TRAINED = 0.9  # share of the progress bar for training, where a comparison follows


def train(store: Store, request: Train, report: Report, cancel: CancelToken) -> str:
    """Returns the run's name. Raises what `fine_tune` raises; with `beside`, what `compare` raises as well."""
    from engine.models.hub import fetch_model
    from engine.training.fine_tune import complete, fine_tune

    # a wrong name should not wait for another training
    corpus = store.corpus(request.config.corpus)
    config = complete(request.config, corpus)
    _refuse_unread(store, config, corpus)
    to_train = part(report, 0.0, _TRAINED) if request.beside else report
    if config.model.source == "hub":
        fetch_model(config.model.location, part(report, 0.0, 0.0), cancel)  # its message says how far it is
    with training_alone(store, report, cancel):
        watcher = _watcher(store, config, request, cancel)
        fine_tune(store, request.config, to_train, cancel, resume=request.resume, watcher=watcher)
    if request.beside:
        from engine.workflows.live import compare_beside

        compare_beside(store, config.name, request.beside, part(report, _TRAINED, 1.0), cancel)
    return request.config.name


def _refuse_unread(store: Store, config: RunConfig, corpus: Corpus) -> None:
    """Raises InputError naming the corpus's words that the model has no token or no embedding for."""
    from engine.models.vocabulary import unknown_words

    if unknown := unknown_words(store.base_folder(config.model), corpus.words):
        named = ", ".join(f"“{word[:40]}”" for word in unknown[:_N_NAMED])
        more = f" and {plural(len(unknown) - _N_NAMED, 'other word')}" if len(unknown) > _N_NAMED else ""
        raise InputError(
            f"The model “{config.model.name}” cannot read {named}{more} of the corpus “{corpus.name}”: its tokenizer "
            "does not have them, or it has no embeddings for their tokens. Use another corpus or model."
        )


def _watcher(store: Store, config: RunConfig, request: Train, cancel: CancelToken) -> "Watcher | None":
    if not needs_circuits(config):
        return None
    from engine.workflows.following import FollowingWatcher
    from engine.workflows.live import LiveWatcher
    from engine.workflows.watching import CircuitWatcher

    watcher: Watcher = CircuitWatcher(store, config, cancel)
    if config.watch and request.follow:  # a policy alone is to cost no more than it needs
        watcher = FollowingWatcher(store, config, watcher, cancel)
    return LiveWatcher(store, request.beside, watcher) if request.beside else watcher


@contextmanager
def training_alone(store: Store, report: Report, cancel: CancelToken) -> Iterator[None]:
    """Holds the workspace's training lock, which a dying process lets go of. Can be canceled while waiting."""
    from filelock import FileLock, Timeout

    lock = FileLock(store.workspace / "train.lock")
    while True:
        try:
            lock.acquire(timeout=WAIT_S)
            break
        except Timeout:
            report(0.0, "waiting for another training to finish")
            cancel.check()
    try:
        yield
    finally:
        lock.release()
