"""Compare over many prompts: the mean circuit of a constraint type, and the prompts behind it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd
import streamlit as st

from engine.analysis.acted_mean import first_tokens_note
from engine.analysis.aggregate import aggregate, n_first_tokens
from engine.analysis.slots import lined_up
from engine.domain.continuation import output_for
from engine.domain.corpus import Probe
from engine.domain.diffs import DiffSettings, GraphDiff
from engine.domain.graphs import AttributionGraph
from engine.domain.jobs import Compare, Request
from engine.domain.numbers import duration, plural
from engine.store import Store
from engine.workflows.prompt_groups import ProbeGroup, group_comparisons, group_prompts, group_transcoders
from pages._ui import url
from pages._ui.compare.selection import PAGE, Selection, Shown, mark, marks
from pages._ui.jobs.button import job_button
from pages._ui.kept import kept
from pages._ui.session import store
from pages._ui.takes import on_this_model

FEWEST = 2  # prompts that have a mean
COUNTS = ("6", "12", "24", "40")  # of prompts, spread evenly over phrasings and words
Parts = list[tuple[Probe, GraphDiff]]


def group_named(groups: Sequence[ProbeGroup], title: str) -> ProbeGroup | None:
    """One prompt has no mean: a group of one is none."""
    return next((group for group in groups if group.title == title and len(group.probes) > 1), None)


@dataclass(frozen=True, eq=False)
class MeanCircuit:
    """The mean over prompts, and what it is the mean of."""

    diff: GraphDiff
    parts: Parts
    made_from: tuple[str, ...]  # equal for equal ones


def mean_circuit(selection: Selection, shown: Shown) -> MeanCircuit | None:
    """The mean over those of the group's prompts that are traced, where there are two or more; offers to trace the
    others."""
    assert selection.group is not None
    prompts = group_prompts(selection.group, chosen_count())
    ready, missing = _parts(store(), selection, [probe.text for probe in prompts], shown.settings)
    if missing:
        _trace(selection, prompts, missing)
    if len(ready) < FEWEST:
        return None
    st.caption(
        f"Mean over {prompts_of(selection.group, len(ready))}. {lined_up([probe for probe, _ in ready])}",
        help="A mean change within two standard errors of zero is not called a change.",
    )
    stamp, settings = _stamp(store(), selection, ready), shown.settings.to_json()
    return MeanCircuit(_mean(ready, stamp, settings), ready, (*stamp, settings))


def chosen_count() -> int:
    """How many prompts of a group are averaged, at most: as the address has it."""
    return int(url.allowed(PAGE, "n", COUNTS, "12", "number of prompts"))


def prompts_of(group: ProbeGroup, n: int) -> str:
    """`12 of 40 prompts`, `all 40 prompts`."""
    of = len(group.probes)
    return f"all {of} prompts" if n >= of else f"{n} of {of} prompts"


def _offered(group: ProbeGroup) -> list[str]:
    """Counts up to all of the group's prompts; what is more than them means all."""
    return [count for place, count in enumerate(COUNTS) if place == 0 or int(COUNTS[place - 1]) < len(group.probes)]


def _parts(store: Store, selection: Selection, prompts: list[str], settings: DiffSettings) -> tuple[Parts, list[str]]:
    assert selection.group is not None
    a, b = selection.a.ref, selection.b.ref
    there = tuple(known.to_json() for known in store.comparisons_of(a, b) if known.key.prompt in prompts)
    return _compared(store, selection.group, settings, a, b, tuple(prompts), (*there, settings.to_json()))


@kept("Comparing prompt by prompt …")
def _compared(
    _store: Store, _group: ProbeGroup, _settings: DiffSettings, a: str, b: str, prompts: tuple[str, ...],
    made_from: tuple[str, ...],
) -> tuple[Parts, list[str]]:  # fmt: skip
    chosen = [probe for probe in _group.probes if probe.text in prompts]
    return group_comparisons(_store, a, b, chosen, _settings)


def _stamp(store: Store, selection: Selection, ready: Parts) -> tuple[str, ...]:
    keys = [diff.a.key.hash + diff.b.key.hash for _, diff in ready]
    return (str(store.workspace), selection.a.ref, selection.b.ref, *keys)


@kept()
def _mean(_ready: Parts, made_from: tuple[str, ...], settings: str) -> GraphDiff:
    return aggregate(_ready)


def _trace(selection: Selection, prompts: Sequence[Probe], missing: list[str]) -> None:
    assert selection.group is not None
    a, b = selection.a.ref, selection.b.ref
    used = group_transcoders(store(), a, b, prompts)
    request = Compare(a=a, b=b, prompts=tuple(missing), transcoders=used)
    job_button(
        request, label=f"Trace {plural(len(missing), 'prompt')}",
        key="trace prompts", icon=":material/conversion_path:",
        note=f"{len(missing)} of {plural(len(prompts), 'prompt')} are not traced yet: "
        f"{on_this_model(store(), selection.a.run, f'about {duration(0.25 * len(missing))}', request)}.",
        covers=lambda request: _is_for(request, selection, missing),
    )  # fmt: skip


def _is_for(request: Request, selection: Selection, missing: list[str]) -> bool:
    return (
        isinstance(request, Compare)
        and not set(request.prompts).isdisjoint(missing)
        and (request.a, request.b) == (selection.a.ref, selection.b.ref)
    )


def is_traced(selection: Selection, shown: Shown) -> bool:
    """Whether there is a mean of what is traced of the group's prompts."""
    assert selection.group is not None
    prompts = [probe.text for probe in group_prompts(selection.group, chosen_count())]
    return len(_parts(store(), selection, prompts, shown.settings)[0]) >= FEWEST


def prompts_behind(selection: Selection, shown: Shown, *, height: int) -> None:
    """How likely the right answer is in each prompt of the group; a row steps into it."""
    assert selection.group is not None
    prompts = [probe.text for probe in group_prompts(selection.group, chosen_count())]
    ready, _ = _parts(store(), selection, prompts, shown.settings)
    list_prompts(
        selection, [(probe.text, _right(probe, diff.a), _right(probe, diff.b)) for probe, diff in ready], height=height
    )
    if n := n_first_tokens(ready):
        st.caption(first_tokens_note(n))


def list_prompts(
    selection: Selection, found: Sequence[tuple[str, float | None, float | None]], *, height: int
) -> None:  # fmt: skip
    """`found`: prompts, with how probable the right answer is in A and in B. A row steps into its prompt."""
    assert selection.group is not None
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown("**Its prompts**", width="stretch")
        key, offered, group = f"{PAGE} n", _offered(selection.group), selection.group
        st.session_state[key] = min(offered, key=lambda count: abs(int(count) - chosen_count()))
        st.selectbox(
            "How many", offered, key=key, label_visibility="collapsed", width=115, on_change=_recount, args=(key,),
            format_func=lambda count: prompts_of(group, int(count)).removesuffix(" prompts"),
        )  # fmt: skip
    rows = pd.DataFrame(found, columns=["prompt", "A", "B"])
    picked = st.dataframe(
        rows, hide_index=True, height=height, row_height=27, on_select="rerun", selection_mode="single-row",
        key="prompts behind", column_config={
            side: st.column_config.NumberColumn(
                f"p right, {side}", format="%.2f", width=74, help="Probability of the right answer."
            )
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
    answer = output_for(graph.target_tokens, probe.answer)
    return None if answer is None else graph.target_probability.tolist()[graph.target_tokens.index(answer)]
