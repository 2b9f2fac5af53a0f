"""The texts that a run is about: what its transcoders learn from, and what its features are looked up in."""

import random
from collections.abc import Sequence

from engine.domain.continuation import continued
from engine.domain.errors import NotFound
from engine.domain.runs import Checkpoint
from engine.store import Store


def texts_of(store: Store, checkpoints: Sequence[Checkpoint], n_plain: int, seed: int) -> tuple[list[str], list[str]]:
    """What the runs' corpora say (examples, probes with their answers), and plain texts of the model's own world.

    `n_plain` of these are drawn with `seed` for the bundled model; other models' worlds are not known here: none.
    """
    own: list[str] = []
    configs = [store.run(run) for run in dict.fromkeys(c.run for c in checkpoints)]
    for name in dict.fromkeys(config.corpus for config in configs):
        try:
            corpus = store.corpus(name)
        except NotFound:  # an imported run, or a corpus removed since
            continue
        own += [example.text for example in corpus.examples]
        for probe in corpus.probes:
            own += [continued(text, probe.answer, blank=probe.blank) for text in (probe.text, probe.known_text)]
    plain: list[str] = []
    if configs[0].model.source == "bundled":
        from engine.corpus.world import world_sentence

        rng = random.Random(seed)
        plain = [world_sentence(rng) for _ in range(n_plain)]
    return own, plain


def why_no_texts(store: Store, checkpoints: Sequence[Checkpoint]) -> str:
    """Why no transcoders can be trained on these, with the way out: runs that were taken in without a corpus.

    Empty where there are texts, or may be.
    """
    runs = list(dict.fromkeys(c.run for c in checkpoints))
    configs = [store.run(run) for run in runs]
    there = {info.name for info in store.corpora()}
    if configs[0].model.source == "bundled" or any(config.corpus in there for config in configs):
        return ""
    return (
        f"Graphs need transcoders, and these learn from the texts of a corpus: {' and '.join(runs)} "
        f"{'has' if len(runs) == 1 else 'have'} none. Import the checkpoints again with a corpus (texts to "
        "train on are enough), or add the base model with a published transcoder set."
    )
