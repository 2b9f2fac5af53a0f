"""`taught`."""

from typing import Annotated

import typer

from engine.cli.context import store_of
from engine.cli.graphs import found_or_made, say_first_token
from engine.cli.inputs import as_read
from engine.cli.output import JsonFile, check_destination, say, show_table, write_json

Checkpoint = Annotated[
    str, typer.Argument(metavar="RUN[@CKPT]", help="A run, counted to its last checkpoint or to the one named.")
]
Prompt = Annotated[str, typer.Argument(metavar="[PROMPT]", help="The text whose next token is explained.")]
Answer = Annotated[
    str, typer.Option(metavar="WORD", help="The next token that is explained; without it what the checkpoint says.")
]
Type = Annotated[
    str,
    typer.Option("--type", help="Instead of a prompt: the mean over a constraint type's probes, as simple_mapping."),
]


def add_to(app: typer.Typer) -> None:
    app.command()(taught)


def taught(
    ctx: typer.Context,
    checkpoint: Checkpoint,
    prompt: Prompt = "",
    *,
    answer: Answer = "",
    constraint_type: Type = "",
    first: Annotated[int, typer.Option(min=1, metavar="N", help="How many sentences are shown.")] = 10,
    json_file: JsonFile = None,
) -> None:
    """Tell which training examples taught a run an answer, or a constraint type. Needs no transcoders."""
    from engine.analysis.taught import taught_record, taught_sentence, taught_table
    from engine.domain.jobs import FindExamples
    from engine.workflows.queries import stored_taught

    check_destination(json_file)
    store = store_of(ctx)
    ref = (store.checkpoint(checkpoint) if "@" in checkpoint else store.checkpoints(checkpoint)[-1]).ref
    prompt = as_read(store, ref, prompt)
    request = FindExamples(checkpoint=ref, prompt=prompt, answer=answer, constraint_type=constraint_type)
    look = lambda: stored_taught(store, ref, prompt, answer, constraint_type)  # noqa: E731
    made = lambda done: store.taught(next(key for key in store.taught_keys() if key.hash == done))  # noqa: E731
    found = found_or_made(store, look, request, f"finding which examples taught {ref}", made)
    if json_file:
        record = {"checkpoint": ref, "prompt": prompt, "type": constraint_type}
        write_json(record | taught_record(found), json_file)
    if json_file != "-":
        if answer:
            say_first_token(answer, found.answer)
        say(taught_sentence(found))
        rows = taught_table(found)[["push", "sentence"]].head(first)
        show_table(("push", "sentence"), rows.values.tolist(), title="The strongest pushes up")
