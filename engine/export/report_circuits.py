"""The part of a run's report that shows what was seen of its circuits while it trained."""

from dataclasses import dataclass

from markupsafe import Markup

from engine.domain.decisions import RunDecisions
from engine.domain.numbers import plural
from engine.domain.runs import RunConfig
from engine.export.raster import chart_svg

_PANEL_PX = (330, 130)


@dataclass(frozen=True)
class CircuitPart:
    """What the template shows."""

    sentence: str
    picture: Markup | None  # None where there is one capture: nothing has changed yet
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]  # a row a capture, the first one first
    reason: str  # of the last decision; empty where nothing was decided


def circuit_part(config: RunConfig, decisions: RunDecisions, *, last_step: int) -> CircuitPart | None:
    """None where no circuits were traced while the run trained."""
    from engine.figures.change_tables import capture_rows  # pandas and altair are slow to import

    if not decisions.readings:
        return None
    settings = config.decisions
    table = capture_rows(decisions, measure=settings.measure).iloc[::-1]
    n_prompts = max(one.n_prompts for look in decisions.readings for one in look.types)
    return CircuitPart(
        sentence=(
            f"Circuits of {plural(len(decisions.readings), 'checkpoint')} were traced while it trained, on "
            f"{plural(n_prompts, settings.probe_kind + ' prompt')} of each constraint type."
        ),
        picture=_picture(config, decisions, last_step),
        columns=tuple(map(str, table.columns)),
        rows=tuple(tuple(map(str, row)) for row in table.itertuples(index=False)),
        reason=decisions.decisions[-1].verdict.reason if decisions.decisions else "",
    )


def _picture(config: RunConfig, decisions: RunDecisions, last_step: int) -> Markup | None:
    from engine.figures.change_charts import change_chart, change_rows
    from engine.figures.change_tables import readings_as_changes

    changes = readings_as_changes(decisions.readings)
    rows = change_rows(changes, to="previous", measure=config.decisions.measure, run=config.name)
    if rows.empty:
        return None
    width, height = _PANEL_PX
    chart = change_chart(rows, last_step=last_step, width=width, height=height)
    return Markup(chart_svg(chart))  # noqa: S704 - Vega escapes the texts of its SVG
