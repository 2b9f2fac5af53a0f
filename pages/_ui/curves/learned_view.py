"""Where a run's constraint types were learned: which tokens and layers made the right answers rise, and when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import streamlit as st

from engine.analysis.acted_mean import ActedMean, mean_sentence
from engine.domain.corpus import Probe, ProbeKind
from engine.domain.errors import ComparisonRefused
from engine.domain.runs import Checkpoint
from engine.figures.learned_charts import By, learned_chart, learned_height, learned_panels, learned_rows
from engine.store import Store
from engine.workflows.prompt_groups import group_acted, group_prompts, probe_groups
from pages._ui.acted_probes import kept_mean, offer_to_measure
from pages._ui.chart_export import Figures, take_away
from pages._ui.errors import guarded
from pages._ui.fields import number_field
from pages._ui.panels import draw_panels
from pages._ui.session import store
from pages._ui.text import plain, words

_PROMPTS, _MOST_PROMPTS = 10, 200  # of a type
_TITLES: Final[Mapping[By, str]] = {"role": "By token", "layer": "By layer"}
_WHAT: Final = (
    "Which tokens and layers made the right answer’s logit rise (orange) or fall (blue) between checkpoints: means "
    "over probes, from where training acted. The parts of a step add up to the change. Click a cell to open its "
    "checkpoint in Compare."
)


@dataclass(frozen=True)
class _Probed:
    """From the base to the last checkpoint, and the probes that are asked."""

    a: Checkpoint
    b: Checkpoint
    probes: dict[str, tuple[Probe, ...]]  # by constraint type


@guarded()
def where_it_was_learned(page: str, run: str, kind: ProbeKind, *, last_step: int) -> None:
    """The section of one run and one kind of probe. `last_step`: where the axis of the probe curves ends."""
    title, field, head = st.columns([7, 2, 1], vertical_alignment="bottom")
    title.subheader("Where it was learned", anchor=False)
    checkpoints = store().checkpoints(run)
    if len(checkpoints) < 2:
        st.info("The base is the only checkpoint of this run, so there is nothing to compare yet.")
        return
    with field:
        n = _n_prompts(page)
    course = _course(store(), checkpoints, kind, n)
    if not course.probes:
        st.info("The run’s corpus has no probes of this kind.")
        return
    means, missing = _measured(course)
    if means:
        figures = _charts(means, run, last_step)
        with head:
            take_away(figures, key="take away learned")
    if missing:
        offer_to_measure(
            course.a, course.b, missing, sum(map(len, course.probes.values())), label="Find where it was learned",
            told="See which tokens and layers made the right answers rise, and when.", key="where learned",
        )  # fmt: skip


def _n_prompts(page: str) -> int:
    return number_field(
        page, "probes", "Probes of a type", 1, _MOST_PROMPTS, _PROMPTS,
        explain="Spread evenly over phrasings and words. With more of them intervals are narrower and take longer.",
    )  # fmt: skip


def _course(store: Store, checkpoints: Sequence[Checkpoint], kind: ProbeKind, n: int) -> _Probed:
    a, b = checkpoints[0], checkpoints[-1]
    groups = [group for group in probe_groups(store, a.ref, b.ref) if group.kind == kind]
    return _Probed(a, b, {group.constraint_type: group_prompts(group, n) for group in groups})


def _measured(course: _Probed) -> tuple[dict[str, ActedMean], list[Probe]]:
    """What is stored, by constraint type, and the probes that are not."""
    means, missing = {}, []
    for constraint_type, probes in course.probes.items():
        ready, left = group_acted(store(), course.a.ref, course.b.ref, probes)
        missing += left
        try:
            if ready:
                means[constraint_type] = kept_mean(ready)
        except ComparisonRefused as error:
            st.warning(plain(f"{words(constraint_type)}: {error}"), icon=":material/warning:")
    return means, missing


def _charts(means: Mapping[str, ActedMean], run: str, last_step: int) -> Figures:
    """Gives the figures."""
    for mean in means.values():
        st.markdown(plain(mean_sentence(mean)))
    st.caption(_WHAT)
    refs = next(iter(means.values())).checkpoints
    steps = [store().checkpoint(ref).step for ref in refs]
    figures: Figures = {}
    clicked: list[Mapping[str, object]] = []
    for by, title in _TITLES.items():
        rows = learned_rows(means, steps, by=by)
        st.markdown(f"**{title}**")
        clicked += draw_panels(
            partial(learned_panels, rows, last_step=last_step, title=title.lower()), key=f"curves learned {by}",
            height=learned_height(rows), selection="stretch",
            alt_text=partial(_alt_text, run, title),
        )  # fmt: skip
        figures[f"learned-by-{by}"] = partial(learned_chart, rows, last_step=last_step, title=title.lower())
    _open(clicked, run)
    return figures


def _alt_text(run: str, title: str, name: str) -> str:
    return f"{words(name).capitalize()}: parts of the right answers’ change in {run}, {title.lower()} and step."


def _open(points: Sequence[Mapping[str, object]], run: str) -> None:
    """The checkpoints of a clicked cell's end, beside the base, in Compare."""
    for point in points:
        found = [c for c in store().checkpoints(run) if c.step == point.get("right")]
        if found:
            st.switch_page("pages/compare.py", query_params={"a": f"{run}@base", "b": found[0].ref, "view": "map"})
