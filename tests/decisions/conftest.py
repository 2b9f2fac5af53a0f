"""Captures by hand."""

from collections.abc import Callable, Mapping

import pytest

from engine.domain.decisions import Capture, CircuitReading, TypeReading, TypeScore
from engine.domain.measures import Change, Floor

A, B = "simple_mapping", "spatial_relationship"
Right = Mapping[str, int]


def score(name: str, n_correct: int, *, n: int = 40, kind: str = "paraphrase") -> TypeScore:
    return TypeScore(constraint_type=name, probe_kind=kind, n=n, n_correct=n_correct, mean_p=n_correct / n)


def type_look(name: str, value: float, *, edge: float | None = 0.3, fit: float = 0.95) -> TypeReading:
    """A circuit that changed by `value`, with the noise up to `edge`."""
    change = Change(value=value, low=value, high=value, edge=edge)
    floor = {} if edge is None else {"influence": Floor(halves=edge / 2, halves_high=edge, paraphrases=None)}
    return TypeReading(
        constraint_type=name, n_prompts=4, fit=fit, lowest_fit=fit, floor=floor, change={"influence": change}
    )


def reading(step: int, *types: TypeReading) -> CircuitReading:
    return CircuitReading(step=step, transcoders="t", transcoders_hash="h", refreshed=False, types=types, trace_s=1.0)


@pytest.fixture
def run() -> Callable[..., tuple[Capture, ...]]:
    """`run(losses, right, changes)`: a capture each 25 steps, the base first. Lists are as long as the captures.

    `right`: of 40 probes, for both types. `changes`: of both circuits; None where nothing was traced.
    """

    def make(
        losses: list[float | None], right: list[int] | None = None, changes: list[float | None] | None = None
    ) -> tuple[Capture, ...]:
        captures = []
        for k, loss in enumerate(losses):
            step = 25 * k
            scores = () if right is None else tuple(score(name, right[k]) for name in (A, B))
            change = None if changes is None else changes[k]
            seen = None if change is None else reading(step, *(type_look(name, change) for name in (A, B)))
            captures.append(Capture(step=step, smoothed_loss=loss, scores=scores, reading=seen))
        return tuple(captures)

    return make
