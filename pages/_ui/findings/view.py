"""What the Findings page shows of one study: who was asked, the answers at a glance, and each with its figures."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final, Literal

import pandas as pd
import streamlit as st

from engine.domain.errors import Damaged, NotFound
from engine.domain.methods import METHOD_INFOS
from engine.domain.studies import Finding, Questions, Study, StudyTables
from engine.figures.finding_chart import describe, finding_chart, finding_table
from engine.figures.tables import to_csv
from engine.store import Store
from pages._ui.text import plain, words

Colour = Literal["green", "blue", "orange", "gray"]
BADGE: Final[Mapping[str, tuple[Colour, str]]] = {
    "yes": ("green", ":material/check:"),
    "no": ("blue", ":material/close:"),
    "partly": ("orange", ":material/contrast:"),
    "cannot be told": ("gray", ":material/question_mark:"),
}
_DOTS = (
    "A dot is a mean over runs, or a rank correlation; its bar is the 95 % interval. A filled dot’s interval "
    "leaves the dashed line out; a hollow one’s does not. "
)
_CHANCE = "Intervals are not corrected for the number of questions: of twenty, one may miss by chance."
_READING: Final[Mapping[Questions, str]] = {
    "learning": _DOTS
    + "**Paraphrase**: right answers in phrasings never trained on. **Inference**: right answers to what follows from "
    "a word’s meaning, never stated in training. **Circuit**: the paths in the network on which the model arrives at "
    f"its answer. {_CHANCE}",
    "methods": _DOTS
    + "A diamond is the published figure, of another and larger model. **Accuracy**: right answers to problems, or to "
    "questions on new words, never trained on. **Retained**: right answers to what the model knew before. **Circuit**: "
    "the heads and MLPs that the answer rests on, with the strongest edges between them. **Jaccard**: of what either "
    f"of two circuits has, the share that both have. {_CHANCE}",
}


def head(store: Store, study: Study) -> None:
    """One sentence on what the study is, from its tables; and how to read the figures."""
    tables = _tables(store, study)
    if tables is not None and len(tables.runs):
        runs, searched = _compared(tables)
        methods = [METHOD_INFOS[m].title if m in METHOD_INFOS else words(m) for m in dict.fromkeys(runs["method"])]
        n_seeds = runs["seed"].nunique()
        st.markdown(
            f"**{len(runs)} fine-tunes** of a small language model ({n_seeds} seed{'s' if n_seeds != 1 else ''}; "
            f"{plain(', '.join(methods))}; up to {study.spec.n_steps} steps, a snapshot every "
            f"{study.spec.capture_every}){searched}, all of them alike but for one thing at a time, asked "
            f"{len(study.findings)} questions."
        )
    if study.spec.asks == "methods":
        st.page_link("pages/methods.py", label="The methods beside each other", icon=":material/table_chart:",
                     query_params={"from": study.spec.name})  # fmt: skip
    st.caption(_READING[study.spec.asks])


def _compared(tables: StudyTables) -> tuple[pd.DataFrame, str]:
    """The runs that are compared; and how many others searched for learning rates, in words."""
    runs = tables.runs
    if "stage" not in runs:
        return runs, ""
    compared = runs[runs["stage"] == "grid"]
    n_search = len(runs) - len(compared)
    return compared, f", their learning rates searched in {n_search} more" if n_search else ""


def _tables(store: Store, study: Study) -> StudyTables | None:
    """None, with a message, where they cannot be read: the findings stand by themselves."""
    try:
        return store.study_tables(study.spec.name)
    except (Damaged, NotFound) as error:
        st.warning(plain(f"The study’s tables are left out: {error}"), icon=":material/warning:")
        return None


def summary(study: Study) -> None:
    """Every question with its verdict, each a way down to its figures."""
    columns = st.columns(2, gap="medium")
    half = -(-len(study.findings) // 2)
    for place, finding in enumerate(study.findings):
        colour, icon = BADGE[finding.verdict]
        with columns[place // half]:
            st.markdown(f"[{plain(finding.question)}](#{finding.key}) :{colour}-badge[{icon} {finding.verdict}]")


def findings(study: Study) -> None:
    """Each question: verdict, answer, figure, weak spots, the numbers, the command."""
    for finding in study.findings:
        st.divider()
        _finding(finding)


def _finding(finding: Finding) -> None:
    colour, icon = BADGE[finding.verdict]
    st.subheader(f"{plain(finding.question)} :{colour}-badge[{icon} {finding.verdict}]", anchor=finding.key)
    st.markdown(plain(finding.answer))
    spec = _spec(finding.to_json(), 1190)
    if spec:
        st.vega_lite_chart(spec, key=f"finding {finding.key}", width="content", alt=describe(finding))
    if finding.evidence:
        st.caption(f"**Where it is weak.** {plain(finding.evidence)}")
    label = "The figures, and the command that makes them" if finding.figures else "The command that makes it"
    with st.expander(label, icon=":material/table_rows:"):
        if finding.figures:
            st.dataframe(
                finding_table(finding), hide_index=True, height="content", key=f"figures {finding.key}",
                column_config={
                    "low": st.column_config.NumberColumn("95 % from", format="%.3f"),
                    "high": st.column_config.NumberColumn("to", format="%.3f"),
                    "value": st.column_config.NumberColumn(format="%.3f"),
                    "published": st.column_config.NumberColumn(format="%.3f"),
                    "n": st.column_config.NumberColumn(format="%d"),
                },
            )  # fmt: skip
        st.code(finding.command, language="bash")


@st.cache_data(max_entries=64, show_spinner=False)
def _spec(finding: str, width: int) -> dict[str, Any]:
    """Of the finding's chart; empty without one. Ten charts with all their checks would take half of the page's time:
    they are made once, and the tests check them."""
    chart = finding_chart(Finding.model_validate_json(finding), width=width)
    return {} if chart is None else dict(chart.to_dict(validate=False))


def export(store: Store, study: Study) -> None:
    """The findings and the tables they rest on, as files; nothing is read before it is asked for."""
    name = study.spec.name
    with st.popover("Export", icon=":material/download:", type="tertiary"):
        st.download_button(
            "Findings (JSON)", study.to_json, file_name=f"{name}-findings.json", mime="application/json",
            icon=":material/data_object:", on_click="ignore", width="stretch",
        )  # fmt: skip
        for table in ("runs", "captures", *(("components", "circuits") if study.spec.asks == "methods" else ())):
            st.download_button(
                f"{table.capitalize()} (CSV)", partial(_csv, store, name, table),
                file_name=f"{name}-{table}.csv", mime="text/csv", icon=":material/table:", on_click="ignore",
                width="stretch",
            )  # fmt: skip


def _csv(store: Store, name: str, table: str) -> str:
    return to_csv(getattr(store.study_tables(name), table))
