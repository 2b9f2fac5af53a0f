"""`timelapse`."""

from typing import TYPE_CHECKING, Any

import typer

from engine.cli.context import store_of
from engine.cli.graphs import CheckpointArgument, Prompt, Transcoders, compared, found_or_made
from engine.cli.inputs import as_read, transcoder_set
from engine.cli.output import JsonFile, check_destination, show_table, write_json

if TYPE_CHECKING:
    from engine.domain.graphs import AttributionGraph

Pairs = dict[int, tuple["AttributionGraph", "AttributionGraph"]]


def add_to(app: typer.Typer) -> None:
    app.command()(timelapse)


def timelapse(
    ctx: typer.Context,
    a: CheckpointArgument,
    b: CheckpointArgument,
    prompt: Prompt,
    *,
    transcoders: Transcoders = "",
    json_file: JsonFile = None,
) -> None:
    """Trace every checkpoint of both runs as the comparison was traced, and tell how the circuits grew."""
    from engine.domain.jobs import Timelapse
    from engine.workflows.queries import moments, timelapse_graphs, timelapse_order

    check_destination(json_file)
    transcoders = transcoder_set(transcoders)
    store = store_of(ctx)
    prompt = as_read(store, a, prompt)
    ref_a, ref_b, _ = compared(store, a, b, prompt, transcoders)
    shown = moments(store, ref_a, ref_b)
    request = Timelapse(
        a=ref_a,
        b=ref_b,
        prompt=prompt,
        transcoders=transcoders,
        checkpoints=timelapse_order(shown, store.checkpoint(ref_b).step),
    )

    def whole() -> Pairs | None:
        pairs = timelapse_graphs(store, ref_a, ref_b, prompt, transcoders)
        return pairs if len(pairs) == len(shown) else None

    rows = _rows(found_or_made(store, whole, request, f"tracing {len(request.checkpoints)} checkpoints"))
    if json_file:
        write_json(rows, json_file)
    if json_file != "-":
        columns = ("step", "a", "answers", "p", "b", "answers", "p", "edge similarity")
        show_table(columns, [tuple(row.values())[:-1] for row in rows])


def _rows(pairs: Pairs) -> list[dict[str, Any]]:
    """One a step: what each side most probably answers, and how alike the circuits are; `same`: but for rounding."""
    from engine.analysis.diff import diff_graphs

    rows = []
    for step, (a, b) in pairs.items():
        row: dict[str, Any] = {"step": step}
        for side, graph in (("a", a), ("b", b)):
            best = int(graph.target_probability.argmax())
            row[side] = graph.key.checkpoint
            row[f"answer_{side}"] = graph.target_tokens[best].strip()
            row[f"p_{side}"] = float(graph.target_probability[best])
        diff = diff_graphs(a, b)
        rows.append(row | {"edge_similarity": diff.summary.edge_similarity, "same": diff.explained.is_same})
    return rows
