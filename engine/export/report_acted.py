"""The part of a run's report that shows where training acted: what a run changed, before any graph."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from engine.analysis.acted import acted_sentence
from engine.domain.acted import Acted
from engine.domain.runs import Checkpoint
from engine.export.map_svg import map_svg
from engine.figures.map_acted import acted_view
from engine.figures.map_view import taught_word
from engine.store import Store

WIDTH = 1000  # of a picture; it is scaled to the page


@dataclass(frozen=True)
class ActedPart:
    """What the template shows."""

    prompt: str
    explained: str  # `happy`, `happy − sad`
    sentence: str
    picture: Markup | None  # None: nothing but rounding differs


def acted_part(store: Store, checkpoints: Sequence[Checkpoint], prompt: str) -> ActedPart | None:
    """From the base to the last checkpoint, on `prompt` if that was measured, else on the prompt measured last; None
    where it was measured on none. A prompt whose answer changed goes before one where it did not. Raises Damaged."""
    if len(checkpoints) < 2:
        return None
    found = _measured(store, checkpoints[0].ref, checkpoints[-1].ref, prompt)
    if found is None:
        return None
    steps = {checkpoint.ref: checkpoint.step for checkpoint in checkpoints}
    probe = store.probe_with([checkpoints[0].run], found.key.prompt)
    view = acted_view(found, [steps.get(ref) for ref in found.key.checkpoints], taught=taught_word(probe))
    return ActedPart(
        prompt=found.key.prompt,
        explained=found.answer,
        sentence=acted_sentence(found),
        picture=None if found.is_same else Markup(map_svg(view, width=WIDTH)),  # noqa: S704 - written through an XML tree
    )


def _measured(store: Store, base: str, last: str, prompt: str) -> Acted | None:
    keys = [key for key in store.acted_keys() if (key.checkpoints[0], key.checkpoints[-1]) == (base, last)]
    same = None
    # A comparison explains an answer, no contrast. Stable: of equals the newest.
    for key in sorted(keys, key=lambda key: (key.prompt != prompt, bool(key.explained.against))):
        found = store.acted(key)
        if found is not None and not found.is_same:
            return found
        same = same or found
    return same
