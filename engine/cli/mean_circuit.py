"""`mean-circuit`: one mean circuit of many prompts."""

from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.analysis import Kind
from engine.cli.context import store_of
from engine.cli.graphs import (
    CheckpointArgument,
    EdgeThreshold,
    MinChange,
    NodeThreshold,
    Transcoders,
    features_in,
    say_doubts,
)
from engine.cli.inputs import transcoder_set
from engine.cli.output import JsonFile, check_destination, say, write_json, write_out
from engine.cli.progress import progress
from engine.domain.corpus import probe_kind

if TYPE_CHECKING:
    from engine.domain.corpus import Probe
    from engine.domain.diffs import DiffSettings, GraphDiff
    from engine.store import Store

ConstraintType = Annotated[str, typer.Option("--type", metavar="TYPE", help="Constraint type, as simple_mapping.")]
CsvFile = Annotated[
    str | None, typer.Option("--csv", metavar="FILE", help="Write the edges as CSV; - is stdout.", show_default=False)
]


def add_to(app: typer.Typer) -> None:
    app.command()(mean_circuit)
    app.command("circuit", hidden=True)(mean_circuit)  # its old name, too near to `circuits`


def mean_circuit(
    ctx: typer.Context,
    a: CheckpointArgument,
    b: CheckpointArgument,
    *,
    constraint_type: ConstraintType,
    kind: Kind = "inference",
    prompts: Annotated[int, typer.Option(min=1, help="How many, spread over phrasings and words.")] = 12,
    transcoders: Transcoders = "",
    node_threshold: NodeThreshold = 0.8,
    edge_threshold: EdgeThreshold = 0.98,
    min_change: MinChange = 0.01,
    json_file: JsonFile = None,
    csv_file: CsvFile = None,
) -> None:
    """Trace two checkpoints on many probes of one kind, and show what differs on average."""
    from engine.analysis.acted_mean import first_tokens_note
    from engine.analysis.aggregate import aggregate, n_first_tokens
    from engine.analysis.mean_parts import mean_parts, mean_record
    from engine.analysis.origins import left_out_note
    from engine.domain.diffs import DiffSettings
    from engine.domain.graphs import PruneSettings
    from engine.workflows.prompt_groups import group_prompts, probe_group

    for destination in (json_file, csv_file):
        check_destination(destination)
    prune = PruneSettings(node_threshold=node_threshold, edge_threshold=edge_threshold)
    settings = DiffSettings(prune=prune, min_change=min_change)
    store = store_of(ctx)
    ref_a, ref_b = store.checkpoint(a).ref, store.checkpoint(b).ref
    chosen = group_prompts(probe_group(store, ref_a, ref_b, constraint_type, probe_kind(kind)), prompts)
    parts = _parts(store, ref_a, ref_b, chosen, transcoder_set(transcoders), settings)
    mean, n_first = aggregate(parts), n_first_tokens(parts)
    carried = mean_parts(parts, mean.explained.scale)
    names = store.feature_names(mean.a.key.transcoders_hash)
    if json_file:
        from engine.analysis.records import diff_record

        more = {"first_tokens": n_first, "labels": names.record(features_in(mean.nodes))}
        write_json(diff_record(mean) | mean_record(carried, mean.explained.scale) | more, json_file)
    if csv_file:
        from engine.export import edges_csv

        write_out(edges_csv(mean, names), csv_file)
    if "-" not in (json_file, csv_file):
        from engine.cli.graph_text import show_mean

        show_mean(mean, carried, names)
        if n_first:
            say(first_tokens_note(n_first).strip())
        if left_out := left_out_note(carried.origins):
            say(left_out)
        say_doubts(store, mean)


def _parts(
    store: "Store", a: str, b: str, probes: "tuple[Probe, ...]", transcoders: str, settings: "DiffSettings"
) -> "list[tuple[Probe, GraphDiff]]":
    """The differences of all probes; those that are not stored are traced first."""
    from engine.domain.jobs import Compare
    from engine.jobs import run_inline
    from engine.workflows.prompt_groups import group_comparisons, group_transcoders

    transcoders = transcoders or group_transcoders(store, a, b, probes)
    ready, missing = group_comparisons(store, a, b, probes, settings, transcoders=transcoders)
    if missing:
        request = Compare(a=a, b=b, prompts=tuple(missing), transcoders=transcoders)
        with progress(f"comparing {a} with {b} on {len(missing)} prompts") as report:
            run_inline(store, request, on_progress=report)
        ready, missing = group_comparisons(store, a, b, probes, settings, transcoders=transcoders)
    assert not missing  # the job has stored them
    return ready
