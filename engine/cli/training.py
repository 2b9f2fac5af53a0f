"""`train`."""

from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.context import store_of
from engine.cli.deciding import decision_settings
from engine.cli.inputs import fractions, stored_corpus, transcoder_set
from engine.cli.methods import OPTIONS, PANEL, method_settings
from engine.cli.output import JsonFile, check_destination, say, show_table, write_json
from engine.cli.progress import progress
from engine.domain.decisions import CURRICULUM_INFOS, STOPPING_INFOS, DecisionSettings
from engine.domain.errors import NotFound
from engine.domain.methods import METHOD_INFOS, MethodSettings
from engine.domain.names import check_name
from engine.workflows.model_specs import model_spec

if TYPE_CHECKING:
    from engine.domain.runs import RunConfig
    from engine.store import Store

FIELDS = {  # options named otherwise in RunConfig
    "steps": "n_steps",
    "every": "capture_every",
    "lr": "learning_rate",
    "patience": "decisions",
    "decide": "decisions",
    **dict.fromkeys(OPTIONS, "method_settings"),
}
DEFAULTS = DecisionSettings()
METHOD_DEFAULTS = MethodSettings()


def add_to(app: typer.Typer) -> None:
    app.command()(train)


def train(
    ctx: typer.Context,
    *,
    name: Annotated[str, typer.Option(metavar="RUN", help="Name of the run.")],
    corpus: Annotated[str, typer.Option(metavar="FILE|NAME", help="A corpus file, or a stored corpus.")] = "demo",
    model: Annotated[str, typer.Option(metavar="M", help="demo, a Hugging Face folder, or a hub id.")] = "demo",
    transcoders: Annotated[str, typer.Option(help="Folder or published set; without it a shared set is trained.")] = "",
    device: Annotated[str, typer.Option(help="As torch names it: cpu, cuda, mps.")] = "cpu",
    method: Annotated[str, typer.Option(help=f"One of {', '.join(METHOD_INFOS)}.")] = "lora",
    steps: Annotated[int, typer.Option(min=1, help="Training steps.")] = 300,
    capture: Annotated[
        str, typer.Option(help="Fractions of the run at which a checkpoint is kept.")
    ] = "0.25,0.5,0.75,1",
    every: Annotated[int | None, typer.Option(min=1, help="Also a checkpoint every N steps.")] = None,
    rank: Annotated[int, typer.Option(min=1, help="Rank of LoRA's matrices.")] = 8,
    alpha: Annotated[int, typer.Option(min=1, help="LoRA's scale is alpha / rank.")] = 16,
    lr: Annotated[float | None, typer.Option(help="Learning rate; without it the method's own.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Examples in a step.")] = 10,
    seed: Annotated[int, typer.Option(help="The same seed makes the same run.")] = 0,
    stopping: Annotated[str, typer.Option(help=f"Stopping policy: one of {', '.join(STOPPING_INFOS)}.")] = "none",
    curriculum: Annotated[
        str, typer.Option(help=f"Curriculum (how often each type is sampled): one of {', '.join(CURRICULUM_INFOS)}.")
    ] = "uniform",
    patience: Annotated[
        int | None,
        typer.Option(help=f"Checkpoints in a row that must meet the stopping rule. [default: {DEFAULTS.patience}]"),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option("--watch/--no-watch", help="At each checkpoint, trace circuits and measure where training acted."),
    ] = False,
    decide: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help=f"A setting of the policies: {', '.join(DecisionSettings.model_fields)}."
        ),
    ] = None,
    critical_rank: Annotated[
        int | None, typer.Option(min=1, rich_help_panel=PANEL, help="Rank of critical layers. Default: 4 times --rank.")
    ] = None,
    critical_layers: Annotated[
        int | None,
        typer.Option(
            metavar="K",
            min=1,
            rich_help_panel=PANEL,
            help=f"How many layers get it: circuit_lora finds them, random_lora draws them. "
            f"Default: {METHOD_DEFAULTS.n_critical}.",
        ),
    ] = None,
    layer: Annotated[
        list[int] | None,
        typer.Option(metavar="N", min=0, rich_help_panel=PANEL, help="These layers instead; may be repeated."),
    ] = None,
    prior: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|NAME",
            rich_help_panel=PANEL,
            help="Corpus of a subtask whose circuit helps to choose the layers; may be repeated.",
        ),
    ] = None,
    probe_steps: Annotated[
        int | None,
        typer.Option(min=1, rich_help_panel=PANEL, help="Steps of the probe run. Default: as many as --steps."),
    ] = None,
    edges: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            rich_help_panel=PANEL,
            help="Edges that circuit_tuning keeps. Default: the published share, 500 of 32,491.",
        ),
    ] = None,
    last_edges: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            rich_help_panel=PANEL,
            help="Edges at the end; the number changes linearly.",
        ),
    ] = None,
    discover_every: Annotated[
        int | None,
        typer.Option(
            min=1,
            rich_help_panel=PANEL,
            help=f"Steps until it finds the circuit again. Default: {METHOD_DEFAULTS.discover_every}.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume an interrupted run.")] = False,
    json_file: JsonFile = None,
) -> None:
    """Fine-tune a model, keep checkpoints along the way, and measure the probes at each."""
    from engine.domain.jobs import Train
    from engine.domain.runs import RunConfig
    from engine.jobs import run_inline

    check_destination(json_file)
    store = store_of(ctx)
    values: dict[str, object] = {
        "name": check_name(name),
        "method": method,
        "n_steps": steps,
        "capture": fractions(capture),
        "capture_every": every,
        "rank": rank,
        "alpha": alpha,
        "learning_rate": lr,
        "batch_size": batch_size,
        "seed": seed,
        "stopping": stopping,
        "curriculum": curriculum,
        "watch": watch,
    }
    old = next((info.config for info in store.runs() if info.name == name), None) if resume else None
    if resume and old is None:
        raise NotFound("run", name, [info.name for info in store.runs() if not info.bundled])
    pairs = [*([] if patience is None else [f"patience={patience}"]), *(decide or ())]
    values["decisions"] = decision_settings(pairs, DEFAULTS if old is None else old.decisions)
    own = {option: ctx.params[option] for option in OPTIONS}
    own["prior"] = [stored_corpus(store, name).name for name in prior or ()]
    values["method_settings"] = method_settings(own, METHOD_DEFAULTS if old is None else old.method_settings)
    given = {option for option in ctx.params if old is None or _is_given(ctx, option)}
    if given & {"model", "transcoders", "device"}:
        spec = model_spec(model, tuple(store.models()))
        values["model"] = spec.model_copy(
            update={"transcoders": transcoder_set(transcoders) or spec.transcoders, "device": device}
        )
    if "corpus" in given:
        values["corpus"] = stored_corpus(store, corpus).name
    if old is not None:
        # what was begun decides; an option that says otherwise is refused by the training itself
        fields = {FIELDS.get(option, option) for option in given}
        values = old.model_dump() | {field: value for field, value in values.items() if field in fields}
    config = RunConfig.model_validate(values)
    with progress(f"training {name}") as report:
        run_inline(store, Train(config=config, resume=resume), on_progress=report)
    if config.model.source != "bundled":
        store.save_model(config.model)  # the app offers it from now on
    _show(store, config, json_file)


def _is_given(ctx: typer.Context, option: str) -> bool:
    """Was the option written on the command line?"""
    source = ctx.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"


def _show(store: "Store", config: "RunConfig", json_file: str | None) -> None:
    results = store.probe_results(config.name)
    decided = store.decisions(config.name)
    rows = []
    for checkpoint in store.checkpoints(config.name):
        scored = results.get(checkpoint.step)
        correct = scored.correct if scored else ()
        rows.append(
            {
                "checkpoint": checkpoint.ref,
                "step": checkpoint.step,
                "loss": checkpoint.state.loss,
                "accuracy": sum(correct) / len(correct) if correct else None,
                "n_probes": len(correct),
            }
        )
    if json_file:
        data = {"run": config.model_dump(mode="json"), "checkpoints": rows, "stopped_at": decided.stopped_at}
        write_json(data | {"decisions": [one.model_dump(mode="json") for one in decided.decisions]}, json_file)
    if json_file != "-":
        show_table(("checkpoint", "step", "loss", "accuracy", "probes"), [tuple(row.values()) for row in rows])
        if decided.decisions:
            end = f"Stopped at step {decided.stopped_at}" if decided.stopped_at is not None else "Not stopped"
            say(f"{end}. {decided.decisions[-1].verdict.reason}")
        say(f"Stored in {store.run_folder(config.name)}")
