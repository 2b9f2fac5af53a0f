"""Compare's settings: what is explained, what is kept of the stored graphs, what counts as a change."""

from collections.abc import Callable, Hashable

import numpy as np
import streamlit as st

from engine.analysis.carried import explained_logits
from engine.analysis.parts import output_ids
from engine.analysis.pruning import prune
from engine.analysis.scores import PrunedScores, pruned_scores
from engine.domain.diffs import DiffSettings, GraphDiff
from engine.domain.explained import ExplainedLogits
from engine.domain.graphs import AttributionGraph, PruneSettings
from engine.domain.numbers import decimal, percent, plural
from engine.figures.fit_text import score_text
from engine.figures.names import visible
from pages._ui import url
from pages._ui.compare.selection import (
    LEAST_SHARE,
    MOST_CHANGE,
    PAGE,
    Selection,
    Shown,
    default_share,
    explain,
)
from pages._ui.compare.trace import trace_again
from pages._ui.kept import kept
from pages._ui.session import store
from pages._ui.text import plain

_DEFAULT = DiffSettings()
_ANSWERS, _AGAINST = f"{PAGE} answers", f"{PAGE} against"


def settings_menu(diff: GraphDiff, selection: Selection, shown: Shown) -> None:
    """All of it works on the stored graphs; nothing is traced again."""
    with st.popover(
        "Settings", icon=":material/tune:", type="tertiary", help="What is explained, pruning, smallest change",
        key=f"{PAGE} settings", on_change="rerun",
    ) as panel:  # fmt: skip
        if selection.group is None:  # else the right answers are
            _explained(diff)
        _sliders(diff, shown)
        key = f"{PAGE} grouped"
        st.session_state[key] = shown.merged
        st.toggle("Draw each group of features as one node", key=key, on_change=_grouped, args=(key,))
        for name, graph in (("A", diff.a), ("B", diff.b)) if panel.open else ():
            scores = _scores(graph, shown.settings.prune, (graph.key, graph.n_edges, float(np.abs(graph.weight).sum())))
            st.caption(
                f"{name}: {plural(scores.n_nodes, 'node')}, {plural(scores.n_edges, 'edge')} · replacement score "
                f"{score_text(scores.replacement)} · completeness {decimal(scores.completeness)}"
            )
        if panel.open and (told := _transcoders(diff.a.key.transcoders)):
            st.caption(told)
        if selection.group is None and any(_lacks_some(graph) for graph in (diff.a, diff.b)):
            trace_again(selection, diff)


def _lacks_some(graph: AttributionGraph) -> bool:
    """Whether it could be traced with more edges or more features."""
    return not graph.is_measured_whole or graph.key.settings.max_feature_nodes is not None


def _transcoders(name: str) -> str:
    """How much the set has read that both graphs were traced with; empty where that is not known."""
    meta = next((one for one in store().transcoder_sets() if one.name == name), None)
    return f"Transcoders {plain(name)}: trained on {meta.texts_read} texts." if meta and meta.texts_read else ""


@kept()
def _scores(_graph: AttributionGraph, pruning: PruneSettings, made_from: tuple[Hashable, ...]) -> PrunedScores:
    """A mean's key does not tell of how many prompts it is."""
    return pruned_scores(_graph, prune(_graph, pruning))


def _explained(diff: GraphDiff) -> None:
    """Which of the traced outputs, one or several, and against which."""
    words = dict(zip(output_ids(diff.b), map(visible, diff.b.target_tokens), strict=True))
    now = explained_logits(diff)
    left, right = st.columns(2, gap="small")
    for column, key, label, chosen, others, note in (
        (left, _ANSWERS, "Explain", now.answers, now.against, "Outputs that were traced to. Of several, the mean."),
        (right, _AGAINST, "against", now.against, now.answers, "Then only what tells the two apart counts."),
    ):
        st.session_state[key] = list(chosen)
        column.multiselect(
            label, [token for token in words if token not in others], key=key, placeholder="nothing",
            format_func=lambda token: words[token], on_change=_explain, help=note,
        )  # fmt: skip


def _explain() -> None:
    """Nothing chosen: what B finds most probable."""
    answers, against = (tuple(st.session_state[key]) for key in (_ANSWERS, _AGAINST))
    explain(ExplainedLogits(answers=answers, against=against) if answers else None)


def _sliders(diff: GraphDiff, shown: Shown) -> None:
    prune_now, default = shown.settings.prune, _DEFAULT.prune
    _slider("Nodes: share of influence to keep", "nodes", (0.05, 1.0, 0.05), prune_now.node_threshold,
            default.node_threshold)  # fmt: skip
    _slider("Edges: share of influence to keep", "edges", (0.5, 1.0, 0.01), prune_now.edge_threshold,
            default.edge_threshold)  # fmt: skip
    _slider("Smallest change that counts, of all that moved", "change", (0.0, MOST_CHANGE, 0.005),
            shown.settings.min_change, _DEFAULT.min_change, shown_as="percent")  # fmt: skip
    _slider("Draw what carries this share of the change", "drawn", (LEAST_SHARE, 1.0, 0.05), shown.share,
            default_share(diff.a.n_layers), shown_as="percent")  # fmt: skip
    st.caption(
        f"In all {decimal(diff.explained.moved)} logits moved: a change of {decimal(diff.explained.limit, 3)} counts, "
        f"where it is also {percent(diff.settings.min_ratio)} of the larger side. {diff.explained.effect}"
    )


def _grouped(key: str) -> None:
    url.write_unless(PAGE, "grouped", "1" if st.session_state[key] else "", "")


def _slider(
    label: str, name: str, bounds: tuple[float, float, float], value: float, default: float, *, shown_as: str = "%.3g"
) -> None:
    """`bounds`: lowest, highest, step."""
    key, (low, high, step) = f"{PAGE} {name}", bounds

    def write() -> None:
        url.write_unless(PAGE, name, f"{st.session_state[key]:g}", f"{default:g}")

    st.session_state[key] = value
    changed: Callable[[], None] = write
    st.slider(plain(label), low, high, key=key, step=step, on_change=changed, format=shown_as)
