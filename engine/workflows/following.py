"""Where training acts while a run trains: measured at each capture, beside the look at its circuits."""

import logging
import time
from functools import cached_property
from typing import TYPE_CHECKING

from engine.analysis.watched import watched_probes
from engine.domain.corpus import Probe
from engine.domain.decisions import CircuitReading
from engine.domain.errors import TracelapseError
from engine.domain.jobs import CancelToken, quiet
from engine.domain.runs import Checkpoint, RunConfig
from engine.store import Store
from engine.workflows.learned import learning_of
from engine.workflows.where import where_probes

if TYPE_CHECKING:
    from engine.training.watching import Watcher

_log = logging.getLogger(__name__)


class FollowingWatcher:
    """Looks as another watcher does, then stores where training acted on the watched probes since the capture before.

    Nothing that is decided depends on it: what is measured stands beside the readings, as `analyse` would store it. So
    a run that is killed and goes on measures what is missing, from the same weights to the same bits.
    """

    def __init__(self, store: Store, config: RunConfig, watcher: "Watcher", cancel: CancelToken) -> None:
        self._store, self._config, self._watcher, self._cancel = store, config, watcher, cancel

    def take_reading(self, checkpoint: Checkpoint, previous: Checkpoint | None) -> CircuitReading:
        """Raises as the watcher's, and Canceled; what cannot be measured is left out. Its time is the look's, too."""
        reading = self._watcher.take_reading(checkpoint, previous)
        if previous is None:
            return reading
        began = time.perf_counter()
        try:
            where_probes(self._store, learning_of((previous, checkpoint), self._probes), quiet, self._cancel)
        except TracelapseError as error:
            _log.warning("Where training acted up to %s is not measured: %s", checkpoint.ref, error)
        return reading.model_copy(update={"trace_s": reading.trace_s + time.perf_counter() - began})

    @cached_property
    def _probes(self) -> tuple[Probe, ...]:
        decisions = self._config.decisions
        return watched_probes(self._store.corpus(self._config.corpus), decisions.probe_kind, decisions.n_prompts)
