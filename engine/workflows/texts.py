"""The texts that a run is about: what its transcoders learn from, and what its features are looked up in."""

import random
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from engine.domain.continuation import continued
from engine.domain.corpus import Corpus
from engine.domain.errors import NotFound
from engine.domain.jobs import CancelToken, Report
from engine.domain.models import ENOUGH_TEXTS, TranscoderMeta
from engine.domain.runs import Checkpoint, RunConfig, WrittenTexts
from engine.store import Store
from engine.workflows.loading import weights

if TYPE_CHECKING:
    from engine.models.base import LoadedModel

N_WRITTEN = 320  # by the models of one run
_SEED = 0
_SURELY_ENOUGH = 1_000  # rows of a corpus


def texts_of(store: Store, checkpoints: Sequence[Checkpoint], n_plain: int, seed: int) -> tuple[list[str], list[str]]:
    """What the runs' corpora say (examples, probes with their answers), what the models wrote of runs with too few
    or none, each once; and plain texts of the model's own world.

    `n_plain` of these are drawn with `seed` for the bundled model; other models' worlds are not known here: none.
    Raises Damaged.
    """
    own: list[str] = []
    configs = [store.run(run) for run in dict.fromkeys(c.run for c in checkpoints)]
    for config in {config.corpus: config for config in configs}.values():
        with suppress(NotFound):  # an imported run, or a corpus removed since
            own += _texts(store.corpus(config.corpus))
    for config in configs:
        if written := store.written_texts(config.name):
            own += written.texts
    plain: list[str] = []
    if configs[0].model.source == "bundled":
        from engine.corpus.world import world_sentence

        rng = random.Random(seed)
        plain = [world_sentence(rng) for _ in range(n_plain)]
    return list(dict.fromkeys(own)), plain


def let_models_write(
    store: Store, loaded: "LoadedModel", checkpoints: Sequence[Checkpoint], report: Report, cancel: CancelToken
) -> None:
    """Have texts written by the base and the last checkpoint of each run that has no corpus of enough texts here, once.

    Raises what loading raises, StorageFailed, Canceled.
    """
    for run in dict.fromkeys(checkpoint.run for checkpoint in checkpoints):
        if needs_written_texts(store, run):
            from engine.models.written_texts import write_texts

            ends = [store.checkpoints(run)[end] for end in (0, -1)]
            models = [lambda end=end: weights(loaded, end) for end in ends]
            texts = write_texts(loaded, models, N_WRITTEN, seed=_SEED, report=report, cancel=cancel)
            store.save_written_texts(run, WrittenTexts(texts=texts))


def tokens_to_write(store: Store, checkpoints: Sequence[Checkpoint]) -> int:
    """How many `let_models_write` draws at most. Raises NotFound, Damaged."""
    from engine.models.written_texts import LENGTH

    return N_WRITTEN * LENGTH * sum(needs_written_texts(store, run) for run in {one.run for one in checkpoints})


def needs_written_texts(store: Store, run: str) -> bool:
    """Too few texts say what the run is about. Raises NotFound, Damaged."""
    return not has_texts(store, store.run(run)) and store.written_texts(run) is None


def has_texts(store: Store, config: RunConfig) -> bool:
    """Whether no model must write texts: there are the bundled model's world, or enough in a corpus that is here.

    Raises Damaged.
    """
    if config.model.source == "bundled":
        return True
    info = next((info for info in store.corpora() if info.name == config.corpus), None)
    if info is None or info.n_examples + 2 * info.n_probes < ENOUGH_TEXTS:
        return False
    # Probes of one's own have no second wording, and files say the same twice; of large ones enough is left.
    surely = info.n_examples + info.n_probes >= _SURELY_ENOUGH
    return surely or len(set(_texts(store.corpus(config.corpus)))) >= ENOUGH_TEXTS


def was_read(store: Store, meta: TranscoderMeta, prompt: str) -> bool:
    """Whether the set was trained on a text that begins with the prompt. Said only where it read all texts there were.

    Raises Damaged, NotFound.
    """
    if meta.n_texts is None or not meta.is_short or meta.model.source == "bundled":
        return False
    checkpoints = [store.checkpoint(ref) for ref in meta.checkpoints]
    own, _ = texts_of(store, checkpoints, 0, 0)
    all_read = meta.n_texts >= len(own) * len(checkpoints)
    return all_read and bool(prompt) and any(text.startswith(prompt) for text in own)


def _texts(corpus: Corpus) -> list[str]:
    probes = [(text, probe) for probe in corpus.probes for text in (probe.text, probe.known_text)]
    return [
        *(example.text for example in corpus.examples),
        *(continued(text, probe.answer, blank=probe.blank) for text, probe in probes),
    ]
