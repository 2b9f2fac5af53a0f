"""`analyse`, `change`."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from engine.cli.context import store_of
from engine.cli.inputs import kind_option, transcoder_set
from engine.cli.output import JsonFile, check_destination, say, show_table, write_json
from engine.cli.progress import progress
from engine.cli.runs import RunName
from engine.domain.corpus import PROBE_KINDS, ProbeKind, probe_kind
from engine.domain.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from engine.analysis.run_changes import RunChanges
    from engine.analysis.saturation import Saturation
    from engine.decisions import Replay
    from engine.domain.decisions import Capture, DecisionSettings
    from engine.domain.series import GraphSeries
    from engine.store import Store
    from engine.workflows.learned import Learned


def add_to(app: typer.Typer) -> None:
    app.command()(analyse)
    app.command()(change)


_NO_CIRCUITS: Final[dict[str, Any]] = {
    "changes": [], "saturation": [], "stopping": [], "notes": [], "floors": [], "series": None, "overlap": [],
    "causal": [],
}  # fmt: skip
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
    graphs: Annotated[
        bool, typer.Option(help="Without graphs: where training acted alone, which needs no transcoders.")
    ] = True,
    json_file: JsonFile = None,
) -> None:
    """Measure where training acted from checkpoint to checkpoint, and trace each checkpoint on the same probes.

    Of the graphs also meaning overlap, and whether answers depend on the circuits.
    """
    from engine.domain.jobs import AnalyseRun
    from engine.jobs import run_inline

    check_destination(json_file)
    store = store_of(ctx)
    store.run(run)  # an unknown name is told before anything is loaded
    if not graphs:
        _learn(store, run, probe_kind(kind), prompts, json_file)
        return
    request = AnalyseRun(
        run=run, probe_kind=probe_kind(kind), n_prompts=prompts, transcoders=transcoder_set(transcoders)
    )
    with progress(f"analyzing {run}") as report:
        made = run_inline(store, request, on_progress=report)
    series = next(one for one in store.series(run) if one.key.hash == made)
    if json_file:
        write_json(series.model_dump(mode="json"), json_file)
    if json_file != "-":
        _show_series(series)
        say(f"{len(series.graphs)} graphs with the transcoders {series.key.transcoders}.")
        say(f"When and where it learned: `change {run}{kind_option(series.key.probe_kind)}`.")


def _learn(store: "Store", run: str, kind: ProbeKind, n: int, json_file: str | None) -> None:
    """Where training acted alone."""
    from engine.cli.learned_text import learned_data, show_learned

    found = followed(store, run, kind, n)
    if json_file:
        write_json({"run": run, "acted": learned_data(found)}, json_file)
    if json_file != "-":
        show_learned(found)


def followed(store: "Store", run: str, kind: ProbeKind, n: int) -> "Learned":
    """When and where the run learned what `n` probes of each type ask; measured now where it is not stored.

    Raises NotFound, InputError and what the job raises.
    """
    from engine.jobs import run_inline
    from engine.workflows.learned import learned, learning_of, what_lacks

    if lacks := what_lacks(store, run, kind):
        raise InputError(f"When and where “{run}” learned cannot be measured. {lacks}")
    checkpoints, found = store.checkpoints(run), learned(store, run, kind, n)
    if found.missing:
        with progress(f"finding when and where {run} learned") as report:
            run_inline(store, learning_of(checkpoints, found.missing), on_progress=report)
        found = learned(store, run, kind, n)
    return found


def change(ctx: typer.Context, run: RunName, *, kind: Kind = "", json_file: JsonFile = None) -> None:
    """When and where a run learned: how far answers moved from checkpoint to checkpoint, and through what.

    Behind it circuit change with its noise floor, which is coarser, and where each stopping policy stops.
    """
    from engine.cli.learned_text import learned_data, show_learned
    from engine.workflows.learned import learned, what_lacks

    check_destination(json_file)
    store = store_of(ctx)
    watched = store.run(run).decisions
    settings = watched.model_copy(update={"probe_kind": probe_kind(kind)}) if kind else watched
    acted, circuits = learned(store, run, settings.probe_kind), _circuits(store, run, settings)
    if not acted.means and circuits is None:
        if lacks := what_lacks(store, run, settings.probe_kind):
            raise InputError(f"When and where “{run}” learned cannot be measured. {lacks}")
        raise InputError(
            f"Neither where training acted on “{run}” nor its circuits were measured on its {settings.probe_kind} "
            f"probes. Run `analyse {run} --kind {settings.probe_kind}`, or with --no-graphs for the first alone."
        )
    if json_file:
        record = circuits.record if circuits else _NO_CIRCUITS
        write_json({"run": run, "acted": learned_data(acted)} | record, json_file)
    if json_file != "-":
        show_learned(acted)
        if circuits:
            circuits.show(run)
        else:
            say(f"Circuit change was not measured: run `analyse {run} --kind {settings.probe_kind}`.")


@dataclass(frozen=True, eq=False)
class _Circuits:
    """What is known of the circuit change of a run."""

    table: "pd.DataFrame"
    found: "RunChanges | None"  # None: seen while it trained
    captures: "tuple[Capture, ...]"
    series: "GraphSeries | None"
    settings: "DecisionSettings"

    @cached_property
    def settled(self) -> Mapping[str, "Saturation"]:
        from engine.analysis.saturation import saturation

        return saturation(self.captures, self.settings)

    @cached_property
    def replays(self) -> Mapping[str, "Replay"]:
        from engine.decisions import replay

        return replay(self.captures, self.settings)

    @property
    def record(self) -> dict[str, Any]:
        return {
            "changes": _records(self.table),
            "saturation": [vars(one) for one in self.settled.values()],
            "stopping": [
                {"policy": r.policy, "step": r.step, "reason": r.verdict.reason} for r in self.replays.values()
            ],
            "notes": list(self.found.notes) if self.found else [],
            "floors": _records(self.found.floors) if self.found else [],
        } | _measured(self.series)

    def show(self, run: str) -> None:
        from engine.domain.measures import FLOOR_CAVEAT

        _show_changes(self.table, self.settings, run, traced="afterwards" if self.found else "during training")
        for note in self.found.notes if self.found else ():
            say(note)
        say(FLOOR_CAVEAT)
        _show_settled(self.settled, self.replays, self.settings, last=self.captures[-1].step)


def _circuits(store: "Store", run: str, settings: "DecisionSettings") -> _Circuits | None:
    """None where no circuits of the run were traced on probes of this kind."""
    from engine.figures.change_tables import readings_as_changes
    from engine.workflows.changes import captures_of, changes_of, latest_series

    series = latest_series(store, run, settings.probe_kind)
    found = changes_of(store, series) if series else None
    captures = captures_of(store, run, found, overlap=series.overlap if series else ())
    # Looks are at probes of one kind.
    seen = settings.probe_kind == store.run(run).decisions.probe_kind and any(capture.reading for capture in captures)
    if found is None and not seen:
        return None
    table = found.changes if found else readings_as_changes([c.reading for c in captures if c.reading])
    return _Circuits(table, found, captures, series, settings)


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
