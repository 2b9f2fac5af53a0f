"""`where`."""

from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.context import store_of
from engine.cli.graphs import CheckpointArgument, Prompt, acted
from engine.cli.output import JsonFile, check_destination, say, show_table, write_json

if TYPE_CHECKING:
    from engine.domain.acted import Acted

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
    found = acted(store, store.checkpoint(a).ref, store.checkpoint(b).ref, prompt, answer)
    if json_file:
        record = {"a": found.key.checkpoints[0], "b": found.key.checkpoints[-1], "prompt": prompt}
        write_json(record | {"acted": acted_record(found)}, json_file)
    if json_file != "-":
        _show(found)


def _show(found: "Acted") -> None:
    from engine.analysis.acted import (
        acted_sentence,
        effect_table,
        head_table,
        layer_name,
        matrix_table,
        move_table,
        place_table,
        token_table,
    )

    say(acted_sentence(found))
    if not any(stretch.matrices for stretch in found.stretches):
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
        (
            "What matters most for the change",
            effect_table(found)[["layer", "kind", "head", "token", "effect"]],
            "layer",
        ),
        (
            "What comes to a token from another",
            move_table(found)[["source_token", "target_token", "effect"]].set_axis(["from", "to", "effect"], axis=1),
            None,
        ),
    ):
        top = table.head(TOP)
        if len(top):
            rows = top.assign(**{column: top[column].map(name)}) if column else top
            show_table(tuple(rows.columns), rows.values.tolist(), title=title)
