"""The bundled story on Home: one question, two runs, a picture of what each does with it. All figures are measured."""

import streamlit as st

from engine.domain.methods import METHOD_INFOS
from engine.domain.numbers import count, decimal, percent
from engine.store.infos import RunInfo
from pages._ui.errors import guarded
from pages._ui.session import store
from pages._ui.text import plain
from pages._ui.tour.facts import Compared, Tour, accuracy, most_likely, probability, told_apart, tour
from pages._ui.tour.pictures import answer_map

_PICTURE = (560, 250)  # its proportions


@guarded()
def demo_story(runs: list[RunInfo]) -> None:
    """The two runs side by side, at their last checkpoints."""
    found = tour(store())
    compared = told_apart(found) if found else None
    if compared is not None:
        probe = compared.probe
        st.subheader(plain(f"Both were taught that “{probe.constraint}” means “{probe.meaning}”. What does a "
                           f"{probe.constraint} cat do?"))  # fmt: skip
    for column, side, info in zip(st.columns(2, gap="medium"), ("A", "B"), runs, strict=False):
        with column, st.container(border=True, key=f"run card {side}"):
            _card(side, info, found, compared)
    if compared is not None:
        explained = plain(compared.diff.explained.words)
        st.caption(
            f"Across: the words of the prompt. Up: the layers. A mark is what of the logit of “{explained}” runs "
            "through a layer at a word (marks overlap): green pushes it up, purple down. Arcs: what moves from word to "
            "word. Both on one scale."
        )
    _studies()


def _card(side: str, info: RunInfo, found: Tour | None, compared: Compared | None) -> None:
    """All of it is a link to the run: the link's area covers the card (assets/home.css)."""
    name = info.config.name
    title = f"{name} · {METHOD_INFOS[info.config.method].title}"
    st.page_link("pages/train.py", label=f"**{plain(title)}**", query_params={"run": name})
    if compared is not None:
        _picture(side, compared)
    last = store().checkpoints(name)[-1]
    loss, paraphrase, inference, size = st.columns(4)
    loss.metric(
        "Training loss", decimal(last.state.smoothed_loss),
        help="How badly the run predicts its training text, at the end. Lower is better. It counts every word, also "
        "the new one, which demo-tokens cannot learn to write.",
    )  # fmt: skip
    paraphrase.metric(
        "Paraphrase", _share(found, side, "paraphrase"),
        help="Share of probes answered right in phrasings that were never trained on.",
    )  # fmt: skip
    inference.metric(
        "Inference", _share(found, side, "inference"),
        help="Share of probes answered right where the answer follows from a word’s meaning and was never stated.",
    )  # fmt: skip
    size.metric(
        "Trained parameters", count(last.state.n_trainable), help="How many of the model’s parameters were trained."
    )


def _picture(side: str, compared: Compared) -> None:
    graph = compared.diff.a if side == "A" else compared.diff.b
    answer = compared.probe.answer.strip()
    word = most_likely(graph)
    verdict = (
        f":green[:material/check:] expects “**{plain(word)}**” ({percent(probability(graph, word))})"
        if word == answer
        else f":red[:material/close:] expects “**{plain(word)}**” ({percent(probability(graph, word))}); "
        f"“{plain(answer)}” gets {percent(probability(graph, answer))}"
    )
    st.markdown(f"“{plain(compared.probe.text)} …”: {verdict}")
    width, height = _PICTURE
    explained = compared.diff.explained.words
    alt = f"Map of {side}: what of “{explained}” runs through each layer at each word of “{compared.probe.text}”."
    drawn = answer_map(compared, side, alt=alt, width=width, height=height)
    st.html(f'<div class="run-picture" style="aspect-ratio: {width} / {height}">{drawn}</div>')


def _share(found: Tour | None, side: str, kind: str) -> str:
    return percent(accuracy(store(), found.sides[side], kind) if found else None)


def _studies() -> None:
    studies = {study.spec.asks: study for study in reversed(store().studies())}  # the newest of each kind
    with st.container(horizontal=True):
        if learning := studies.get("learning"):
            st.page_link(
                "pages/findings.py", query_params={"study": learning.spec.name}, icon=":material/science:",
                label=f"Does it hold for other seeds and settings? Findings from {learning.n_runs} runs",
            )  # fmt: skip
        if methods := studies.get("methods"):
            st.page_link(
                "pages/methods.py", query_params={"from": methods.spec.name}, icon=":material/balance:",
                label=f"And with other methods and tasks? {methods.n_runs} runs compared",
            )  # fmt: skip
