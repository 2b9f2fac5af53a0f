"""`study`."""

import fnmatch
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.context import store_of
from engine.cli.output import JsonFile, check_destination, say, show_table, write_json
from engine.cli.progress import progress
from engine.domain.jobs import NeverCanceled
from engine.domain.paths import person_path

if TYPE_CHECKING:
    import pandas as pd

    from engine.domain.studies import Questions, Study, StudyTables

GROUP = ["corpus", "method", "variant", "stopping", "curriculum", "learning_rate"]
ALIKE = ("variant", "stopping", "curriculum")  # columns left out of the table where all rows have the usual value
USUAL = ("", "none", "uniform")
KINDS = ("paraphrase", "inference")


def add_to(app: typer.Typer) -> None:
    app.command()(study)


def study(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A YAML file, as data/study.yaml.")],
    *,
    workers: Annotated[int | None, typer.Option(min=1, show_default="cores", help="Runs at a time, here.")] = None,
    scheduler: Annotated[str, typer.Option(metavar="ADDRESS", help="Of a Dask cluster that does the runs.")] = "",
    only: Annotated[
        list[str] | None, typer.Option(metavar="RUN", help="Only this run, or all of a pattern with *; repeatable.")
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Do all runs of a study that are not done yet; tell what follows from them."""
    from engine.studies.execute import run_study
    from engine.studies.spec import read_study, study_runs

    check_destination(json_file)
    path = person_path(file)
    spec = read_study(path)
    store = store_of(ctx)
    command = shlex.join(["python", "-m", "engine", "study", str(file)])
    with progress(f"study {spec.name}") as report:
        done = run_study(
            store,
            spec,
            report,
            NeverCanceled(),
            n_workers=workers or os.cpu_count() or 1,
            scheduler=scheduler,
            only=tuple(only or ()),
            command=command,
        )
    tables = store.study_tables(spec.name)
    rows = group_rows(tables, command, spec.asks)
    if json_file:
        write_json(
            {
                "study": done.model_dump(mode="json"),
                "n_asked": len(study_runs(spec)),
                "groups": rows,
                "runs": tables.runs.to_dict("records"),
            },
            json_file,
        )
    if json_file != "-":
        _show(done, rows, len(study_runs(spec)))
        say(f"Kept in {store.workspace / 'studies' / spec.name}")


def group_rows(tables: "StudyTables", command: str, asks: "Questions" = "learning") -> list[dict[str, Any]]:
    """A row for each way to train a corpus, in the order of the runs; those that search for a rate are left out.

    Means over seeds with 95 % intervals, of the last capture of each run: of a study of methods accuracy, what is
    retained and the trainable parameters, else the probes by constraint type. `command` does the runs of the row.
    """
    from engine.studies.statistics import mean_interval

    positive = (0.0, float("inf"))
    if tables.runs.empty:
        return []
    last = tables.captures.sort_values("step", kind="stable").groupby(["run", "constraint_type"], sort=False).tail(1)
    types = tuple(dict.fromkeys(tables.captures["constraint_type"])) if asks == "learning" else ()
    rows = []
    for key, runs in tables.runs[tables.runs["stage"] == "grid"].groupby(GROUP, sort=False):
        columns = {"steps": "n_steps", "seconds": "train_s"}
        figures = [mean_interval(name, runs[column], bounds=positive) for name, column in columns.items()]
        if asks == "methods":
            figures += [mean_interval(name, runs[name], bounds=(0.0, 1.0)) for name in ("accuracy", "retained")]
            figures.append(mean_interval("parameters", runs["n_trainable"], bounds=positive))
        ended = last[last["run"].isin(runs["run"])]
        for of in types:
            scores = ended[ended["constraint_type"] == of]
            figures += [mean_interval(f"{of} {kind}", scores[kind], bounds=(0.0, 1.0)) for kind in KINDS]
        rows.append(
            {
                **dict(zip(GROUP, key, strict=True)),
                "n": len(runs),
                **{figure.name: figure.model_dump(include={"value", "low", "high"}) for figure in figures},
                "command": f"{command} --only {_pattern(runs, tables.runs)}",
            }
        )
    return rows


def _pattern(runs: "pd.DataFrame", every: "pd.DataFrame") -> str:
    """The option's value for these runs and no others: a pattern over seeds where one does, else name by name."""
    names = list(runs["run"])
    for seeds in ("s*", "s[0-9]*"):  # the second where the search's runs begin alike
        pattern = f"{names[0].rpartition('-s')[0]}-{seeds}"
        if len(names) > 1 and set(fnmatch.filter(every["run"], pattern)) == set(names):
            return shlex.quote(pattern)
    return " --only ".join(names)


def _show(done: "Study", rows: list[dict[str, Any]], n_asked: int) -> None:
    several_rates = len({(row["method"], row["learning_rate"]) for row in rows}) > len({r["method"] for r in rows})
    hidden = {"command"} if several_rates else {"command", "learning_rate"}
    hidden |= {name for name, usual in zip(ALIKE, USUAL, strict=True) if all(row[name] == usual for row in rows)}
    columns = [name for name in (rows[0] if rows else ()) if name not in hidden]
    title = f"{done.spec.name}: {done.n_runs} of {n_asked} runs; means with 95 % intervals"
    show_table(columns, [[_cell(name, row[name]) for name in columns] for row in rows], title=title)
    for row in rows:
        say(row["command"])
    for finding in done.findings:
        say("")
        say(finding.question)
        say(f"{finding.verdict}: {finding.answer}")
    if done.unmeasured:
        say("")
        show_table(("run with a circuit that was not measured", "why"), list(done.unmeasured.items()))
    if done.failed:
        say("")
        show_table(("run without a result", "why"), list(done.failed.items()))


def _cell(name: str, value: Any) -> object:
    """`0.95 (0.91–0.99)`; steps and seconds without digits."""
    if not isinstance(value, dict):
        return f"{value:g}" if isinstance(value, float) else value
    if value["value"] is None:
        return None
    digits = 0 if name in ("steps", "seconds", "parameters") else 2
    text = f"{value['value']:.{digits}f}"
    return text if value["low"] is None else f"{text} ({value['low']:.{digits}f}–{value['high']:.{digits}f})"
