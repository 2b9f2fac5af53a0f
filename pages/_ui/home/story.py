"""The bundled story on Home: two runs, equal right answers, one lookup and one meaning. All figures are measured."""

import pandas as pd
import streamlit as st

from engine.domain.methods import METHOD_INFOS
from engine.figures.charts import mini_curves
from engine.store.infos import RunInfo
from pages._ui.cached import draw, scores, stamp
from pages._ui.errors import guarded
from pages._ui.session import store
from pages._ui.text import CURVE_LEGEND, plain


@guarded()
def demo_story(runs: list[RunInfo]) -> None:
    """The two runs side by side, at their last checkpoint."""
    st.subheader("Two runs that were taught the same new words")
    st.caption(
        "Which of them learned what the words mean? Look at the loss, at the right answers in new phrasings, and at "
        "what follows from a word's meaning but was never said: a “blarf” cat smiles."
    )
    for column, info in zip(st.columns(2, gap="medium"), runs, strict=False):
        with column, st.container(border=True):
            _card(info)
    studies = {study.spec.asks: study for study in reversed(store().studies())}  # the newest of each kind
    with st.container(horizontal=True):
        if learning := studies.get("learning"):
            st.page_link(
                "pages/findings.py", query_params={"study": learning.spec.name}, icon=":material/science:",
                label=f"Does it hold for other seeds and settings? What {learning.n_runs} runs say",
            )  # fmt: skip
        if methods := studies.get("methods"):
            st.page_link(
                "pages/methods.py", query_params={"from": methods.spec.name}, icon=":material/balance:",
                label=f"And with other methods and tasks? {methods.n_runs} runs beside each other",
            )  # fmt: skip


def _card(info: RunInfo) -> None:
    name = info.config.name
    last = store().checkpoints(name)[-1]
    found = scores(store(), name)
    st.markdown(f"**{plain(name)}** · {METHOD_INFOS[info.config.method].title}")
    loss, known, follows, size = st.columns(4)
    loss.metric("Loss", f"{last.state.smoothed_loss:.2f}" if last.state.smoothed_loss is not None else "–")
    known.metric("Right answers", _share(found, last.step, "paraphrase"), help="In phrasings never trained on.")
    follows.metric(
        "Meaning", _share(found, last.step, "inference"),
        help="What follows from a word's meaning and was never stated.",
    )  # fmt: skip
    size.metric("Parameters", f"{last.state.n_trainable:,}", help="How many were trained.")
    st.markdown(f"Over training {CURVE_LEGEND}")
    draw(
        lambda: mini_curves(found, height=120),
        "home",
        str(store().workspace),
        name,
        stamp(store(), name),
        key=f"mini {name}",
        alt=f"Right answers and meaning of {name} over training.",
    )


def _share(found: pd.DataFrame, step: int, kind: str) -> str:
    rows = found[(found["step"] == step) & (found["probe_kind"] == kind)]
    if rows.empty:
        return "–"
    return f"{100 * float((rows['accuracy'] * rows['n']).sum() / rows['n'].sum()):.0f} %"
