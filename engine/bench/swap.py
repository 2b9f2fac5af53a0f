"""A checkpoint beside the base, against loading it anew through circuit-tracer's own loader, and what it costs a trace.

Its loader takes a folder by path on its nnsight backend only (the TransformerLens backend knows published names), so
the checkpoint is merged and saved once, untimed, and that folder is what it loads.
"""

from engine.bench.row import BenchRow, at_most, faster, not_slower
from engine.bench.setting import PROMPT, TRANSCODERS, Setting
from engine.bench.timing import medians
from engine.domain.graphs import GraphKey

ROUNDS = 7
TRACES = 61  # the two that are compared should differ by less than a tenth
OF_THE_BASE = 0.25  # what the demo's adapter, which is large for so small a model, may hold beside it


def measure(setting: Setting) -> list[BenchRow]:
    """Milliseconds from an adapter's files to a model to trace, a trace with and without that, and bytes held."""
    from engine.attribution.trace import trace_graph
    from engine.bench.sides import CHECKPOINT, open_sides
    from engine.models.sharing import checkpoint_model, own_bytes
    from engine.models.threads import one_thread

    sides = open_sides(setting)
    loaded = sides.ours.loaded
    key = GraphKey(
        checkpoint=CHECKPOINT, checkpoint_hash="", prompt=PROMPT, transcoders=TRANSCODERS, transcoders_hash=""
    )
    held = checkpoint_model(loaded, sides.adapter)

    def swap() -> None:
        with sides.ours.opened(held):
            pass

    def from_files() -> None:
        with sides.ours.opened(checkpoint_model(loaded, sides.adapter)):
            pass

    def trace() -> None:
        trace_graph(sides.ours, key=key, merged=held)

    def trace_another() -> None:
        trace_graph(sides.ours, key=key, merged=checkpoint_model(loaded, sides.adapter))

    ours, once, anew = (1e3 * taken for taken in medians((swap, from_files, sides.load_anew), rounds=ROUNDS))
    with one_thread():
        alone, another = (1e3 * taken for taken in medians((trace, trace_another), rounds=TRACES, warm_up=5))
    base = sum(value.nbytes for value in loaded.model.parameters())
    return [
        faster("swap a checkpoint", ours, "ms", than=anew, times=50),
        faster("open a checkpoint from its files", once, "ms", than=anew, times=3),
        not_slower("trace a further checkpoint, opening it included", another, "ms", than=alone, times=1.1),
        at_most("a checkpoint's own tensors", own_bytes(held, loaded) / base, "of the base's", limit=OF_THE_BASE),
    ]
