"""`export pair`, `export map`, `export report`: what the explorer's export menu gives, without a browser."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from engine.cli.context import store_of
from engine.cli.graphs import CheckpointArgument, EdgeThreshold, MinChange, NodeThreshold, Prompt
from engine.cli.inputs import as_read, transcoder_set
from engine.cli.output import check_destination, say
from engine.domain.errors import InputError
from engine.domain.paths import person_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.domain.acted import Acted
    from engine.domain.corpus import Probe
    from engine.domain.diffs import DiffSettings, GraphDiff
    from engine.export.exported_map import ExportedMap
    from engine.export.formats import ExportFormat
    from engine.export.pair_formats import ExportedPair
    from engine.export.shapes import Theme
    from engine.figures.graph_view import GraphView
    from engine.store import Store

Subject = TypeVar("Subject")
group = typer.Typer(help="Export pages, pictures, tables, and graphs for other tools.", no_args_is_help=True)

Out = Annotated[str, typer.Option("--out", metavar="FILE", help="Where to write; - is stdout, but for PNG.")]
Format = Annotated[str, typer.Option("--format", metavar="FORMAT", help="If not given, the ending of FILE decides.")]
ThemeOption = Annotated[Literal["light", "dark"], typer.Option(help="Of html, svg and png.")]


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
    file_format: Format = "",
    show: Annotated[
        str, typer.Option(metavar="SIDE", help="svg, png: pair (default), a, b, overlay. json: a, b (default).")
    ] = "",
    theme: ThemeOption = "light",
    transcoders: Annotated[str, typer.Option(metavar="NAME|FOLDER", help="Of which stored comparison.")] = "",
    node_threshold: NodeThreshold = 0.8,
    edge_threshold: EdgeThreshold = 0.98,
    min_change: MinChange = 0.01,
) -> None:
    """Write a stored comparison as one file.

    FORMAT: html, svg, png, graphml, json (circuit-tracer's), csv (the edges) or nodes (the nodes, as CSV).
    """
    from engine.domain.diffs import DiffSettings
    from engine.domain.graphs import PruneSettings
    from engine.export.pair_formats import PAIR_FORMATS

    chosen = _format(file_format, out, PAIR_FORMATS)
    _check_side(chosen, show, out)
    store = store_of(ctx)
    ref_a, ref_b = store.checkpoint(a).ref, store.checkpoint(b).ref
    prompt = as_read(store, ref_a, prompt)
    prune = PruneSettings(node_threshold=node_threshold, edge_threshold=edge_threshold)
    settings = DiffSettings(prune=prune, min_change=min_change)
    diff = _diff(store, ref_a, ref_b, prompt, transcoder_set(transcoders), settings)
    content = chosen.make(exported_pair(store, diff, theme), show or chosen.sides[0])
    _write(content.encode() if isinstance(content, str) else content, out)


@group.command("map")
def difference_map(
    ctx: typer.Context,
    a: CheckpointArgument,
    b: CheckpointArgument,
    prompt: Prompt,
    *,
    out: Out,
    file_format: Format = "",
    picture: Annotated[
        Literal["carried", "acted"],
        typer.Option(help="What carries the answer (of a stored comparison), or where training acted."),
    ] = "carried",
    pieces: Annotated[bool, typer.Option("--pieces", help="Show pieces of words, as the model reads them.")] = False,
    theme: ThemeOption = "light",
) -> None:
    """Write the Map of two checkpoints on one prompt, from what is stored.

    FORMAT: html, svg, png, csv (the places) or moves (what moves between words, as CSV).
    """
    from engine.export.map_formats import MAP_FORMATS

    chosen = _format(file_format, out, MAP_FORMATS)
    _check_side(chosen, "", out)
    store = store_of(ctx)
    ref_a, ref_b = store.checkpoint(a).ref, store.checkpoint(b).ref
    prompt = as_read(store, ref_a, prompt)
    make = carried_map if picture == "carried" else acted_map
    content = chosen.make(make(store, ref_a, ref_b, prompt, theme, joined=not pieces), "")
    _write(content.encode() if isinstance(content, str) else content, out)


def carried_map(store: "Store", a: str, b: str, prompt: str, theme: "Theme", *, joined: bool) -> "ExportedMap":
    from engine.domain.diffs import DiffSettings

    return map_of_diff(store, _diff(store, a, b, prompt, "", DiffSettings()), theme, joined=joined)


def map_of_diff(store: "Store", diff: "GraphDiff", theme: "Theme" = "light", *, joined: bool = True) -> "ExportedMap":
    """What carries the answer."""
    from engine.analysis.carried import sentences
    from engine.analysis.headline import as_text
    from engine.export.exported_map import ExportedMap
    from engine.figures.map_view import carried_view, taught_word
    from engine.workflows.doubts import doubts_of

    a, b, prompt = diff.a.key.checkpoint, diff.b.key.checkpoint, diff.a.key.prompt
    probe = store.probe_with([ref.partition("@")[0] for ref in (a, b)], prompt)
    steps = {ref: store.checkpoint(ref).step for ref in (a, b)}
    view = carried_view([(None, diff)], steps, joined=joined, taught=taught_word(probe))
    text = " ".join(as_text(one) for one in sentences(diff, probe, view.spans))
    doubts = doubts_of(store, diff.a.key).text
    return ExportedMap(view, a, b, prompt, f"{text} {doubts}".strip(), theme, model=_base_model(store, a))


def acted_map(store: "Store", a: str, b: str, prompt: str, theme: "Theme", *, joined: bool) -> "ExportedMap":
    from engine.workflows.queries import stored_acted

    found = stored_acted(store, a, b, prompt)
    if found is None:
        raise InputError(
            f"Where training acted from {a} to {b} on “{prompt}” has not been measured, so there is nothing to export. "
            f'Measure it first: python -m engine where {a} {b} "{prompt}"'
        )
    return map_of_acted(store, found, theme, joined=joined)


def map_of_acted(store: "Store", found: "Acted", theme: "Theme" = "light", *, joined: bool = True) -> "ExportedMap":
    """Where training acted. Raises InputError where nothing but rounding differs."""
    from engine.analysis.acted import acted_sentence
    from engine.export.exported_map import ExportedMap
    from engine.figures.map_acted import acted_view
    from engine.figures.map_view import taught_word

    if found.is_same:
        raise InputError(f"{acted_sentence(found)} So there is no map. Choose checkpoints that answer differently.")
    a, *_, b = found.key.checkpoints
    prompt = found.key.prompt
    probe = store.probe_with([ref.partition("@")[0] for ref in (a, b)], prompt)
    steps = [store.checkpoint(ref).step for ref in found.key.checkpoints]
    view = acted_view(found, steps, joined=joined, taught=taught_word(probe))
    return ExportedMap(view, a, b, prompt, acted_sentence(found, view.spans), theme, model=_base_model(store, a))


def _base_model(store: "Store", ref: str) -> str:
    return store.run(ref.partition("@")[0]).model.name


@group.command()
def report(
    ctx: typer.Context, run: Annotated[str, typer.Argument(metavar="RUN", help="Name of a run.")], *, out: Out
) -> None:
    """Write the report of a run: one HTML page with its corpus, settings, curves, checkpoints and comparison."""
    from engine.export import run_report

    check_destination(out)
    _write(run_report(store_of(ctx), run).encode(), out)


def _format(name: str, out: str, formats: "Sequence[ExportFormat[Subject]]") -> "ExportFormat[Subject]":
    """The format of this name; without one, that of the file's ending. Raises InputError."""
    if name:
        by_name = {each.name: each for each in formats}
        if name not in by_name:
            raise InputError(f"“{name[:40]}” is not an export format. Choose one of {', '.join(by_name)}.")
        return by_name[name]
    by_ending = {ending: each for each in formats for ending in each.endings}
    ending = Path(out).suffix.lower()
    if ending not in by_ending:
        raise InputError(
            f"“{out}” does not say which format to write. Give --format, or end the file's name in one of "
            f"{', '.join(by_ending)}."
        )
    return by_ending[ending]


def _check_side(chosen: "ExportFormat[Subject]", show: str, out: str) -> None:
    check_destination(out)
    sides = [side for side in chosen.sides if side]
    if show and show not in sides:
        what = f"takes --show {', '.join(sorted(sides))}" if sides else "always holds both sides"
        raise InputError(f"--show {show[:40]} cannot be used with {chosen.name}, which {what}.")
    if chosen.name == "png" and out == "-":
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
    from engine.workflows.doubts import doubts_of

    a, b = (store.checkpoint(graph.key.checkpoint) for graph in (diff.a, diff.b))
    losses = store.loss_words(a), store.loss_words(b)
    doubts = doubts_of(store, diff.a.key).text
    return pair_view(diff, probe=probe, loss_a=losses[0], loss_b=losses[1], step_a=a.step, step_b=b.step, doubts=doubts)


def exported_pair(store: "Store", diff: "GraphDiff", theme: "Theme") -> "ExportedPair":
    from engine.export.pair_formats import ExportedPair

    probe = store.probe_with([graph.key.checkpoint.partition("@")[0] for graph in (diff.a, diff.b)], diff.a.key.prompt)
    names = store.feature_names(diff.a.key.transcoders_hash)
    return ExportedPair(diff, lambda: _view(store, diff, probe), probe, names, theme)


def _write(content: bytes, out: str) -> None:
    """UTF-8 to stdout whatever the terminal's encoding, or to a file, whole or not at all."""
    if out == "-":
        typer.echo(content.decode(), nl=False)
        return
    from engine.store.files import write_bytes

    path = person_path(out)
    write_bytes(path, content)
    say(f"{path} ({len(content) / 1024:,.0f} KB)")
