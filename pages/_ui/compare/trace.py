"""Compare's empty state: what is missing, what it will take, and the progress in its place."""

import streamlit as st

from engine.domain.diffs import GraphDiff
from engine.domain.graphs import TraceSettings
from engine.domain.jobs import Compare, Request
from engine.store import Store
from engine.workflows.texts import has_texts
from engine.workflows.transcoders import own_set, set_for
from pages._ui.compare.data import Selection
from pages._ui.jobs.button import job_button
from pages._ui.session import store
from pages._ui.takes import on_this_model
from pages._ui.text import both_ends, plain


def not_traced(selection: Selection) -> None:
    """Offer to trace; while it is being traced, show how far it is."""
    with st.container(border=True):
        st.subheader("Not traced yet")
        st.markdown(
            f"There are no attribution graphs of **{plain(selection.a.ref)}** and **{plain(selection.b.ref)}** on "
            f"“{plain(both_ends(selection.prompt))}” yet."
        )
        settings = TraceSettings(max_feature_nodes=_max_features())
        request = Compare(a=selection.a.ref, b=selection.b.ref, prompts=(selection.prompt,), settings=settings)
        job_button(
            request, label="Trace this comparison", key="trace", icon=":material/conversion_path:",
            note=estimate(store(), selection, request), covers=lambda request: _is_for(request, selection),
        )  # fmt: skip


def trace_again(selection: Selection, diff: GraphDiff) -> None:
    """Of a comparison that was stored without all of its measures or features: with them, by the same transcoders."""
    job_button(
        Compare(a=selection.a.ref, b=selection.b.ref, prompts=(selection.prompt,), transcoders=diff.a.key.transcoders),
        label="Trace again, with all features and edges", key="trace again", icon=":material/conversion_path:",
        covers=lambda request: _is_for(request, selection), primary=False,
    )  # fmt: skip


def train_again(selection: Selection, diff: GraphDiff) -> None:
    """Of a comparison by transcoders that have read little: by a set that is trained on more."""
    job_button(
        Compare(a=selection.a.ref, b=selection.b.ref, prompts=(selection.prompt,), settings=_as_before(diff)),
        label="Train on more texts and trace again", key="train again", icon=":material/conversion_path:",
        covers=lambda request: _is_for(request, selection), primary=False,
    )  # fmt: skip


def _as_before(diff: GraphDiff) -> TraceSettings:
    """With as many features: figures change with how many may be nodes."""
    return TraceSettings(max_feature_nodes=diff.a.key.settings.max_feature_nodes)


def _max_features() -> int | None:
    chosen = st.number_input(
        "Features at most", min_value=1, value=None, placeholder="all", key="max_features", width=220,
        help="Empty: every active feature becomes a node. A number keeps those of most influence, which saves memory "
        "and time with large transcoders and long prompts.",
    )  # fmt: skip
    return None if chosen is None else int(chosen)


def estimate(store: Store, selection: Selection, request: Compare) -> str:
    """What it takes: seconds where transcoders have seen both sides, more where they must learn first."""
    if set_for(store, [selection.a.ref, selection.b.ref]) is not None:
        takes = on_this_model(store, selection.a.run, "A few seconds", request)
        return f"{takes}. You can leave this page; the comparison is kept."
    model = store.run(selection.a.run).model
    if own := own_set(store, model):
        return (
            f"With the published set {plain(own)}, which is downloaded when it is not here: several GB or more. Then a "
            "trace takes longer than with a set that was trained here, as more features are active."
        )
    known = any(meta.model == model for meta in store.transcoder_sets())
    takes = "About twenty seconds" if known else "About a minute"
    runs = dict.fromkeys((selection.a.run, selection.b.run))
    written = not any(has_texts(store, store.run(run)) for run in runs)
    texts = ", on texts that the models write, as there is no corpus of enough texts" if written else ""
    whom = "these two runs" if len(runs) == 2 else "this run"
    return (
        f"No transcoders have seen both checkpoints and enough texts, so a shared set is trained first{texts}, "
        f"once for {whom}. "
        f"{on_this_model(store, selection.a.run, takes, request)}. You can leave this page; the comparison is kept."
    )


def _is_for(request: Request, selection: Selection) -> bool:
    return (
        isinstance(request, Compare)
        and (request.a, request.b) == (selection.a.ref, selection.b.ref)
        and selection.prompt in request.prompts
    )
