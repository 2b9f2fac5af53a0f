"""A look at the circuits of one capture, as a run that is watched has it, beside the default run without looks."""

from itertools import pairwise
from statistics import median

from engine.bench.row import BenchRow, at_most, not_slower
from engine.bench.setting import CORPUS, RUN_A, Setting
from engine.bench.timing import seconds
from engine.domain.jobs import NeverCanceled
from engine.domain.runs import RunConfig

N_READINGS = 6  # timed, at the run's last checkpoints; the first look before them loads models and is not


def measure(setting: Setting) -> list[BenchRow]:
    """Seconds of a look (two types, four prompts each, meaning overlap and all) without training transcoders; seconds
    of the default run."""
    from engine.training.fine_tune import fine_tune
    from engine.workflows.watching import CircuitWatcher

    store = setting.store
    run = store.run(RUN_A)
    quiet = run.decisions.model_copy(update={"refresh_steps": 0})  # its transcoders have seen all its checkpoints
    watcher = CircuitWatcher(store, run.model_copy(update={"decisions": quiet}), NeverCanceled())
    first, *others = store.checkpoints(RUN_A)[-N_READINGS - 1 :]
    watcher.take_reading(first, None)
    reading = median(watcher.take_reading(after, before).trace_s for before, after in pairwise([first, *others]))
    config = RunConfig(name="bench-look", corpus=CORPUS)
    train = seconds(lambda: fine_tune(store, config, lambda *_: None, NeverCanceled()))
    n = len(store.corpus(CORPUS).constraint_types) * quiet.n_prompts
    return [
        at_most(f"one capture's circuit probes ({n} prompts)", reading, "s", limit=1.5),
        not_slower(
            f"one capture's circuit probes beside {config.n_steps} steps of training",
            reading,
            "s",
            than=train,
            times=0.25,
        ),
    ]
