"""The form of a new corpus: words that are taught, or a task with numbers. Creating one is a job."""

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

WORDS = "constraints"  # the task without numbers; here it is made with everything that a corpus of words can have
WORDINGS: dict[Wording, str] = {"demo": "for the bundled model", "model": "for other base models"}


@guarded()
def make(page: str, taken: list[str]) -> None:
    """Which corpus, its settings, and the button."""
    tasks = [WORDS, *(name for name in TASKS if name != WORDS)]
    what = st.selectbox("What to teach", tasks, format_func=lambda name: TASKS[name].title, key="corpus what")
    st.caption(plain(TASKS[what].description))
    stem = "my-corpus" if what == WORDS else what.replace("_", "-")
    key = "corpus new name" if what == WORDS else f"corpus new name {what}"  # a key each: each suggests its own name
    name = st.text_input("Name", value=free_name(stem, taken), key=key)
    make_spec: Callable[[], CorpusSpec | TaskSpec] = _words(name) if what == WORDS else _task(name, what)
    if st.button("Create corpus", type="primary", icon=":material/add:"):
        spec = checked(make_spec)
        if name in taken:
            st.error(plain(f"There is already a corpus named “{name}”. Choose another name."))
            return
        start_job(MakeCorpus(spec=spec))
        url.write(page, corpus=name)
        st.rerun()


def _words(name: str) -> Callable[[], CorpusSpec]:
    left, right = st.columns(2)
    seed = _seed(left)
    n_probes = right.number_input(
        "Probes of each kind",
        min_value=1,
        max_value=2000,
        value=40,
        help="For each constraint type and probe kind. Where there are not that many different prompts, you get fewer.",
    )
    shuffled = st.checkbox(
        "Shuffle the meanings",
        help="A control: every sentence pairs its word with another meaning, so that there is nothing to learn.",
    )
    return lambda: CorpusSpec(name=name, seed=seed, n_probes=n_probes, shuffled_meanings=shuffled)


def _task(name: str, task: str) -> Callable[[], TaskSpec]:
    wording = st.selectbox(
        "Wording", list(WORDINGS), format_func=lambda wording: WORDINGS[wording], key="corpus words",
        help="The bundled model knows only the words of its own small world. For other base models the published "
        "sentences are used, which it cannot read.",
    )  # fmt: skip
    default = TASKS[task].defaults[wording]
    left, middle, right = st.columns(3)
    # A key each, so that another task or wording comes with its own defaults.
    limit = left.number_input("Numbers up to", min_value=1, value=default.limit, key=f"corpus limit {task} {wording}")
    n_rows = middle.number_input(
        "Problems", min_value=5, max_value=50_000, value=None, placeholder=f"{default.n_rows:,}",
        key=f"corpus rows {task} {wording}",
        help="80% to train on, 20% held out. Left empty: the number shown, or all problems if there are fewer.",
    )  # fmt: skip
    seed = _seed(right)
    return lambda: TaskSpec(name=name, task=task, wording=wording, limit=limit, n_rows=n_rows, seed=seed)


def _seed(column: DeltaGenerator) -> int:
    return column.number_input("Seed", min_value=0, value=1, help="The same seed gives the same corpus.")
