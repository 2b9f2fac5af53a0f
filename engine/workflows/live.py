"""A run that people watch while it trains: one prompt is traced at each checkpoint, beside a finished run."""

import logging
from typing import TYPE_CHECKING

from engine.domain.decisions import CircuitReading
from engine.domain.errors import TracelapseError
from engine.domain.graphs import FIT_LIMIT, GraphKey
from engine.domain.jobs import Beside, CancelToken, Compare, NeverCanceled, Report, Timelapse, part, quiet
from engine.domain.runs import Checkpoint
from engine.store import Store
from engine.workflows.live_queries import checkpoint_by, live_keys, traced_like
from engine.workflows.loading import base_model
from engine.workflows.queries import moments
from engine.workflows.scene import Scene
from engine.workflows.timelapse import timelapse
from engine.workflows.tracing import compare
from engine.workflows.transcoders import ChosenSet

if TYPE_CHECKING:
    from engine.training.watching import Watcher

_log = logging.getLogger(__name__)
_COMPARED = 0.8  # share of the progress bar until both last checkpoints are traced: transcoders are trained first


class LiveWatcher:
    """Traces the prompt in each checkpoint and in the other run's of that time, then looks as `CircuitWatcher` does.

    The graphs are stored. They are traced as those of an earlier comparison, so that a feature stands for the same
    thing from step to step, and in both comparisons.
    """

    def __init__(self, store: Store, beside: Beside, watcher: "Watcher") -> None:
        self._store, self._beside, self._watcher = store, beside, watcher

    def take_reading(self, checkpoint: Checkpoint, previous: Checkpoint | None) -> CircuitReading:
        """Raises as `CircuitWatcher.look`; a graph that cannot be traced is left out."""
        try:
            self._trace(checkpoint)
        except TracelapseError as error:
            _log.warning("%s is not shown live: %s", checkpoint.ref, error)
        return self._watcher.take_reading(checkpoint, previous)

    def _trace(self, checkpoint: Checkpoint) -> None:
        like = traced_like(self._store, checkpoint.run, self._beside)
        if like is not None:
            sides = checkpoint, checkpoint_by(self._store, self._beside.run, checkpoint.step)
            scene = _scene_like(self._store, checkpoint, like)
            keys = [scene.key(side, like.prompt, like.targets) for side in sides]
            scene.trace_together(self._store, sides, keys, f"Tracing {checkpoint.ref}", quiet, NeverCanceled())


def compare_beside(store: Store, run: str, beside: Beside, report: Report, cancel: CancelToken) -> None:
    """Compare both last checkpoints on the prompt, and trace both runs at all the others for a time-lapse.

    Where the transcoders of the live graphs explain all of them well, they are used and little is left to do; else a
    shared set is trained on the checkpoints of both runs. What is stored is not made again, so that a job that was
    stopped goes on where it was. Raises as `compare`.
    """
    a, b = store.checkpoints(run)[-1].ref, store.checkpoints(beside.run)[-1].ref
    request = Compare(a=a, b=b, prompts=(beside.prompt,))
    if like := _well_explained(store, run, beside):
        request = request.model_copy(update={"transcoders": like.transcoders, "settings": like.settings})
    compare(store, request, part(report, 0.0, _COMPARED), cancel)
    refs = tuple(dict.fromkeys(ref for moment in moments(store, a, b) for ref in (moment.a, moment.b)))
    rest = Timelapse(a=a, b=b, prompt=beside.prompt, transcoders=request.transcoders, checkpoints=refs)
    timelapse(store, rest, part(report, _COMPARED, 1.0), cancel)


def _well_explained(store: Store, run: str, beside: Beside) -> GraphKey | None:
    """How the live graphs were traced, if no checkpoint lacks one and none has a low replacement score."""
    like, keys = traced_like(store, run, beside), live_keys(store, run, beside)
    if like is None or set(keys) != {checkpoint.step for checkpoint in store.checkpoints(run)}:
        return None
    scores = [store.graph(key).fit.replacement for pair in keys.values() for key in pair]
    return like if min(scores) >= FIT_LIMIT else None


def _scene_like(store: Store, checkpoint: Checkpoint, like: GraphKey) -> Scene:
    """Traces as the graph of `like` was traced."""
    chosen = ChosenSet(like.transcoders, store.transcoder_folder(like.transcoders))
    return Scene(base_model(store, store.run(checkpoint.run).model), chosen, like.transcoders_hash, like.settings)
