"""Swapping a checkpoint in place, against loading it anew through circuit-tracer's own loader.

Its loader takes a folder by path on its nnsight backend only (the TransformerLens backend knows published names), so
the checkpoint is merged and saved once, untimed, and that folder is what it loads.
"""

import copy

from engine.bench.row import BenchRow, faster, plain
from engine.bench.setting import Setting
from engine.bench.timing import medians

ROUNDS = 7


def measure(setting: Setting) -> list[BenchRow]:
    """Two rows: milliseconds to put a checkpoint's weights in (and the base back), against a new load, and the same
    for a checkpoint's first time, when the tensors that differ are worked out."""
    from engine.bench.sides import open_sides

    sides = open_sides(setting)
    firsts = iter([copy.deepcopy(sides.merged) for _ in range(ROUNDS + 1)])  # each is met for the first time

    def first() -> None:
        with sides.ours.swapped(next(firsts)):
            pass

    def swap() -> None:
        with sides.ours.swapped(sides.merged):
            pass

    ours, once, anew = (1e3 * taken for taken in medians((swap, first, sides.load_anew), rounds=ROUNDS))
    return [
        faster("swap a checkpoint", ours, "ms", than=anew, times=50),
        plain("swap a checkpoint for the first time", once, "ms"),
    ]
