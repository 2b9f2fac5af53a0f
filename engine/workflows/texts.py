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
