"""`where`: of one prompt, or of all probes of a constraint type."""

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.analysis import Kind
from engine.cli.context import store_of
from engine.cli.graphs import CheckpointArgument, acted, say_first_token, say_what_base_lacks
from engine.cli.inputs import as_read
from engine.cli.mean_circuit import ConstraintType
from engine.cli.output import JsonFile, check_destination, say, show_table, write_json
from engine.cli.progress import progress
from engine.domain.corpus import probe_kind
from engine.domain.errors import InputError
from engine.domain.numbers import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.analysis.acted_mean import ActedMean
    from engine.domain.acted import Acted
    from engine.domain.corpus import Probe
    from engine.store import Store

TOP = 10  # places, matrices and heads shown to a person
MaybePrompt = Annotated[
    str,
    typer.Argument(metavar="PROMPT", help="The text whose next token is explained; or --type.", show_default=False),
]
Answers = Annotated[
    list[str] | None,
    typer.Option(
        "--answer",
        metavar="WORD",
        help="The next token that is explained, without it what B says; of several the mean.",
    ),
]
Against = Annotated[
    list[str] | None, typer.Option(metavar="WORD", help="A token whose logit is taken off; of several the mean.")
]
NPrompts = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="With --type: so many, spread over phrasings and words.")
]


def add_to(app: typer.Typer) -> None:
    app.command()(where)


def where(
    ctx: typer.Context,
    a: CheckpointArgument,
    b: CheckpointArgument,
    prompt: MaybePrompt = "",
    *,
    answer: Answers = None,
    against: Against = None,
    constraint_type: ConstraintType = "",
    kind: Kind = "paraphrase",
    prompts: NPrompts = None,
    json_file: JsonFile = None,
) -> None:
    """Tell where training from A to B changed an answer: by token, layer, matrix and head. Needs no transcoders.

    With --type instead of a prompt: the mean over the probes of a constraint type, each with its right answer.
    """
    from engine.analysis.acted import first_tokens

    check_destination(json_file)
    if bool(prompt) == bool(constraint_type):
        raise InputError("Give either a prompt or --type, the constraint type whose probes are asked.")
    if constraint_type and (answer or against):
        raise InputError("With --type the right answer of each probe is explained. Leave out --answer and --against.")
    store = store_of(ctx)
    ref_a, ref_b = store.checkpoint(a).ref, store.checkpoint(b).ref
    if constraint_type:
        _of_type(store, ref_a, ref_b, constraint_type, probe_kind(kind), prompts, json_file)
        return
    prompt = as_read(store, ref_a, prompt)
    found = acted(store, ref_a, ref_b, prompt, _words(answer), _words(against))
    first = first_tokens(found, _words(answer), _words(against))
    if json_file:
        from engine.analysis.acted import acted_record

        record = {"a": found.key.checkpoints[0], "b": found.key.checkpoints[-1], "prompt": prompt}
        write_json(record | {"first_tokens": first, "acted": acted_record(found)}, json_file)
    if json_file != "-":
        say_what_base_lacks(store, ref_a, ref_b, prompt)
        for asked, output in zip([*_words(answer), *_words(against)], found.words, strict=False):
            say_first_token(asked, output)
        _show(found)
        for word, token in first.items():
            say(f"“{word}” has several tokens here: the first, “{token}”, is explained.")


def _words(given: "Sequence[str] | None") -> list[str]:
    return list(given or ())


def _of_type(
    store: "Store", a: str, b: str, constraint_type: str, kind: str, n: int | None, json_file: str | None
) -> None:
    """Those probes that are not stored are measured first."""
    from engine.analysis.acted_mean import acted_mean, mean_record
    from engine.workflows.prompt_groups import group_acted, group_prompts, probe_group

    group = probe_group(store, a, b, constraint_type, kind)
    probes = group_prompts(group, n or len(group.probes))
    ready, missing = group_acted(store, a, b, probes)
    if missing:
        _measure(store, a, b, missing)
        ready, missing = group_acted(store, a, b, probes)
    mean = acted_mean(ready)
    if json_file:
        write_json({"a": a, "b": b, "acted": mean_record(mean)}, json_file)
    if json_file != "-":
        _show_mean(mean)
        if missing:
            say(f"{plural(len(missing), 'probe')} left out: the model cannot take the prompt or the answer.")


def _measure(store: "Store", a: str, b: str, probes: "Sequence[Probe]") -> None:
    from engine.domain.jobs import WhereProbes
    from engine.jobs import run_inline
    from engine.workflows.learned import asked_of

    with progress(f"finding where training acted from {a} to {b} on {plural(len(probes), 'prompt')}") as report:
        run_inline(store, WhereProbes(a=a, b=b, asked=asked_of(probes)), on_progress=report)


def _show_mean(mean: "ActedMean") -> None:
    from engine.analysis.acted_mean import layer_names, mean_sentence, mean_table, word_table

    say(mean_sentence(mean))
    if mean.is_same:
        return
    numbers = ["part", "low", "high", "of_change", "of_change_low", "of_change_high"]
    labels = [ref.partition("@")[2] for ref in mean.checkpoints]
    stretches = [f"{one} to {other}" for one, other in pairwise(labels)]
    steps = mean_table(mean, "step").assign(step=lambda table: [stretches[number] for number in table["step"]])
    for title, table, by in (
        ("By role", mean_table(mean, "role"), ["role"]),
        ("By stretch of training", steps, ["step"]),
        ("The largest layers", layer_names(mean, mean_table(mean, "layer")), ["layer"]),
        ("The largest places", layer_names(mean, mean_table(mean, "layer", "role")), ["layer", "role"]),
        ("By kind of matrix", mean_table(mean, "matrix"), ["matrix"]),
    ):
        rows = table.head(TOP)[[*by, *numbers]]
        names = (*by, "part", "low", "high", "of the change", "low", "high")
        show_table(names, rows.values.tolist(), title=title)
    words = word_table(mean)
    show_table(tuple(words.columns), words.values.tolist(), title="Word by word")


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
    if found.is_same:
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
