"""Which probes of a corpus can be traced on a model, and to which outputs."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.domain.corpus import Probe
from engine.domain.errors import InputError

if TYPE_CHECKING:
    from engine.models.base import LoadedModel

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TraceableProbe:
    """A probe and the output tokens that all of a run's checkpoints are traced to on it; the first is that of the
    answer."""

    probe: Probe
    targets: tuple[int, ...]


def traceable_probes(
    loaded: "LoadedModel", probes: Sequence[Probe]
) -> tuple[tuple[TraceableProbe, ...], tuple[str, ...]]:
    """Those probes that can be traced and laid beside others, and a sentence for each of the rest.

    Left out: a prompt that the model cannot take or that does not follow its template, an answer that it does not know.
    """
    from engine.analysis.slots import probe_slots
    from engine.attribution.targets import probe_targets
    from engine.models.base import encode
    from engine.models.token_texts import token_text

    found, refused = [], []
    for probe in probes:
        try:
            ids = encode(loaded, probe.text)[0].tolist()
            probe_slots(probe, [token_text(loaded.tokenizer, token) for token in ids])
            found.append(TraceableProbe(probe, probe_targets(loaded, probe)))
        except InputError as error:
            _log.info("Probe “%s” is not traced: %s", probe.id, error)
            refused.append(str(error))
    return tuple(found), tuple(refused)
