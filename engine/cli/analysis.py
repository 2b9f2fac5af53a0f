"""`analyse`, `change`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.context import store_of
from engine.cli.inputs import transcoder_set
from engine.cli.output import JsonFile, check_destination, say, show_table, write_json
from engine.cli.progress import progress
from engine.cli.runs import RunName
from engine.domain.corpus import PROBE_KINDS, probe_kind
from engine.domain.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from engine.analysis.saturation import Saturation
    from engine.decisions import Replay
    from engine.domain.decisions import DecisionSettings
    from engine.domain.series import GraphSeries


def add_to(app: typer.Typer) -> None:
    app.command()(analyse)
    app.command()(change)


Kind = Annotated[str, typer.Option(metavar="K", help=f"Probe kind: {', '.join(PROBE_KINDS)}.")]


def analyse(
    ctx: typer.Context,
    run: RunName,
    *,
    kind: Kind = "paraphrase",
    prompts: Annotated[int, typer.Option(min=1, max=1000, help="Of each constraint type.")] = 10,
    transcoders: Annotated[
        str,
        typer.Option(metavar="S", help="A stored set; without it one that has seen all checkpoints, made if need be."),
    ] = "",
    json_file: JsonFile = None,
) -> None:
    """Trace every checkpoint on the same probes; measure meaning overlap, and if answers depend on the circuits."""
    from engine.domain.jobs import AnalyseRun
    from engine.jobs import run_inline

    check_destination(json_file)
    store = store_of(ctx)
    store.run(run)  # an unknown name is told before anything is loaded
    request = AnalyseRun(
        run=run, probe_kind=probe_kind(kind), n_prompts=prompts, transcoders=transcoder_set(transcoders)
    )
    with progress(f"analysing {run}") as report:
        made = run_inline(store, request, on_progress=report)
    series = next(one for one in store.series(run) if one.key.hash == made)
    if json_file:
        write_json(series.model_dump(mode="json"), json_file)
    if json_file != "-":
        _show_series(series)
        say(f"{len(series.graphs)} graphs with the transcoders {series.key.transcoders}. See also `change {run}`.")


def change(ctx: typer.Context, run: RunName, *, kind: Kind = "", json_file: JsonFile = None) -> None:
    """How much a run's circuits changed, with the noise floor; when they settled; where each stopping policy stops."""
    from engine.analysis.saturation import saturation
    from engine.decisions import replay
    from engine.domain.measures import FLOOR_CAVEAT
    from engine.figures.change_tables import readings_as_changes
    from engine.workflows.changes import captures_of, changes_of, latest_series

    check_destination(json_file)
    store = store_of(ctx)
    watched = store.run(run).decisions
    settings = watched.model_copy(update={"probe_kind": probe_kind(kind)}) if kind else watched
    series = latest_series(store, run, settings.probe_kind)
    found = changes_of(store, series) if series else None
    captures = captures_of(store, run, found, overlap=series.overlap if series else ())
    seen = settings == watched and any(capture.reading for capture in captures)  # looks are at probes of one kind
    if found is None and not seen:
        raise InputError(
            f"The circuits of “{run}” have not been traced on its {settings.probe_kind} probes, neither during "
            f"training nor afterwards. Run `analyse {run} --kind {settings.probe_kind}`."
        )
    table = found.changes if found else readings_as_changes([c.reading for c in captures if c.reading])
    settled, replays = saturation(captures, settings), replay(captures, settings)
    if json_file:
        record = {
            "run": run,
            "changes": _records(table),
            "saturation": [vars(one) for one in settled.values()],
            "stopping": [{"policy": r.policy, "step": r.step, "reason": r.verdict.reason} for r in replays.values()],
            "notes": list(found.notes) if found else [],
            "floors": _records(found.floors) if found else [],
        }
        write_json(record | _measured(series), json_file)
    if json_file != "-":
        _show_changes(table, settings, run, traced="afterwards" if found else "during training")
        for note in found.notes if found else ():
            say(note)
        say(FLOOR_CAVEAT)
        _show_settled(settled, replays, settings, last=captures[-1].step)


def _measured(series: "GraphSeries | None") -> dict[str, Any]:
    """What is measured on a stored series besides its changes. No series: the run was traced while it trained."""
    stored = series.model_dump(mode="json") if series else {"overlap": [], "causal": []}
    return {"series": series.key.hash if series else None, "overlap": stored["overlap"], "causal": stored["causal"]}


def _records(table: "pd.DataFrame") -> list[dict[str, Any]]:
    columns = [str(name) for name in table]
    return [dict(zip(columns, values, strict=True)) for values in table.astype(object).values.tolist()]


def _show_changes(table: "pd.DataFrame", settings: "DecisionSettings", run: str, *, traced: str) -> None:
    """The policies' measure, each capture beside the one before."""
    from engine.domain.measures import MEASURE_TITLES
    from engine.figures.change_charts import SAID_TITLES

    own = table[(table["to"] == "previous") & (table["measure"] == settings.measure)]
    for constraint_type in dict.fromkeys(own["constraint_type"]):
        rows = [
            (row.step, row.change, f"{row.low:.2f} to {row.high:.2f}", row.edge, SAID_TITLES[row.said], row.fit, row.n)
            for row in own[own["constraint_type"] == constraint_type].itertuples()
        ]
        show_table(
            ("step", "change", "95% interval", "noise floor", "against the floor", "fit", "prompts"),
            rows,
            title=f"{run}, {constraint_type}, traced {traced}: circuit change "
            f"({MEASURE_TITLES[settings.measure].lower()}) since the checkpoint before",
        )


def _show_settled(
    settled: Mapping[str, "Saturation"], replays: Mapping[str, "Replay"], settings: "DecisionSettings", *, last: int
) -> None:
    from engine.analysis.saturation import rule_in_words

    show_table(
        ("constraint type", "no change seen since step", "rule met at step", "why"),
        [(one.constraint_type, one.since, one.step, one.reason) for one in settled.values()],
        title="When the circuits settled",
    )
    say(rule_in_words(settings))
    show_table(
        ("policy", "stops at", "steps saved", "why"),
        [(r.policy, r.step, None if r.step is None else last - r.step, r.verdict.reason) for r in replays.values()],
        title="Where each stopping policy would have stopped the run",
    )


def _show_series(series: "GraphSeries") -> None:
    """Meaning overlap over all layers, and how far the right answer falls when the circuit's features are ablated."""
    whole = {(one.step, one.constraint_type): one for one in series.overlap if one.layer < 0}
    causal = {(one.step, one.constraint_type): one for one in series.causal}
    for constraint_type in dict.fromkeys(name for _, name in (*whole, *causal)):
        rows = []
        for step, _ in series.key.checkpoints:
            overlap, check = whole.get((step, constraint_type)), causal.get((step, constraint_type))
            rows.append(
                (
                    step,
                    overlap.own if overlap else None,
                    overlap.other if overlap else None,
                    check.p_before if check else None,
                    check.drop.value if check else None,
                    check.random_drop.value if check else None,
                    _ablated(check.n_features, check.n_others) if check else None,
                )
            )
        columns = ("step", "own", "other", "p", "drop", "others’ drop", "features ablated")
        show_table(columns, rows, title=f"{series.key.run}, {constraint_type}: meaning overlap; without the circuit")


def _ablated(n_features: float, n_others: float) -> str:
    """Says so where fewer others were active than the circuit has features."""
    return f"{n_features:.0f}" if n_others >= n_features else f"{n_features:.0f} (others: {n_others:.0f})"
