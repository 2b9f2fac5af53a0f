"""What is there of a run that is traced while it trains. Nothing here needs torch."""

from bisect import bisect_right

from engine.domain.errors import NotFound
from engine.domain.graphs import GraphKey
from engine.domain.jobs import Beside
from engine.domain.runs import Checkpoint
from engine.store import Store
from engine.workflows.queries import stored_comparison, timelapse_keys, traced_alike


def traced_like(store: Store, run: str, beside: Beside) -> GraphKey | None:
    """How the prompt is traced while `run` trains: as in the first comparison of the other run's last checkpoint with
    one of yet another run. So a feature stands for the same thing at every step, and in every live run.

    None where there is none. Raises NotFound for the other run.
    """
    last = store.checkpoints(beside.run)[-1].ref
    lasting = {meta.name for meta in store.transcoder_sets()}
    keys = [
        found.graph_a
        for found in store.comparisons()
        if found.key.prompt == beside.prompt
        and last in (found.key.a, found.key.b)
        and not any(ref.startswith(f"{run}@") for ref in (found.key.a, found.key.b))
        and found.key.transcoders in lasting
    ]
    return keys[-1] if keys else None


def checkpoint_by(store: Store, run: str, step: int) -> Checkpoint:
    """The run's last checkpoint at or before the step; the base is before all. Raises NotFound."""
    found = store.checkpoints(run)
    return found[max(0, bisect_right(found, step, key=lambda one: one.step) - 1)]


def live_keys(store: Store, run: str, beside: Beside) -> dict[int, tuple[GraphKey, GraphKey]]:
    """By step, the graphs of the run and of the other at that time, as far as they are traced while it trains.

    Empty before the run has begun. Raises Damaged.
    """
    try:
        like, checkpoints = traced_like(store, run, beside), store.checkpoints(run)
    except NotFound:
        return {}
    if like is None:
        return {}
    found = {}
    for checkpoint in checkpoints:
        other = checkpoint_by(store, beside.run, checkpoint.step)
        a, b = (traced_alike(store.graph_keys(side.ref), like) for side in (checkpoint, other))
        if a and b:
            found[checkpoint.step] = (a, b)
    return found


def is_compared(store: Store, run: str, beside: Beside) -> bool:
    """Whether both runs are traced at every step at which either has a checkpoint."""
    try:
        a, b = store.checkpoints(run)[-1], store.checkpoints(beside.run)[-1]
    except (NotFound, IndexError):
        return False
    if stored_comparison(store, a.ref, b.ref, beside.prompt) is None:
        return False
    steps = {one.step for name in (run, beside.run) for one in store.checkpoints(name)}
    return steps == set(timelapse_keys(store, a.ref, b.ref, beside.prompt))
