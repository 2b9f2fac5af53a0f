"""The checkpoints that where training acted goes over, and what is stored of them. Nothing here needs torch."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

from engine.domain.acted import Acted, ActedKey
from engine.domain.errors import NotFound
from engine.domain.explained import ExplainedLogits
from engine.domain.runs import Checkpoint
from engine.store import Store

MOST_STRETCHES = 4  # between two checkpoints that are compared; of more checkpoints some are passed over


@dataclass(frozen=True)
class Piece:
    """What is stored of a course: under this key, or one of its stretches."""

    stored: ActedKey
    number: int | None = None  # of the stretch; None: all of them

    @property
    def key(self) -> ActedKey:
        return self.stored if self.number is None else self.stored.stretches[self.number]

    def read(self, store: Store) -> Acted | None:
        """None where it is gone, or less exact than if it was measured by itself. Raises Damaged."""
        found = store.acted(self.stored)
        return found if found is None or self.number is None else found.alone(self.number)


Course = tuple[Piece, ...]  # each goes on where the one before it ends


def path_between(store: Store, a: Checkpoint, b: Checkpoint) -> tuple[Checkpoint, ...]:
    """A, what lies between, B. Within a run its checkpoints, at most so many that MOST_STRETCHES lie between; from one
    run to another nothing does."""
    if a.run != b.run or a.step == b.step:
        return a, b
    low, high = sorted((a.step, b.step))
    inner = [one for one in store.checkpoints(a.run) if low <= one.step <= high]
    n = min(MOST_STRETCHES, len(inner) - 1)
    steps = [low + (high - low) * part / n for part in range(n + 1)]
    nearest = [min(inner, key=lambda one: abs(one.step - step)) for step in steps]
    chosen = list({one.step: one for one in nearest}.values())
    return tuple(chosen if a.step < b.step else reversed(chosen))


def stored_courses(store: Store, a: str, b: str, prompts: Collection[str]) -> list[Course]:
    """From A to B (RUN@LABEL, canonical) on these prompts, the newest first.

    Also those that were measured stretch by stretch, as when and where a run learned is, where these are the stretches
    of the path from A to B: each is what measuring all of the path finds between these two checkpoints. And the other
    way round, from checkpoint to checkpoint, stretches of longer courses.
    """
    keys = [(place, key) for place, key in enumerate(store.acted_keys()) if key.prompt in prompts]
    refs = _refs(store, a, b)
    found: list[tuple[int, Course]]
    found = [(place, (Piece(key),)) for place, key in keys if (key.checkpoints[0], key.checkpoints[-1]) == (a, b)]
    found += _chains(keys, refs) if len(refs) > 2 else _stretches(keys, a, b)
    return [course for _, course in sorted(found, key=lambda one: one[0])]


def _refs(store: Store, a: str, b: str) -> list[str]:
    try:
        return [one.ref for one in path_between(store, store.checkpoint(a), store.checkpoint(b))]
    except NotFound:  # of a checkpoint that is gone
        return []


def _stretches(keys: Sequence[tuple[int, ActedKey]], a: str, b: str) -> list[tuple[int, Course]]:
    """Of longer courses."""
    longer = [(place, key) for place, key in keys if len(key.checkpoints) > 2]
    return [
        (place, (Piece(key, number),))
        for place, key in longer
        for number, ends in enumerate(pairwise(key.checkpoints))
        if ends == (a, b)
    ]


def _chains(keys: Sequence[tuple[int, ActedKey]], refs: Sequence[str]) -> list[tuple[int, Course]]:
    """With the place of its newest stretch. `keys`: with their places, the newest first; the newest of each stretch
    counts."""
    stretches, found = list(pairwise(refs)), []
    asked: dict[tuple[str, ExplainedLogits], dict[tuple[str, ...], tuple[int, ActedKey]]] = {}
    for place, key in keys:
        if key.checkpoints in stretches:
            asked.setdefault((key.prompt, key.explained), {}).setdefault(key.checkpoints, (place, key))
    for newest in asked.values():
        if len(newest) == len(stretches):
            course = [newest[stretch][1] for stretch in stretches]
            # A run that was made again under its name may have been measured in part only.
            if all(one.hashes[-1] == other.hashes[0] for one, other in pairwise(course)):
                found.append((min(place for place, _ in newest.values()), tuple(map(Piece, course))))
    return found
