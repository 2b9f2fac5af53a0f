"""Which of a word's own examples taught it more: pushes held to leaving some of them out and training again.

That pushes find a word's own examples is what the study of measures tells (`data/measures.yaml`). Here, of a prompt of
each of some words, the stronger two of the word's own are left out, and the weaker two; the run is made again with the
same seed.
"""

from collections import defaultdict

import numpy as np

from engine.bench.row import BenchRow, plain
from engine.bench.setting import CORPUS, Setting
from engine.demo import recipe
from engine.domain.jobs import NeverCanceled, Train, quiet
from engine.studies.left_out import TrainedAgain

RUNS = (recipe.RUN_A, recipe.RUN_B)
WORDS = 3
STEPS, CAPTURE_EVERY = 100, 10
OF_OWN = 2  # of five


def measure(setting: Setting) -> list[BenchRow]:
    """Means over the prompts, of short runs with each bundled run's settings: what the answer's log-probability loses,
    in nats."""
    return [row for run in RUNS for row in _of_run(setting, run)]


def _of_run(setting: Setting, run: str) -> list[BenchRow]:
    own = TrainedAgain(setting.store, _trained(setting, run), quiet, NeverCanceled())
    probes = own.probes[:: -(-len(own.probes) // WORDS)]  # of both constraint types
    found: dict[str, list[float]] = defaultdict(list)
    for probe in probes:
        of_word = [one.id for one in own.taught(probe).ranked if one.constraint == probe.constraint]
        whole = own.without((), probe)
        for name, left_out in (("stronger", of_word[:OF_OWN]), ("weaker", of_word[-OF_OWN:])):
            found[name].append(whole - own.without(left_out, probe))
    title = f"{run}'s settings, {STEPS} steps, {len(probes)} prompts"
    return [
        plain(f"{title}, without the {name} {OF_OWN} of the word's own: loss", float(np.mean(of)), "nats")
        for name, of in found.items()
    ]


def _trained(setting: Setting, run: str) -> str:
    from engine.workflows.training import train

    changes = {
        "name": f"{run}-short", "corpus": CORPUS, "n_steps": STEPS, "capture": (1.0,), "capture_every": CAPTURE_EVERY,
    }  # fmt: skip
    config = setting.store.run(run).model_copy(update=changes)
    train(setting.store, Train(config=config), quiet, NeverCanceled())
    return config.name
