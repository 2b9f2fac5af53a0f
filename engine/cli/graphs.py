"""`trace`, `compare`."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from engine.cli.context import store_of
from engine.cli.inputs import as_read, transcoder_set
from engine.cli.output import JsonFile, check_destination, say, write_json
from engine.cli.progress import progress
from engine.domain.continuation import output_for
from engine.domain.words import token_name

if TYPE_CHECKING:
    import pandas as pd

    from engine.domain.acted import Acted
    from engine.domain.diffs import GraphDiff
    from engine.domain.explained import ExplainedLogits
    from engine.domain.graphs import AttributionGraph, PruneSettings
    from engine.domain.jobs import Request
    from engine.store import Store

T = TypeVar("T")
CheckpointArgument = Annotated[str, typer.Argument(metavar="RUN@CKPT", help="RUN@base, RUN@25% or RUN@step150.")]
Prompt = Annotated[
    str,
    typer.Argument(metavar="PROMPT", help="The text whose next token is explained, as typed; or messages as JSON."),
]
Transcoders = Annotated[str, typer.Option(metavar="NAME|FOLDER", help="Transcoder set; without it one that fits.")]
MaxFeatures = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Trace only the N features of most influence; without it all.")
]
Everything = Annotated[bool, typer.Option("--all", help="JSON of everything before pruning.")]
NodeThreshold = Annotated[float, typer.Option(help="Share of influence that kept nodes carry.")]
EdgeThreshold = Annotated[float, typer.Option(help="Share of influence that kept edges carry.")]
MinChange = Annotated[
    float, typer.Option(min=0, max=1, help="Smallest change that counts: this share of all that moved.")
]
Answers = Annotated[
    list[str] | None,
    typer.Option("--answer", metavar="WORD", help="The output to explain; of several their mean. Else what B says."),
]
Against = Annotated[
    list[str] | None, typer.Option("--against", metavar="WORD", help="Subtract this output; of several their mean.")
]


def add_to(app: typer.Typer) -> None:
    app.command()(trace)
    app.command()(compare)


def trace(
    ctx: typer.Context,
    checkpoint: CheckpointArgument,
    prompt: Prompt,
    *,
    transcoders: Transcoders = "",
    max_features: MaxFeatures = None,
    node_threshold: NodeThreshold = 0.8,
    edge_threshold: EdgeThreshold = 0.98,
    everything: Everything = False,
    json_file: JsonFile = None,
) -> None:
    """Trace one checkpoint on a prompt: the graph of what led to its top tokens."""
    from engine.domain.graphs import TraceSettings
    from engine.domain.jobs import Trace
    from engine.workflows.queries import traced_graph

    check_destination(json_file)
    prune, transcoders = _prune(node_threshold, edge_threshold), transcoder_set(transcoders)
    store = store_of(ctx)
    ref = store.checkpoint(checkpoint).ref
    prompt = as_read(store, ref, prompt)
    settings = TraceSettings(max_feature_nodes=max_features)
    request = Trace(checkpoint=ref, prompts=(prompt,), transcoders=transcoders, settings=settings)
    look = lambda: traced_graph(store, ref, prompt, transcoders, max_features)  # noqa: E731
    graph = found_or_made(store, look, request, f"tracing {ref}")
    names = store.feature_names(graph.key.transcoders_hash)
    if json_file:
        from engine.analysis.records import graph_record

        record = graph_record(graph, prune, everything=everything)
        write_json(record | {"labels": names.record(features_in(record["nodes"]))}, json_file)
    if json_file != "-":
        from engine.cli.one_graph_text import show_graph

        show_graph(graph, prune, names)


def features_in(nodes: "pd.DataFrame") -> list[tuple[int, int]]:
    """(layer, index) of the features among the nodes of a record."""
    features = nodes[nodes["kind"] == "feature"]
    return list(zip(features["layer"].tolist(), features["index"].tolist(), strict=True))


def compare(
    ctx: typer.Context,
    a: CheckpointArgument,
    b: CheckpointArgument,
    prompt: Prompt,
    *,
    transcoders: Transcoders = "",
    max_features: MaxFeatures = None,
    node_threshold: NodeThreshold = 0.8,
    edge_threshold: EdgeThreshold = 0.98,
    min_change: MinChange = 0.01,
    answers: Answers = None,
    against: Against = None,
    everything: Everything = False,
    json_file: JsonFile = None,
) -> None:
    """Trace two checkpoints to the same output tokens and tell what differs."""
    from engine.analysis.acted import acted_record, acted_sentence
    from engine.analysis.diff import diff_graphs
    from engine.analysis.records import diff_record
    from engine.domain.diffs import DiffSettings
    from engine.workflows.queries import stored_acted

    check_destination(json_file)
    prune, transcoders = _prune(node_threshold, edge_threshold), transcoder_set(transcoders)
    store = store_of(ctx)
    prompt = as_read(store, a, prompt)
    ref_a, ref_b, graphs = compared(store, a, b, prompt, transcoders, max_features)
    explained = _explained(graphs[1], answers or [], against or [])
    diff = diff_graphs(*graphs, DiffSettings(prune=prune, min_change=min_change, explained=explained))
    # To measure it takes the model; a person who wants more than the stored graphs asks `where`.
    where = acted(store, ref_a, ref_b, prompt) if json_file else stored_acted(store, ref_a, ref_b, prompt)
    names = store.feature_names(diff.a.key.transcoders_hash)
    if json_file and where:
        record = diff_record(diff, everything=everything) | {"acted": acted_record(where)}
        write_json(record | {"labels": names.record(features_in(record["nodes"]))}, json_file)
    if json_file != "-":
        from engine.cli.graph_text import show_diff

        say_what_base_lacks(store, ref_a, ref_b, prompt)
        if where:
            say(acted_sentence(where))
        show_diff(diff, store.probe_with([ref.partition("@")[0] for ref in (ref_a, ref_b)], prompt), names)
        say_doubts(store, diff)


def say_what_base_lacks(store: "Store", a: str, b: str, prompt: str) -> None:
    """Of a prompt with tokens that training added."""
    from engine.workflows.added_vocabulary import said_of_base, words_base_lacks

    if words := words_base_lacks(store, (a, b), prompt):
        say(said_of_base(words))


def say_doubts(store: "Store", diff: "GraphDiff") -> None:
    """Where left-out features carry much, and where transcoders have read little, or the prompt."""
    from engine.analysis.origins import left_out_of
    from engine.workflows.doubts import doubts_of

    for doubts in filter(None, (left_out_of(diff), doubts_of(store, diff.a.key).text)):
        say(doubts)


def say_first_token(asked: str, output: str) -> None:
    """Where an answer has several tokens, and the first of them is what was measured."""
    if asked.strip() != output.strip() and output_for([output], asked):
        say(f"Of “{asked.strip()}”, which is several tokens, the first is measured: “{token_name(output)}”.")


def acted(
    store: "Store", a: str, b: str, prompt: str, answers: Sequence[str] = (), against: Sequence[str] = ()
) -> "Acted":
    """Where training acted from A to B (canonical names), measured now where it is not stored."""
    from engine.domain.jobs import Where
    from engine.workflows.queries import stored_acted

    request = Where(a=a, b=b, prompt=prompt, answers=tuple(answers), against=tuple(against))
    look = lambda: stored_acted(store, a, b, prompt, answers, against)  # noqa: E731
    made = lambda done: store.acted(next(key for key in store.acted_keys() if key.hash == done))  # noqa: E731
    return found_or_made(store, look, request, f"finding where training acted from {a} to {b}", made)


def found_or_made(
    store: "Store",
    look: Callable[[], T | None],
    request: "Request",
    title: str,
    made: Callable[[str], T | None] | None = None,
) -> T:
    """What `look` finds; where it finds nothing, what the job has made: by what it returns, or as `look` finds it.

    `look` may know a text where the job knows its tokens: of an answer of several the first is measured.
    """
    from engine.jobs import run_inline

    found = look()
    if found is None:
        with progress(title) as report:
            done = run_inline(store, request, on_progress=report)
        found = made(done) if made else look()
    assert found is not None  # the job has stored it
    return found


def compared(
    store: "Store", a: str, b: str, prompt: str, transcoders: str, max_features: int | None = None
) -> tuple[str, str, tuple["AttributionGraph", "AttributionGraph"]]:
    """Both checkpoints' canonical names and both graphs, traced now where they are not stored."""
    from engine.domain.graphs import TraceSettings
    from engine.domain.jobs import Compare
    from engine.workflows.queries import comparison_graphs

    ref_a, ref_b = store.checkpoint(a).ref, store.checkpoint(b).ref
    settings = TraceSettings(max_feature_nodes=max_features)
    request = Compare(a=ref_a, b=ref_b, prompts=(prompt,), transcoders=transcoders, settings=settings)
    graphs = found_or_made(
        store,
        lambda: comparison_graphs(store, ref_a, ref_b, prompt, transcoders, max_features),
        request,
        f"comparing {ref_a} with {ref_b}",
    )
    return ref_a, ref_b, graphs


def _explained(graph: "AttributionGraph", answers: list[str], against: list[str]) -> "ExplainedLogits | None":
    """Raises NotFound for a word that the graph was not traced to, InputError for one that is named twice."""
    from engine.analysis.parts import output_ids
    from engine.domain.errors import InputError, NotFound
    from engine.domain.explained import ExplainedLogits

    if not answers:
        if against:
            raise InputError("--against needs an --answer that it is subtracted from.")
        return None
    tokens = {word.strip(): token for word, token in zip(graph.target_tokens, output_ids(graph), strict=True)}
    named = [word.strip() for word in (*answers, *against)]
    if unknown := [word for word in named if word not in tokens]:
        raise NotFound("output that both graphs were traced to", unknown[0], list(tokens))
    if len(set(named)) < len(named):
        raise InputError("Each output can be named once, in --answer or in --against.")
    found = [tokens[word] for word in named]
    return ExplainedLogits(answers=tuple(found[: len(answers)]), against=tuple(found[len(answers) :]))


def _prune(node_threshold: float, edge_threshold: float) -> "PruneSettings":
    from engine.domain.graphs import PruneSettings

    return PruneSettings(node_threshold=node_threshold, edge_threshold=edge_threshold)
