"""`circuits find`, `show`, `change`, `robustness`, `union`: heads and MLPs, the edges between them."""

from typing import TYPE_CHECKING, Annotated

import typer

from engine.analysis.components.compare import Qkv
from engine.analysis.components.selection import EDGE_RULES, How, edge_rule
from engine.cli.context import store_of
from engine.cli.inputs import stored_corpus
from engine.cli.output import JsonFile, check_destination, write_json, write_out
from engine.cli.progress import progress
from engine.domain.components import CIRCUIT_SHARE, LEVELS, SHARES, ScoreSettings
from engine.domain.edge_measures import EDGE_MEASURES, known_measure
from engine.domain.errors import InputError

if TYPE_CHECKING:
    from engine.domain.components import Circuit, ComponentScores
    from engine.domain.jobs import SubtaskCircuit
    from engine.store import Store

group = typer.Typer(help="Component circuits: heads and MLPs, and the edges between them.", no_args_is_help=True)

DEFAULT = ScoreSettings()


def _measure(text: str) -> str:
    try:
        return known_measure(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _rule(text: str) -> str:
    edge_rule(text)
    return text


CheckpointName = Annotated[str, typer.Argument(metavar="RUN@CKPT", help="A checkpoint, as RUN@100%.")]
Pairs = Annotated[
    str,
    typer.Option(metavar="CORPUS", help="Corpus with the pairs, stored or a JSONL file.", show_default="the run's own"),
]
PairsName = Annotated[
    str,
    typer.Option(
        metavar="CORPUS",
        help="Corpus they were found with.",
        show_default="the run's own, else those used last",
    ),
]
StepsFound = Annotated[
    int | None,
    typer.Option("--steps", help="Points that they were found with.", show_default="those at most checkpoints, newest"),
]
NPairs = Annotated[int, typer.Option(help="At most this many pairs, drawn by the seed, evenly over types.")]
Steps = Annotated[int, typer.Option(help="Points between the corrupted and the clean input (EAP-IG); 1 is plain EAP.")]
MetricOption = Annotated[
    str,
    typer.Option(
        parser=_measure, metavar=f"[{'|'.join(EDGE_MEASURES)}]",
        help="; ".join(f"{name}: {measure.explanation}" for name, measure in EDGE_MEASURES.items()) + ".",
    ),
]  # fmt: skip
HowOption = Annotated[
    str,
    typer.Option(
        parser=_rule, metavar=f"[{'|'.join(EDGE_RULES)}]",
        help="; ".join(f"{name}: {rule.explanation}" for name, rule in EDGE_RULES.items()) + ".",
    ),
]  # fmt: skip
Groups = Annotated[int, typer.Option(help="Disjoint parts of the pairs that are scored apart.")]
Seed = Annotated[int, typer.Option(help="Draws the pairs and their parts.")]
Shares = Annotated[str, typer.Option(metavar="F,F,…", help="Sizes, as shares of all edges; empty: none.")]
Share = Annotated[float, typer.Option(help="Size of the circuit, of all edges, before pruning.")]
ALL_SHARES = ",".join(f"{share:g}" for share in SHARES)
ALL_LEVELS = ",".join(f"{level:g}" for level in LEVELS)


def add_to(app: typer.Typer) -> None:
    app.add_typer(group, name="circuits")


@group.command()
def find(
    ctx: typer.Context,
    checkpoints: Annotated[
        list[str], typer.Argument(metavar="RUN[@CKPT]...", help="A run stands for all of its checkpoints.")
    ],
    *,
    pairs: Pairs = "",
    n_pairs: NPairs = DEFAULT.n_pairs,
    steps: Steps = DEFAULT.n_steps,
    metric: MetricOption = DEFAULT.metric,
    groups: Groups = DEFAULT.n_groups,
    seed: Seed = DEFAULT.seed,
    shares: Shares = ALL_SHARES,
    json_file: JsonFile = None,
) -> None:
    """Score every edge at each checkpoint (EAP-IG), and measure faithfulness against size. What is stored stays."""
    from engine.cli.circuit_text import found_records, say_left_out, show_found
    from engine.domain.jobs import FindCircuits
    from engine.jobs import run_inline

    check_destination(json_file)
    store = store_of(ctx)
    request = FindCircuits(
        checkpoints=tuple(dict.fromkeys(ref for text in checkpoints for ref in _refs(store, text))),
        pairs=_corpus(store, pairs),
        settings=ScoreSettings(n_pairs=n_pairs, n_steps=steps, metric=metric, n_groups=groups, seed=seed),
        shares=_shares(shares),
    )
    with progress("finding circuits") as report:
        run_inline(store, request, on_progress=report)
    records = found_records(store, request.checkpoints, request.pairs, request.settings)
    if json_file:
        write_json(records, json_file)
    if json_file != "-":
        show_found(store, records, request.settings)
        for run, corpus in dict.fromkeys((one["checkpoint"].partition("@")[0], one["pairs"]) for one in records):
            say_left_out(store, run, corpus)


@group.command()
def show(
    ctx: typer.Context,
    checkpoint: CheckpointName,
    *,
    share: Annotated[float | None, typer.Option(help="Of all edges.", show_default=str(CIRCUIT_SHARE))] = None,
    n: Annotated[int | None, typer.Option("--n", help="This many edges, before pruning.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Edges whose |score| is at least this.")] = None,
    how: HowOption = "top",
    pairs: PairsName = "",
    steps: StepsFound = None,
    top: Annotated[int, typer.Option(min=0, help="How many edges are shown.")] = 15,
    json_file: JsonFile = None,
    csv_file: Annotated[
        str | None, typer.Option("--csv", metavar="FILE", help="Write the edges as CSV; - is stdout.")
    ] = None,
    graphml_file: Annotated[
        str | None, typer.Option("--graphml", metavar="FILE", help="Write the graph for networkx, Gephi, Cytoscape.")
    ] = None,
) -> None:
    """The circuit of a checkpoint at one size, after pruning: its nodes, its largest edges, its faithfulness."""
    from engine.cli.circuit_text import say_other_ways, show_circuit
    from engine.export.component_graph import component_csv, component_graphml, component_record
    from engine.workflows.component_queries import checkpoint_scores, curve_of

    files = (json_file, csv_file, graphml_file)
    for destination in files:
        check_destination(destination)
    store = store_of(ctx)
    scores = checkpoint_scores(store, checkpoint, pairs=pairs, n_steps=steps)
    circuit = _selected(scores, share=share, n=n, threshold=threshold, how=how)
    if json_file:
        write_json(component_record(scores, circuit), json_file)
    if csv_file:
        write_out(component_csv(scores, circuit), csv_file)
    if graphml_file:
        write_out(component_graphml(scores, circuit), graphml_file)
    if "-" not in files:
        show_circuit(scores, circuit, curve_of(store, scores.key), top=top)
        say_other_ways(store, scores.key)


@group.command()
def change(
    ctx: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="Name of a run.")],
    *,
    share: Share = CIRCUIT_SHARE,
    how: HowOption = "top",
    qkv: Annotated[Qkv, typer.Option(help="Whether edges into a head's q, k and v count apart or as one.")] = "merged",
    critical: Annotated[
        int | None, typer.Option(metavar="K", help="How many layers are called critical.", show_default="5, or all")
    ] = None,
    pairs: PairsName = "",
    steps: StepsFound = None,
    json_file: JsonFile = None,
) -> None:
    """What changed from checkpoint to checkpoint: nodes, edges, layers; beside it the same of feature graphs."""
    from engine.analysis.components.compare import critical_layers
    from engine.cli.circuit_text import change_record, say_few, show_change
    from engine.workflows.component_queries import component_change, feature_likeness, found_with, parts_likeness

    check_destination(json_file)
    store = store_of(ctx)
    where = found_with(store, run, pairs=pairs, n_steps=steps)
    found = component_change(store, where, share=share, how=how, qkv=qkv)
    layers = critical_layers(found.whole, min(5, len(found.whole)) if critical is None else critical)
    features, parts = feature_likeness(store, run), parts_likeness(store, where, share=share, how=how, qkv=qkv)
    record = change_record(found, layers, features, parts, share=share, qkv=qkv)
    if json_file:
        write_json(record, json_file)
    if json_file != "-":
        show_change(record)
        say_few(store, where.keys[-1])


@group.command()
def robustness(
    ctx: typer.Context,
    checkpoint: CheckpointName,
    *,
    pairs: Pairs = "",
    n_pairs: NPairs = DEFAULT.n_pairs,
    steps: Steps = DEFAULT.n_steps,
    metric: MetricOption = DEFAULT.metric,
    groups: Groups = DEFAULT.n_groups,
    seed: Seed = DEFAULT.seed,
    share: Share = CIRCUIT_SHARE,
    levels: Annotated[str, typer.Option(metavar="F,F,…", help="Shares of tokens that are replaced.")] = ALL_LEVELS,
    json_file: JsonFile = None,
) -> None:
    """Find the circuit again on disjoint data and perturbed inputs, in the tuned, the base and a random model."""
    from engine.cli.circuit_text import say_few, show_robustness
    from engine.domain.components import RobustnessReport
    from engine.domain.jobs import CheckRobustness
    from engine.jobs import run_inline

    check_destination(json_file)
    store = store_of(ctx)
    request = CheckRobustness(
        checkpoint=store.checkpoint(checkpoint).ref,
        pairs=_corpus(store, pairs),
        settings=ScoreSettings(n_pairs=n_pairs, n_steps=steps, metric=metric, n_groups=groups, seed=seed),
        share=share,
        levels=_shares(levels),
    )
    with progress(f"checking {request.checkpoint}") as report:
        made = store.circuit_report(run_inline(store, request, on_progress=report))
    assert isinstance(made, RobustnessReport)  # named by what was asked for
    if json_file:
        write_json(made.model_dump(mode="json"), json_file)
    if json_file != "-":
        show_robustness(made)
        say_few(store, made.key)


@group.command()
def union(
    ctx: typer.Context,
    checkpoint: CheckpointName,
    *,
    part: Annotated[
        list[str], typer.Option("--part", metavar="RUN@CKPT[:CORPUS]", help="A subtask's circuit; two or more.")
    ],
    pairs: Pairs = "",
    n_pairs: NPairs = DEFAULT.n_pairs,
    steps: Steps = DEFAULT.n_steps,
    metric: MetricOption = DEFAULT.metric,
    groups: Groups = DEFAULT.n_groups,
    seed: Seed = DEFAULT.seed,
    shares: Shares = ALL_SHARES,
    json_file: JsonFile = None,
) -> None:
    """Unite subtask circuits and measure them on the task composed of them, beside its own circuit of equal size."""
    from engine.cli.circuit_text import say_few, show_union
    from engine.domain.components import UnionReport
    from engine.domain.jobs import UniteCircuits
    from engine.jobs import run_inline

    check_destination(json_file)
    if len(part) < 2:
        raise InputError(f"A union needs two or more parts; {len(part)} was given. Add --part RUN@CKPT:CORPUS.")
    store = store_of(ctx)
    request = UniteCircuits(
        checkpoint=store.checkpoint(checkpoint).ref,
        pairs=_corpus(store, pairs),
        parts=tuple(_part(store, text) for text in part),
        settings=ScoreSettings(n_pairs=n_pairs, n_steps=steps, metric=metric, n_groups=groups, seed=seed),
        shares=_shares(shares),
    )
    with progress(f"uniting {len(part)} circuits") as report:
        made = store.circuit_report(run_inline(store, request, on_progress=report))
    assert isinstance(made, UnionReport)  # named by what was asked for
    if json_file:
        write_json(made.model_dump(mode="json"), json_file)
    if json_file != "-":
        show_union(made, request.shares)
        say_few(store, made.key)


def _refs(store: "Store", text: str) -> list[str]:
    """RUN@LABEL of one checkpoint, or of all of a run. Raises NotFound, InputError."""
    if "@" in text:
        return [store.checkpoint(text).ref]
    found = [checkpoint.ref for checkpoint in store.checkpoints(text)]
    if not found:
        raise InputError(f"The run “{text}” has no checkpoint yet. Resume its training first.")
    return found


def _shares(text: str) -> tuple[float, ...]:
    """`0.01,0.05` -> (0.01, 0.05); empty text gives none. Raises InputError."""
    values = []
    for piece in filter(None, (piece.strip() for piece in text.split(","))):
        try:
            value = float(piece)
        except ValueError:
            value = -1.0
        if not 0 < value <= 1:
            raise InputError(f"“{piece[:40]}” is not a share. Give numbers above 0 and up to 1, such as 0.01,0.05,1.")
        values.append(value)
    return tuple(values)


def _corpus(store: "Store", text: str) -> str:
    """The name of the stored corpus; a file is read and kept."""
    return stored_corpus(store, text).name if text else ""


def _part(store: "Store", text: str) -> "SubtaskCircuit":
    from engine.domain.jobs import SubtaskCircuit

    checkpoint, _, corpus = text.partition(":")
    return SubtaskCircuit(checkpoint=store.checkpoint(checkpoint).ref, pairs=_corpus(store, corpus))


def _selected(
    scores: "ComponentScores", *, share: float | None, n: int | None, threshold: float | None, how: How
) -> "Circuit":
    """Of the size that is given, else of the published one."""
    from engine.analysis.components.selection import select

    if share is None and n is None and threshold is None:
        share = CIRCUIT_SHARE
    return select(scores.scores, scores.shape, share=share, n=n, threshold=threshold, how=how)
