"""`export pair`, `export report`: what the explorer's export menu gives, without a browser."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import typer

from engine.cli.context import store_of
from engine.cli.graphs import CheckpointArgument, EdgeThreshold, NodeThreshold, Prompt
from engine.cli.inputs import transcoder_set
from engine.cli.output import check_destination, say
from engine.domain.errors import InputError

if TYPE_CHECKING:
    from engine.domain.corpus import Probe
    from engine.domain.diffs import DiffSettings, GraphDiff
    from engine.export.shapes import Theme
    from engine.figures.graph_view import GraphView
    from engine.store import Store

group = typer.Typer(help="Files to take away: pages, pictures, tables, graphs for other tools.", no_args_is_help=True)

Format = Literal["html", "svg", "png", "graphml", "json", "csv", "nodes"]
Show = Literal["pair", "a", "b", "overlay"]
Out = Annotated[str, typer.Option("--out", metavar="FILE", help="Where to write; - is stdout, but for PNG.")]


def add_to(app: typer.Typer) -> None:
    app.add_typer(group, name="export")


@group.command()
def pair(
    ctx: typer.Context,
    a: CheckpointArgument,
    b: CheckpointArgument,
    prompt: Prompt,
    *,
    out: Out,
    file_format: Annotated[
        Format | None,
        typer.Option("--format", help="Without it the ending of FILE decides. csv: edges; nodes: their CSV."),
    ] = None,
    show: Annotated[
        Show | None, typer.Option(help="svg, png: pair (default), a, b, overlay. json: a, b (default).")
    ] = None,
    theme: Annotated[Literal["light", "dark"], typer.Option(help="Of html, svg and png.")] = "light",
    transcoders: Annotated[str, typer.Option(metavar="NAME|FOLDER", help="Of which stored comparison.")] = "",
    node_threshold: NodeThreshold = 0.8,
    edge_threshold: EdgeThreshold = 0.98,
    min_change: Annotated[float, typer.Option(help="Smallest change that is called one.")] = 0.005,
) -> None:
    """Write a comparison that is stored as one file: html, svg, png, graphml, json (circuit-tracer's), csv or nodes."""
    from engine.domain.diffs import DiffSettings
    from engine.domain.graphs import PruneSettings

    chosen = file_format or _by_ending(out)
    _refuse_what_cannot_be(chosen, show, out)
    store = store_of(ctx)
    ref_a, ref_b = store.checkpoint(a).ref, store.checkpoint(b).ref
    prune = PruneSettings(node_threshold=node_threshold, edge_threshold=edge_threshold)
    settings = DiffSettings(prune=prune, min_change=min_change)
    diff = _diff(store, ref_a, ref_b, prompt, transcoder_set(transcoders), settings)
    _write(_content(store, diff, chosen, show, theme), out)


@group.command()
def report(
    ctx: typer.Context, run: Annotated[str, typer.Argument(metavar="RUN", help="Name of a run.")], *, out: Out
) -> None:
    """Write the report of a run: one HTML page with its corpus, settings, curves, checkpoints and comparison."""
    from engine.export import run_report

    check_destination(out)
    _write(run_report(store_of(ctx), run).encode(), out)


def _by_ending(out: str) -> Format:
    by_ending: dict[str, Format] = {f".{known}": known for known in get_args(Format) if known != "nodes"}
    ending = Path(out).suffix.lower()
    if ending not in by_ending:
        raise InputError(
            f"“{out}” does not say which format to write. Give --format, or end the file's name in one of "
            f"{', '.join(by_ending)}."
        )
    return by_ending[ending]


def _refuse_what_cannot_be(chosen: Format, show: Show | None, out: str) -> None:
    check_destination(out)
    allowed: dict[Format, tuple[str, ...]] = {"svg": get_args(Show), "png": get_args(Show), "json": ("a", "b")}
    if show is not None and show not in allowed.get(chosen, ()):
        what = f"takes --show {', '.join(allowed[chosen])}" if chosen in allowed else "always holds both sides"
        raise InputError(f"--show {show} cannot be used with {chosen}, which {what}.")
    if chosen == "png" and out == "-":
        raise InputError("A PNG is not text and is not written to the terminal. Give a file with --out FILE.")


def _diff(store: "Store", a: str, b: str, prompt: str, transcoders: str, settings: "DiffSettings") -> "GraphDiff":
    from engine.analysis.diff import diff_graphs
    from engine.workflows.queries import comparison_graphs

    graphs = comparison_graphs(store, a, b, prompt, transcoders)
    if graphs is None:
        raise InputError(
            f"{a} and {b} have not been traced on “{prompt}”, so there is nothing to export. "
            f'Trace them first: python -m engine compare {a} {b} "{prompt}"'
        )
    return diff_graphs(*graphs, settings)


def _view(store: "Store", diff: "GraphDiff", probe: "Probe | None") -> "GraphView":
    from engine.figures.graph_view import pair_view

    losses = [store.checkpoint(graph.key.checkpoint).state.smoothed_loss for graph in (diff.a, diff.b)]
    return pair_view(diff, probe=probe, loss_a=losses[0], loss_b=losses[1])


def _content(store: "Store", diff: "GraphDiff", chosen: Format, show: Show | None, theme: "Theme") -> bytes:
    from engine import export

    probe = store.probe_with([graph.key.checkpoint.partition("@")[0] for graph in (diff.a, diff.b)], diff.a.key.prompt)
    notes = store.annotations(diff.a.key.transcoders_hash)
    match chosen:
        case "html":
            view = _view(store, diff, probe)
            return export.graph_html(view, diff, probe=probe, theme=theme, annotations=notes).encode()
        case "svg" | "png":
            svg = export.graph_svg(_view(store, diff, probe), side=show or "pair", theme=theme, annotations=notes)
            return export.to_png(svg) if chosen == "png" else svg.encode()
        case "graphml":
            return export.to_graphml(diff).encode()
        case "json":
            graph = diff.a if show == "a" else diff.b
            slug = export.file_name(f"{graph.key.checkpoint} {graph.key.prompt}", "")
            return export.tracer_json(graph, diff.settings.prune, slug=slug, annotations=notes).encode()
        case "csv":
            return export.edges_csv(diff).encode()
        case "nodes":
            return export.nodes_csv(diff).encode()


def _write(content: bytes, out: str) -> None:
    """UTF-8 to stdout whatever the terminal's encoding, or to a file, whole or not at all."""
    if out == "-":
        typer.echo(content.decode(), nl=False)
        return
    from engine.store.files import write_bytes

    path = Path(out).expanduser()
    write_bytes(path, content)
    say(f"{path} ({len(content) / 1024:,.0f} KB)")
