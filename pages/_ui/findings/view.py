"""What the Findings page shows of one study: what it rests on, the answers at a glance, and each with its figure."""

from collections.abc import Mapping
from functools import partial
from itertools import islice
from typing import Final, Literal

import altair as alt
import pandas as pd
import streamlit as st

from engine.domain.errors import Damaged, NotFound
from engine.domain.methods import METHOD_INFOS
from engine.domain.numbers import plural
from engine.domain.studies import Finding, Questions, Study, StudySpec, StudyTables
from engine.domain.words import listed
from engine.figures.finding_chart import chart_rows, describe, finding_charts, finding_table, has_published
from engine.figures.tables import to_csv
from engine.store import Store
from pages._ui.charts import Spec, draw, kept_charts
from pages._ui.text import plain, words

Colour = Literal["green", "blue", "orange", "gray"]
BADGE: Final[Mapping[str, tuple[Colour, str]]] = {
    "yes": ("green", ":material/check:"),
    "no": ("blue", ":material/close:"),
    "partly": ("orange", ":material/contrast:"),
    "inconclusive": ("gray", ":material/question_mark:"),
}
_BELOW_CHART = 8  # pixels
_WIDER = 1.7  # times the others: a chart that has the names of its row
_READING: Final = (
    "Each dot is a mean over {sample}, with its 95% interval. The dashed line in a row is what it "
    "would be if there were nothing to find. Blue and filled: the interval excludes that line. Gray and hollow: it "
    "does not. Intervals are not corrected for the number of questions, so one in twenty may miss by chance."
)
_BEHIND: Final = (
    "The last five questions rest on circuit change, a coarse measure. When and where answers moved, which places "
    "matter and which examples taught it, the study of measures tells."
)
_SAMPLE: Final[Mapping[Questions, str]] = {
    "learning": "runs, or a rank correlation",
    "methods": "runs, or a rank correlation",
    "measures": "words, or over prompts",
}
_TABLES: Final[Mapping[Questions, tuple[str, ...]]] = {
    "methods": ("components", "circuits"),
    "measures": ("acted", "taught", "rankings"),
}  # beside runs and captures
_BESIDE: Final[Mapping[Questions, str]] = {
    "measures": ", some made again without some of their examples, and rankings held to patching",
}  # what else answers
_TERMS: Final[Mapping[Questions, tuple[str, ...]]] = {
    "learning": (
        "**Paraphrase**: accuracy in phrasings never trained on.",
        "**Inference**: accuracy on what follows from a word’s meaning and is never stated in training.",
        "**Circuit**: the paths through the network on which the model arrives at its answer.",
        "**Circuit change**: how different a constraint type’s circuit is from that of the checkpoint before. It is "
        "coarse: it misses even large changes, and does not say what an answer gained.",
    ),
    "methods": (
        "**Accuracy**: problems answered right that were never trained on; for new words, the mean of paraphrase and "
        "inference.",
        "**Retained**: accuracy on what the model knew before.",
        "**Circuit**: the heads and MLPs that the answer rests on, with the strongest edges between them.",
        "**Jaccard**: of all edges (or nodes) that either of two circuits has, the share that both have.",
        "**Diamond**: the published figure, of another and larger model.",
    ),
    "measures": (
        "**Where training acted**: the change of an answer’s logit from the base to the tuned model, split exactly "
        "over the tokens at which weights made it.",
        "**Half, at rest**: the step from which on half of what an answer gains is always there; from which on it "
        "stays within a tenth of it.",
        "**Ranking**: an order of MLPs, features or edges by how much each is said to matter for the change of an "
        "answer from the base to the tuned model.",
        "**Taken back**: what the answer’s logit loses, as a share of its change, when the tuned model gets there what "
        "the base has.",
        "**Gradient in both**: the mean of the gradients in the base and in the tuned model, times the change.",
        "**Named first**: the training examples that pushed most toward the answer, by their gradients.",
        "**Nat**: the unit of a natural logarithm; 0.7 nats less halve a probability.",
    ),
}


def head(store: Store, study: Study) -> None:
    """What the study is, from its tables; and how to read the figures."""
    tables = _tables(store, study)
    if tables is not None and len(tables.runs):
        runs, searched = _compared(tables)
        methods = [METHOD_INFOS[m].title if m in METHOD_INFOS else words(m) for m in dict.fromkeys(runs["method"])]
        beside = _BESIDE.get(study.spec.asks, "")
        st.markdown(
            f"**{len(runs)} fine-tunes** of a small language model{beside} answer "
            f"{plural(len(study.findings), 'question')}: {plural(runs['seed'].nunique(), 'seed')}; "
            f"{plain(' · '.join(methods))}; up to {_n_steps(study.spec)} steps, a checkpoint every {_every(study.spec)}"
            f"{searched}."
        )
    st.caption(_READING.format(sample=_SAMPLE[study.spec.asks]))
    if study.spec.asks == "learning":
        st.caption(_BEHIND)
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.popover("Terms", icon=":material/menu_book:", type="tertiary"):
            st.markdown("\n\n".join(_TERMS[study.spec.asks]))
        if study.spec.asks == "methods":
            st.page_link("pages/methods.py", label="Compare the methods", icon=":material/table_chart:",
                         query_params={"from": study.spec.name})  # fmt: skip


def _n_steps(spec: StudySpec) -> int:
    return max(grid.n_steps or spec.n_steps for grid in spec.grids)


def _every(spec: StudySpec) -> str:
    """Such as “10 or 30”."""
    every = sorted({grid.capture_every or spec.capture_every for grid in spec.grids})
    return listed([str(n) for n in every]).replace(" and ", " or ")


def _compared(tables: StudyTables) -> tuple[pd.DataFrame, str]:
    """The runs that are compared; and how many others searched for learning rates, in words."""
    runs = tables.runs
    if "stage" not in runs:
        return runs, ""
    compared = runs[runs["stage"] == "grid"]
    n_search = len(runs) - len(compared)
    return compared, f"; learning rates come from {plural(n_search, 'more run')}" if n_search else ""


def _tables(store: Store, study: Study) -> StudyTables | None:
    """None, with a message, where they cannot be read: the findings stand by themselves."""
    try:
        return store.study_tables(study.spec.name)
    except (Damaged, NotFound) as error:
        st.warning(plain(f"The study’s tables cannot be read: {error}"), icon=":material/warning:")
        return None


def summary(study: Study) -> None:
    """Every question with its verdict, each a link down to its figure."""
    columns = st.columns(2, gap="medium")
    half = -(-len(study.findings) // 2)
    for place, finding in enumerate(study.findings):
        colour, icon = BADGE[finding.verdict]
        with columns[place // half]:
            st.markdown(f"[{plain(finding.question)}](#{finding.key}) :{colour}-badge[{icon} {finding.verdict}]")


def findings(study: Study) -> None:
    for finding in study.findings:
        with st.container(border=True):
            _finding(finding)


def _finding(finding: Finding) -> None:
    """Verdict, one sentence, one figure; everything else is folded."""
    colour, icon = BADGE[finding.verdict]
    st.subheader(f"{plain(finding.question)} :{colour}-badge[{icon} {finding.verdict}]", anchor=finding.key)
    specs = kept_charts(partial(_numbered, finding))
    rows = chart_rows(finding)
    if len(rows) == 1:
        text, figure = st.columns([2, 3], gap="large")
    else:  # rows of charts have the whole width
        text, figure = st.container(), st.container()
    with figure:
        _charts(finding, specs, rows)
    with text:
        st.markdown(plain(finding.answer))
        if finding.line and specs:
            st.caption(
                plain(f"Dashed line: {finding.line}." + (" Diamond: published." if has_published(finding) else ""))
            )
    with st.expander("Details", icon=":material/table_rows:"):
        _details(finding)


def _charts(finding: Finding, specs: dict[str, Spec], rows: tuple[int, ...]) -> None:
    placed = iter(specs.items())
    for n in rows:
        # The first has the names for its row.
        widths = [1.0] * n if len(rows) == 1 else [_WIDER, *[1.0] * (n - 1)]
        for column, (place, spec) in zip(st.columns(widths, gap="medium"), islice(placed, n), strict=True):
            # Of the chart's own height from the start: what is below does not move when it is drawn.
            with column, st.container(height=spec["height"] + _BELOW_CHART, border=False):
                draw(spec, key=f"finding {finding.key} {place}", alt=describe(finding))


def _details(finding: Finding) -> None:
    """The numbers with their intervals, where they are weak, and the command that makes them."""
    if finding.details:
        st.markdown("\n".join(f"- {plain(sentence)}" for sentence in finding.details))
    if finding.evidence:
        st.markdown(f"**Weak spots.** {plain(finding.evidence)}")
    if finding.figures:
        number = st.column_config.NumberColumn
        st.dataframe(
            finding_table(finding), hide_index=True, height="content", key=f"figures {finding.key}",
            column_config={
                "low": number("95% from", format="%.3f"),
                "high": number("to", format="%.3f"),
                "value": number(format="%.3f"),
                "null": number("dashed line", format="%.3f"),
                "published": number(format="%.3f"),
                "n": number(format="%d"),
            },
        )  # fmt: skip
    st.code(finding.command, language="bash")


def _numbered(finding: Finding) -> dict[str, alt.LayerChart]:
    return {str(place): chart for place, chart in enumerate(finding_charts(finding))}


def export(store: Store, study: Study) -> None:
    """The findings and the tables they rest on, as files; nothing is read before it is asked for."""
    name = study.spec.name
    with st.popover("Export", icon=":material/download:", type="tertiary"):
        st.download_button(
            "Findings (JSON)", study.to_json, file_name=f"{name}-findings.json", mime="application/json",
            icon=":material/data_object:", on_click="ignore", width="stretch",
        )  # fmt: skip
        for table in ("runs", "captures", *_TABLES.get(study.spec.asks, ())):
            st.download_button(
                f"{table.capitalize()} (CSV)", partial(_csv, store, name, table),
                file_name=f"{name}-{table}.csv", mime="text/csv", icon=":material/table:", on_click="ignore",
                width="stretch",
            )  # fmt: skip


def _csv(store: Store, name: str, table: str) -> str:
    return to_csv(getattr(store.study_tables(name), table))
