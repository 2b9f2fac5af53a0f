"""Compare's time-lapse: every checkpoint of the runs in one layout; what is not traced yet is traced meanwhile."""

from dataclasses import dataclass, replace

from engine.analysis.carried import explained_logits
from engine.analysis.diff import diff_graphs
from engine.analysis.focus import focus, union
from engine.domain.annotations import Annotations
from engine.domain.diffs import GraphDiff
from engine.domain.feature_names import FeatureNames
from engine.domain.graphs import Comparison, ComparisonKey
from engine.domain.jobs import Request, Timelapse
from engine.domain.numbers import plural
from engine.domain.timelapse import Moment, step_compared
from engine.figures.timelapse_view import TimelapseView, timelapse_view
from engine.workflows.queries import moments, timelapse_graphs, timelapse_keys, timelapse_order
from pages._ui import url
from pages._ui.cached import scores, stamp
from pages._ui.compare.data import drawn, names_of
from pages._ui.compare.selection import PAGE, Selection, Shown, mark, marks
from pages._ui.graphs.linked_graphs import linked_graphs
from pages._ui.graphs.marks import Marks
from pages._ui.jobs.button import job_button
from pages._ui.kept import kept
from pages._ui.session import again, store


@dataclass(frozen=True, eq=False)
class Frame:
    """What a time-lapse stands at."""

    selection: Selection  # the checkpoints of its step
    diff: GraphDiff  # their difference
    step: int | None  # None where no step is traced yet: then it is the comparison itself


@dataclass(frozen=True, eq=False)
class TimelapseFrames:
    """What is traced of it: the differences by step, and what the component plays (None where nothing is traced)."""

    diffs: dict[int, GraphDiff]
    view: TimelapseView | None


def timelapse_frames(selection: Selection, diff: GraphDiff, shown: Shown, names: FeatureNames, *, height: int) -> Frame:
    """Draws it with the sentence and the counts of each step, which follow the slider in the browser.

    Returns what it stands at since the slider was last at rest: what is below is drawn for that step.
    """
    at = marks()
    points = moments(store(), selection.a.ref, selection.b.ref)
    told = replace(at, step=_step_of(selection, points) if at.step is None else at.step)
    # One output at all steps: what the last B says, where nothing else is chosen.
    one = shown.settings.model_copy(update={"explained": explained_logits(diff)})
    made = _drawing(selection, replace(shown, settings=one), names.annotations, points, at)
    if made.view is not None:
        told = linked_graphs(made.view, key="graphs", marks=told, height=height, names=names)
        mark(told)
    step = _step_of(selection, points) if told.step is None else told.step
    _trace_missing(selection, diff, points, set(made.diffs), step)
    if not made.diffs:
        return Frame(selection, diff, None)
    nearest = min(made.diffs, key=lambda ready: abs(ready - step))
    point = next(point for point in points if point.step == nearest)
    there = replace(selection, a=store().checkpoint(point.a), b=store().checkpoint(point.b))
    return Frame(there, made.diffs[nearest], nearest)


def _step_of(selection: Selection, points: tuple[Moment, ...]) -> int:
    """Where it begins: at what is compared, else at B."""
    at = step_compared(points, selection.a.ref, selection.b.ref)
    return selection.b.step if at is None else at


def _drawing(
    selection: Selection, shown: Shown, annotations: Annotations, points: tuple[Moment, ...], at: Marks
) -> TimelapseFrames:
    """What is marked is always drawn."""
    made = _timelapse(selection, shown, annotations, points)
    if made.view is None:
        return made
    marked = {*at.pins, *(at.edge or ()), *([at.selected] if at.selected else [])}
    there = {node for diff in made.diffs.values() for node in diff.nodes["id"][diff.nodes["id"].isin(marked)]}
    missing = there - {node["id"] for node in made.view.nodes}
    return _timelapse(selection, shown, annotations, points, frozenset(missing)) if missing else made


def over_checkpoints(selection: Selection, diff: GraphDiff, shown: Shown) -> list[tuple[int, GraphDiff]]:
    """The differences of a comparison with their steps, where both graphs are stored; all explain what `diff` does."""
    one = shown.settings.model_copy(update={"explained": explained_logits(diff)})
    points = moments(store(), selection.a.ref, selection.b.ref)
    made = _timelapse(
        selection, replace(shown, settings=one, merged=False), names_of(store(), diff).annotations, points
    )
    return list(made.diffs.items())


def _timelapse(
    selection: Selection, shown: Shown, annotations: Annotations, points: tuple[Moment, ...],
    also: frozenset[str] = frozenset(),
) -> TimelapseFrames:  # fmt: skip
    """Made again only when another step is traced, or something else that it is made from has changed."""
    keys = timelapse_keys(store(), selection.a.ref, selection.b.ref, selection.prompt)
    runs = dict.fromkeys((selection.a.run, selection.b.run))
    made_from = (
        str(store().workspace),
        shown.settings.to_json(),
        annotations.to_json() if shown.merged else "",
        f"{shown.share} {sorted(also)}",
        *(f"{step} {key_a.hash} {key_b.hash}" for step, (key_a, key_b) in keys.items()),
        *(str(stamp(store(), run)) for run in runs),
    )
    return _made(
        selection, shown, annotations, points, also, made_from, selection.a.ref, selection.b.ref, selection.prompt
    )


@kept("Aligning the steps …")
def _made(
    _selection: Selection, _shown: Shown, _annotations: Annotations, _points: tuple[Moment, ...],
    _also: frozenset[str], made_from: tuple[str, ...], a: str, b: str, prompt: str,
) -> TimelapseFrames:  # fmt: skip
    graphs = timelapse_graphs(store(), a, b, prompt)
    diffs = {step: diff_graphs(*pair, _shown.settings) for step, pair in graphs.items()}
    if not diffs:
        return TimelapseFrames({}, None)
    runs = dict.fromkeys((_selection.a.run, _selection.b.run))
    shown = {step: drawn(diff, _annotations, _shown) for step, diff in diffs.items()}
    among = union(focus(diff, _shown.share, _also) for diff in shown.values())
    view = timelapse_view(
        _points,
        shown,
        {run: scores(store(), run) for run in runs},
        probe=_selection.probe,
        losses={c.ref: store().loss_words(c) for run in runs for c in store().checkpoints(run)},
        steps={c.ref: c.step for run in runs for c in store().checkpoints(run)},
        among=among,
    )
    return TimelapseFrames(diffs, view)


def _trace_missing(
    selection: Selection, diff: GraphDiff, points: tuple[Moment, ...], ready: set[int], step: int
) -> None:
    """Neighbors of the shown step first; the time-lapse is drawn again whenever a step has come.

    Begins by itself with the demo's model, whose steps take a second each; one of one's own may take minutes.
    """
    missing = tuple(point for point in points if point.step not in ready)
    if not missing:
        return
    a, b, prompt = selection.a.ref, selection.b.ref, selection.prompt
    if len(timelapse_keys(store(), a, b, prompt)) > len(ready):
        again()  # another step has come while this was being drawn
    at_once = store().run(selection.a.run).model.source == "bundled"
    job_button(
        Timelapse(
            a=a, b=b, prompt=prompt, transcoders=diff.a.key.transcoders, checkpoints=timelapse_order(missing, step)
        ),
        label=f"Trace the missing {plural(len(missing), 'step')}", key="trace steps",
        icon=":material/conversion_path:", covers=lambda request: _is_for(request, selection), begin=at_once,
        note="" if at_once else "Each takes as long as a comparison whose transcoders are there. They are kept.",
        changes=lambda: len(timelapse_keys(store(), a, b, prompt)),
    )  # fmt: skip


def compare_these(there: Selection, diff: GraphDiff) -> None:
    """A step's two checkpoints as a comparison of their own: their graphs are stored, so nothing is traced again."""
    if store().comparison(there.a.ref, there.b.ref, there.prompt, diff.a.key.transcoders) is None:
        key = ComparisonKey(a=there.a.ref, b=there.b.ref, prompt=there.prompt, transcoders=diff.a.key.transcoders)
        store().save_comparison(Comparison(key=key, graph_a=diff.a.key, graph_b=diff.b.key))
    mark(replace(marks(), step=None))
    url.write(PAGE, a=there.a.ref, b=there.b.ref, view="graphs")


def _is_for(request: Request, selection: Selection) -> bool:
    return isinstance(request, Timelapse) and (request.a, request.b, request.prompt) == (
        selection.a.ref, selection.b.ref, selection.prompt,
    )  # fmt: skip
