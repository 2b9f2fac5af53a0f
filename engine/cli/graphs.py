"""`trace`, `compare`."""

from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.context import store_of
from engine.cli.inputs import transcoder_set
from engine.cli.output import JsonFile, check_destination, write_json
from engine.cli.progress import progress

if TYPE_CHECKING:
    from engine.domain.corpus import Probe
    from engine.domain.graphs import PruneSettings
    from engine.store import Store

CheckpointArgument = Annotated[str, typer.Argument(metavar="RUN@CKPT", help="RUN@base, RUN@25% or RUN@step150.")]
Prompt = Annotated[str, typer.Argument(metavar="PROMPT", help="The text whose next token is explained.")]
Transcoders = Annotated[str, typer.Option(metavar="NAME|FOLDER", help="Transcoder set; without it one that fits.")]
Everything = Annotated[bool, typer.Option("--all", help="JSON of everything before pruning.")]
NodeThreshold = Annotated[float, typer.Option(help="Share of influence that kept nodes carry.")]
EdgeThreshold = Annotated[float, typer.Option(help="Share of influence that kept edges carry.")]


def add_to(app: typer.Typer) -> None:
    app.command()(trace)
    app.command()(compare)


def trace(
    ctx: typer.Context,
    checkpoint: CheckpointArgument,
    prompt: Prompt,
    *,
    transcoders: Transcoders = "",
    node_threshold: NodeThreshold = 0.8,
    edge_threshold: EdgeThreshold = 0.98,
    everything: Everything = False,
    json_file: JsonFile = None,
) -> None:
    """Trace one checkpoint on a prompt: the graph of what led to its top tokens."""
    from engine.domain.jobs import Trace
    from engine.jobs import run_inline
    from engine.workflows.queries import traced_graph

    check_destination(json_file)
    prune, transcoders = _prune(node_threshold, edge_threshold), transcoder_set(transcoders)
    store = store_of(ctx)
    ref = store.checkpoint(checkpoint).ref
    graph = traced_graph(store, ref, prompt, transcoders)
    if graph is None:
        with progress(f"tracing {ref}") as report:
            run_inline(store, Trace(checkpoint=ref, prompts=(prompt,), transcoders=transcoders), on_progress=report)
        graph = traced_graph(store, ref, prompt, transcoders)
    assert graph is not None  # the trace has stored it
    if json_file:
        from engine.analysis.records import graph_record

        write_json(graph_record(graph, prune, everything=everything), json_file)
    if json_file != "-":
        from engine.cli.graph_text import show_graph

        show_graph(graph, prune)


def compare(
    ctx: typer.Context,
    a: CheckpointArgument,
    b: CheckpointArgument,
    prompt: Prompt,
    *,
    transcoders: Transcoders = "",
    node_threshold: NodeThreshold = 0.8,
    edge_threshold: EdgeThreshold = 0.98,
    min_change: Annotated[float, typer.Option(help="Smallest change that is called one.")] = 0.005,
    everything: Everything = False,
    json_file: JsonFile = None,
) -> None:
    """Trace two checkpoints to the same output tokens and tell what differs."""
    from engine.analysis.diff import diff_graphs
    from engine.analysis.records import diff_record
    from engine.domain.diffs import DiffSettings
    from engine.domain.jobs import Compare
    from engine.jobs import run_inline
    from engine.workflows.queries import comparison_graphs

    check_destination(json_file)
    prune, transcoders = _prune(node_threshold, edge_threshold), transcoder_set(transcoders)
    store = store_of(ctx)
    ref_a, ref_b = store.checkpoint(a).ref, store.checkpoint(b).ref
    graphs = comparison_graphs(store, ref_a, ref_b, prompt, transcoders)
    if graphs is None:
        request = Compare(a=ref_a, b=ref_b, prompts=(prompt,), transcoders=transcoders)
        with progress(f"comparing {ref_a} with {ref_b}") as report:
            run_inline(store, request, on_progress=report)
        graphs = comparison_graphs(store, ref_a, ref_b, prompt, transcoders)
    assert graphs is not None  # the comparison has stored both
    diff = diff_graphs(*graphs, DiffSettings(prune=prune, min_change=min_change))
    if json_file:
        write_json(diff_record(diff, everything=everything), json_file)
    if json_file != "-":
        from engine.cli.graph_text import show_diff

        show_diff(diff, _probe_with(store, (ref_a, ref_b), prompt))


def _prune(node_threshold: float, edge_threshold: float) -> "PruneSettings":
    from engine.domain.graphs import PruneSettings

    return PruneSettings(node_threshold=node_threshold, edge_threshold=edge_threshold)


def _probe_with(store: "Store", refs: tuple[str, str], prompt: str) -> "Probe | None":
    """The probe of either run's corpus that asks this prompt: it knows the right answer."""
    from engine.domain.errors import NotFound

    for ref in refs:
        try:
            probes = store.corpus(store.run(ref.partition("@")[0]).corpus).probes
        except NotFound:  # a run imported without its corpus, or one whose corpus was removed
            continue
        for probe in probes:
            if probe.text == prompt:
                return probe
    return None
