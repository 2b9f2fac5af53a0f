"""`runs` (also `runs list`, `runs delete`), `probe`, `curves`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from engine.cli.context import store_of
from engine.cli.output import JsonFile, check_destination, say, show_table, write_json
from engine.cli.progress import progress
from engine.domain.errors import InputError
from engine.domain.numbers import decimal, share_of
from engine.domain.runs import RunNotes
from engine.domain.words import listed
from engine.store.files import first_reason

if TYPE_CHECKING:
    from engine.store import Store

RunName = Annotated[str, typer.Argument(metavar="RUN", help="Name of a run.")]
SCORE_COLUMNS = (
    "step", "constraint_type", "probe_kind", "n", "accuracy", "low", "high", "mean_p", "mean_rank", "logit_diff",
)  # fmt: skip


group = typer.Typer(help="List, rename, tag or delete runs.", invoke_without_command=True)


def add_to(app: typer.Typer) -> None:
    app.add_typer(group, name="runs")
    app.command()(probe)
    app.command()(curves)


@group.callback()
def runs(ctx: typer.Context, *, json_file: JsonFile = None) -> None:
    """The runs of the workspace and the bundled demo; or delete one."""
    if ctx.invoked_subcommand is None:
        _list(ctx, json_file)


@group.command("list")
def list_runs(ctx: typer.Context, *, json_file: JsonFile = None) -> None:
    """The runs of the workspace and the bundled demo, as `runs` alone."""
    _list(ctx, json_file)


@group.command()
def delete(
    ctx: typer.Context,
    run: RunName,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a run for good, with its checkpoints and all that was traced on them."""
    store = store_of(ctx)
    store.run_folder(run)  # an unknown name is told before anything is asked
    if not yes:
        typer.confirm(f"Delete the run “{run}” and all that was traced on it for good?", abort=True, err=True)
    store.delete_run(run)
    say(f"“{run}” was deleted.")


@group.command()
def rename(
    ctx: typer.Context,
    run: RunName,
    new: Annotated[str, typer.Argument(metavar="NEW", help="Its new name.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Give a run another name. Graphs and measures of it are removed: they can be made again."""
    store = store_of(ctx)
    store.run_folder(run)
    if not yes and (n := store.n_speaking_of(run)):
        typer.confirm(
            f"{n} stored graphs, comparisons and measures name “{run}” and are removed; they can be made again. "
            "Checkpoints, curves, notes and transcoder sets stay. Rename it?", abort=True, err=True,
        )  # fmt: skip
    store.rename_run(run, new)
    say(f"“{run}” is now “{new}”.")


@group.command()
def tag(
    ctx: typer.Context,
    run: RunName,
    *,
    tags: Annotated[list[str] | None, typer.Option("--tag", help="In place of its tags; repeat it.")] = None,
    note: Annotated[str | None, typer.Option("--note", help="In place of its note; empty takes it away.")] = None,
) -> None:
    """Write a note or tags on a run; without options, show them. `--tag ""` takes all tags away."""
    store = store_of(ctx)
    notes = store.run_notes(run)
    if tags is not None or note is not None:
        new_tags = notes.tags if tags is None else tuple(one.strip() for one in tags if one.strip())
        try:
            notes = RunNotes(note=notes.note if note is None else note.strip(), tags=new_tags)
        except ValidationError as error:
            raise InputError(f"This cannot be written on a run: {first_reason(error)}.") from error
        store.save_run_notes(run, notes)
    say(f"{run}: {', '.join(notes.tags) or 'no tags'}. {notes.note or 'No note.'}")


def _list(ctx: typer.Context, json_file: str | None) -> None:
    rows = [
        {
            "run": info.config.name,
            "model": info.config.model.name,
            "corpus": info.config.corpus,
            "method": "imported" if info.config.imported else info.config.method,
            "steps": info.config.n_steps,
            "checkpoints": len(info.steps),
            "finished": info.finished,
            "bundled": info.bundled,
        }
        for info in store_of(ctx).runs()
    ]
    if json_file:
        write_json(rows, json_file)
    if json_file != "-":
        show_table(
            ("run", "model", "corpus", "method", "steps", "checkpoints", "state"),
            [(*list(row.values())[:6], _state(row)) for row in rows],
        )


def _state(row: dict[str, Any]) -> str:
    return "bundled" if row["bundled"] else "finished" if row["finished"] else "unfinished"


def probe(
    ctx: typer.Context,
    run: RunName,
    *,
    corpus: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|NAME", help="Whose probes, of an imported run; it is the run's corpus from then on."
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also where the run has scores of another corpus, which are lost then.")
    ] = False,
    json_file: JsonFile = None,
) -> None:
    """Measure the probes at every checkpoint of a run again, or those of a corpus that it was imported without."""
    from engine.cli.inputs import stored_corpus
    from engine.domain.jobs import MeasureProbes
    from engine.jobs import run_inline

    check_destination(json_file)
    store = store_of(ctx)
    store.run(run)  # an unknown name is told before anything is loaded
    asked = MeasureProbes(run=run, corpus=stored_corpus(store, corpus).name if corpus else "", replace=replace)
    with progress(f"probing {run}") as report:
        run_inline(store, asked, on_progress=report)
    _show_scores(store, run, json_file)


def curves(ctx: typer.Context, run: RunName, *, json_file: JsonFile = None) -> None:
    """Probe scores along a run, for each constraint type and probe kind."""
    check_destination(json_file)
    store = store_of(ctx)
    store.run(run)
    _show_scores(store, run, json_file)


def _show_scores(store: "Store", run: str, json_file: str | None) -> None:
    from engine.workflows.queries import run_scores

    scores = run_scores(store, run)[list(SCORE_COLUMNS)]
    rows = [dict(zip(SCORE_COLUMNS, values, strict=True)) for values in scores.astype(object).values.tolist()]
    if json_file:
        write_json(rows, json_file)
    if json_file != "-":
        losses, told = _losses(store, run)
        if not rows:
            why = "the corpus has no probes" if store.run(run).has_corpus else "it was imported without a corpus"
            say(f"{run}: {why}, so there are no scores. Measure those of a corpus: probe {run} --corpus NAME")
        for constraint_type in dict.fromkeys(row["constraint_type"] for row in rows):
            own = [row for row in rows if row["constraint_type"] == constraint_type]
            _accuracy_table(own, losses, title=f"{run}, {constraint_type}: share of probes answered right")
        if told and rows:
            say(told)


def _losses(store: "Store", run: str) -> tuple[dict[int, float | None], str]:
    """Of each checkpoint's step; where that is not known, as a trainer elsewhere logged it, which is then told."""
    losses, spans = dict[int, float | None](), list[str]()
    for checkpoint in store.checkpoints(run):
        loss = checkpoint.state.loss
        if loss is None and (told := store.told_loss(checkpoint)):
            loss = told.value
            spans.append(f"at step {checkpoint.step} {told.span}")
        losses[checkpoint.step] = loss
    return losses, f"Loss as the trainer logged it: {listed(spans)}." if spans else ""


def _accuracy_table(rows: list[dict[str, Any]], losses: dict[int, float | None], *, title: str) -> None:
    """One line a step: the loss, then the accuracy of every probe kind with its interval."""
    kinds = list(dict.fromkeys(row["probe_kind"] for row in rows))
    shares = {
        (row["step"], row["probe_kind"]): f"{share_of(row['accuracy'], row['n'], decimal)} "
        f"({row['low']:.2f}–{row['high']:.2f})"
        for row in rows
    }
    show_table(
        ("step", "loss", *kinds),
        [
            (step, losses.get(step), *(shares.get((step, kind)) for kind in kinds))
            for step in dict.fromkeys(row["step"] for row in rows)
        ],
        title=title,
    )
