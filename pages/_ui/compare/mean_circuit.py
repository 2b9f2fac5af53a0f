"""Compare over many prompts: the mean circuit of a constraint type, and the prompts behind it."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
import streamlit as st

from engine.analysis.aggregate import aggregate
from engine.domain.corpus import Probe
from engine.domain.diffs import DiffSettings, GraphDiff
from engine.domain.graphs import AttributionGraph
from engine.domain.jobs import Compare, Request
from engine.domain.numbers import duration, plural
from engine.store import Store
from engine.workflows.many import ProbeGroup, group_comparisons, group_prompts, group_transcoders
from pages._ui import url
from pages._ui.compare.selection import PAGE, Selection, Shown, mark, marks
from pages._ui.jobs.button import job_button
from pages._ui.session import store

COUNTS = ("6", "12", "24", "40")  # of prompts, spread evenly over phrasings and words
Parts = list[tuple[Probe, GraphDiff]]


def group_named(groups: Sequence[ProbeGroup], title: str) -> ProbeGroup | None:
    return next((group for group in groups if group.title == title), None)


def mean_circuit(selection: Selection, shown: Shown) -> GraphDiff | None:
    """The mean over those of the group's prompts that are traced; offers to trace the rest."""
    assert selection.group is not None
    prompts = group_prompts(selection.group, int(_count()))
    ready, missing = _parts(store(), selection, [probe.text for probe in prompts], shown.settings)
    if missing:
        _trace(selection, prompts, missing)
    if not ready:
        return None
    st.caption(
        f"Mean over {len(ready)} prompt{'' if len(ready) == 1 else 's'}, aligned by the slots of their phrasings. "
        "A change within two standard errors of none is not called a change."
    )
    return _mean(ready, _stamp(store(), selection, ready), shown.settings.to_json())


def _count() -> str:
    return url.allowed(PAGE, "n", COUNTS, "12", "number of prompts")


def _parts(store: Store, selection: Selection, prompts: list[str], settings: DiffSettings) -> tuple[Parts, list[str]]:
    assert selection.group is not None
    a, b = selection.a.ref, selection.b.ref
    there = tuple(c.to_json() for c in store.comparisons() if {c.key.a, c.key.b} == {a, b} and c.key.prompt in prompts)
    return _compared(store, selection.group, settings, a, b, tuple(prompts), (*there, settings.to_json()))


@st.cache_resource(max_entries=3, show_spinner="Comparing prompt by prompt …")
def _compared(
    _store: Store, _group: ProbeGroup, _settings: DiffSettings, a: str, b: str, prompts: tuple[str, ...],
    made_from: tuple[str, ...],
) -> tuple[Parts, list[str]]:  # fmt: skip
    chosen = [probe for probe in _group.probes if probe.text in prompts]
    return group_comparisons(_store, a, b, chosen, _settings)


def _stamp(store: Store, selection: Selection, ready: Parts) -> tuple[str, ...]:
    keys = [diff.a.key.hash + diff.b.key.hash for _, diff in ready]
    return (str(store.workspace), selection.a.ref, selection.b.ref, *keys)


@st.cache_resource(max_entries=4, show_spinner=False)
def _mean(_ready: Parts, made_from: tuple[str, ...], settings: str) -> GraphDiff:
    return aggregate(_ready)


def _trace(selection: Selection, prompts: Sequence[Probe], missing: list[str]) -> None:
    assert selection.group is not None
    a, b = selection.a.ref, selection.b.ref
    used = group_transcoders(store(), a, b, prompts)
    job_button(
        Compare(a=a, b=b, prompts=tuple(missing), transcoders=used), label=f"Trace {plural(len(missing), 'prompt')}",
        key="trace prompts", icon=":material/conversion_path:",
        note=f"{len(missing)} of {plural(len(prompts), 'prompt')} not traced yet: about "
        f"{duration(0.25 * len(missing))} on the demo's model.",
        covers=lambda request: _is_for(request, selection, missing),
    )  # fmt: skip


def _is_for(request: Request, selection: Selection, missing: list[str]) -> bool:
    return (
        isinstance(request, Compare)
        and not set(request.prompts).isdisjoint(missing)
        and (request.a, request.b) == (selection.a.ref, selection.b.ref)
    )


def prompts_behind(selection: Selection, shown: Shown, *, height: int) -> None:
    """How likely the right answer is in each prompt of the group; a row steps into it."""
    assert selection.group is not None
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown("**Prompts behind it**", width="stretch")
        key = f"{PAGE} n"
        st.session_state[key] = _count()
        st.selectbox(
            "How many", COUNTS, key=key, label_visibility="collapsed", width=80, on_change=_recount, args=(key,)
        )
    prompts = [probe.text for probe in group_prompts(selection.group, int(_count()))]
    ready, _ = _parts(store(), selection, prompts, shown.settings)
    rows = pd.DataFrame(
        {
            "prompt": [probe.text for probe, _ in ready],
            "A": [_right(probe, diff.a) for probe, diff in ready],
            "B": [_right(probe, diff.b) for probe, diff in ready],
        }
    )
    picked = st.dataframe(
        rows, hide_index=True, height=height, row_height=27, on_select="rerun", selection_mode="single-row",
        key="prompts behind", column_config={
            side: st.column_config.NumberColumn(f"{side} right", format="%.2f", width=60, help="p of the right answer")
            for side in "AB"
        },
    )  # fmt: skip
    if picked["selection"]["rows"]:
        url.write(PAGE, prompt=str(rows["prompt"][picked["selection"]["rows"][0]]))
        mark(replace(marks(), selected=None, edge=None, pins=()))
        st.rerun()


def _recount(key: str) -> None:
    url.write_unless(PAGE, "n", st.session_state[key], "12")


def _right(probe: Probe, graph: AttributionGraph) -> float | None:
    tokens = zip(graph.target_tokens, graph.target_probability.tolist(), strict=True)
    return next((p for token, p in tokens if token.strip() == probe.answer.strip()), None)
