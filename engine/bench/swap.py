"""Swapping a checkpoint in place, against loading it anew through circuit-tracer's own loader.

Its loader takes a folder by path on its nnsight backend only (the TransformerLens backend knows published names), so
the checkpoint is merged and saved once, untimed, and that folder is what it loads.
"""

from engine.bench.row import BenchRow, faster
from engine.bench.setting import Setting
from engine.bench.timing import medians


def measure(setting: Setting) -> list[BenchRow]:
    """One row: seconds to put a checkpoint's weights in (and the base back), against a new load."""
    from engine.bench.sides import open_sides

    sides = open_sides(setting)

    def swap() -> None:
        with sides.ours.swapped(sides.merged):
            pass

    ours, anew = medians((swap, sides.load_anew), rounds=7)
    return [faster("swap a checkpoint", 1e3 * ours, "ms", than=1e3 * anew, times=50)]
