"""The form of a new corpus: words that are taught, or a task of numbers. Making one is a job."""

from collections.abc import Callable

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from engine.corpus import TASKS
from engine.domain.corpus import CorpusSpec, TaskSpec, Wording
from engine.domain.jobs import MakeCorpus
from pages._ui import url
from pages._ui.errors import guarded
from pages._ui.forms import checked, free_name
from pages._ui.jobs.state import start_job
from pages._ui.text import plain

WORDS = "constraints"  # the task without numbers; here it is made with all that a corpus of words can have
WORDINGS: dict[Wording, str] = {"demo": "words of the bundled model", "model": "sentences for real models"}


@guarded()
def make(page: str, taken: list[str]) -> None:
    """Which corpus, its settings, and the button."""
    tasks = [WORDS, *(name for name in TASKS if name != WORDS)]
    what = st.selectbox("What is taught", tasks, format_func=lambda name: TASKS[name].title, key="corpus what")
    st.caption(plain(TASKS[what].description))
    stem = "my-corpus" if what == WORDS else what.replace("_", "-")
    key = "corpus new name" if what == WORDS else f"corpus new name {what}"  # a key each: each suggests its own name
    name = st.text_input("Name", value=free_name(stem, taken), key=key)
    make_spec: Callable[[], CorpusSpec | TaskSpec] = _words(name) if what == WORDS else _task(name, what)
    if st.button("Make corpus", type="primary", icon=":material/add:"):
        spec = checked(make_spec)
        if name in taken:
            st.error(plain(f"There is a corpus named “{name}” already. Choose another name."))
            return
        start_job(MakeCorpus(spec=spec))
        url.write(page, corpus=name)
        st.rerun()


def _words(name: str) -> Callable[[], CorpusSpec]:
    left, right = st.columns(2)
    seed = _seed(left)
    n_probes = right.number_input(
        "Probes", min_value=1, max_value=2000, value=40, help="Asked for, of each constraint type and kind."
    )
    shuffled = st.checkbox(
        "Shuffled meanings", help="A control: words and meanings are paired anew for every sentence."
    )
    return lambda: CorpusSpec(name=name, seed=seed, n_probes=n_probes, shuffled_meanings=shuffled)


def _task(name: str, task: str) -> Callable[[], TaskSpec]:
    wording = st.selectbox("Wording", list(WORDINGS), format_func=lambda wording: WORDINGS[wording], key="corpus words")
    default = TASKS[task].defaults[wording]
    left, middle, right = st.columns(3)
    # A key each, so that another task or wording comes with its own defaults.
    limit = left.number_input("Numbers up to", min_value=1, value=default.limit, key=f"corpus limit {task} {wording}")
    n_rows = middle.number_input(
        "Rows", min_value=5, max_value=50_000, value=None, placeholder=f"{default.n_rows:,}",
        key=f"corpus rows {task} {wording}",
        help="Problems: 80 % to train on, 20 % held out. Left empty: so many, or all that there are.",
    )  # fmt: skip
    seed = _seed(right)
    return lambda: TaskSpec(name=name, task=task, wording=wording, limit=limit, n_rows=n_rows, seed=seed)


def _seed(column: DeltaGenerator) -> int:
    return column.number_input("Seed", min_value=0, value=1, help="The same seed makes the same corpus.")
