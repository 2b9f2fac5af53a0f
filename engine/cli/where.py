"""`where`."""

from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.context import store_of
from engine.cli.graphs import CheckpointArgument, Prompt, found_or_made
from engine.cli.output import JsonFile, check_destination, say, show_table, write_json

if TYPE_CHECKING:
    from engine.domain.acted import Acted
    from engine.store import Store

TOP = 10  # places, matrices and heads shown to a person
Answer = Annotated[str, typer.Option(metavar="WORD", help="The next token that is explained; without it what B says.")]


def add_to(app: typer.Typer) -> None:
    app.command()(where)


def where(
    ctx: typer.Context,
    a: CheckpointArgument,
    b: CheckpointArgument,
    prompt: Prompt,
    *,
    answer: Answer = "",
    json_file: JsonFile = None,
) -> None:
    """Tell where training from A to B changed an answer: by token, layer, matrix and head. Needs no transcoders."""
    from engine.analysis.acted import acted_record

    check_destination(json_file)
    store = store_of(ctx)
    found = acted(store, a, b, prompt, answer)
    if json_file:
        record = {"a": found.key.checkpoints[0], "b": found.key.checkpoints[-1], "prompt": prompt}
        write_json(record | {"acted": acted_record(found)}, json_file)
    if json_file != "-":
        _show(found)


def acted(store: "Store", a: str, b: str, prompt: str, answer: str = "") -> "Acted":
    """Measured now where it is not stored."""
    from engine.domain.jobs import Where
    from engine.workflows.queries import stored_acted

    ref_a, ref_b = store.checkpoint(a).ref, store.checkpoint(b).ref
    request = Where(a=ref_a, b=ref_b, prompt=prompt, answer=answer)
    look = lambda: stored_acted(store, ref_a, ref_b, prompt, answer)  # noqa: E731
    return found_or_made(store, look, request, f"finding where training acted from {ref_a} to {ref_b}")


def _show(found: "Acted") -> None:
    from engine.analysis.acted import head_table, layer_name, matrix_table, place_table, token_table
    from engine.domain.numbers import decimal, signed

    first, last = found.stretches[0], found.stretches[-1]
    say(
        f"The logit of “{found.answer.strip()}”, minus the mean logit, went from {decimal(found.before, 2)} to "
        f"{decimal(found.after, 2)} (probability {decimal(first.probability_before, 2)} to "
        f"{decimal(last.probability_after, 2)}). The parts add up to {signed(found.sum, 3)} of "
        f"{signed(found.change, 3)}."
    )
    if not any(stretch.matrices for stretch in found.stretches):
        say("The two checkpoints have the same weights.")
        return
    labels = [ref.partition("@")[2] for ref in found.key.checkpoints]
    tokens = token_table(found)
    several = len(found.stretches) > 1
    names = [f"{labels[n]} to {labels[n + 1]}" for n in range(len(found.stretches))] if several else []
    columns = ["position", "token", "part", *map(str, range(len(names)))]
    show_table(("position", "token", "part", *names), tokens[columns].values.tolist(), title="By token")
    name = lambda layer: layer_name(layer, found.n_layers)  # noqa: E731
    for title, table, column in (
        ("The largest places", place_table(found)[["layer", "token", "part"]], "layer"),
        ("The largest matrices", matrix_table(found)[["matrix", "part"]], None),
        ("The largest heads", head_table(found)[["layer", "kind", "head", "part"]], "layer"),
    ):
        top = table.head(TOP)
        if len(top):
            rows = top.assign(**{column: top[column].map(name)}) if column else top
            show_table(tuple(rows.columns), rows.values.tolist(), title=title)
