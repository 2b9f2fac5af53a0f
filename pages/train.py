"""Train: a short form with good defaults; each run as it learns."""

import streamlit as st

from engine.domain.jobs import Train
from engine.store.infos import RunInfo
from pages._ui import url
from pages._ui.frame import show
from pages._ui.jobs.state import STOPPED
from pages._ui.pickers import pick
from pages._ui.session import jobs, store
from pages._ui.train.form import train_form
from pages._ui.train.run_view import run_view

PAGE = "train"


def known_runs(infos: list[RunInfo]) -> list[str]:
    """Runs that are stored, runs that wait to begin, and the address's run where its job stopped before it ended."""
    waiting = [job.request.config.name for job in jobs().active() if isinstance(job.request, Train)]
    named = url.read(PAGE, "run")
    waiting += [
        job.request.config.name
        for job in jobs().snapshot()
        if job.state in ("cancelled", *STOPPED) and isinstance(job.request, Train) and job.request.config.name == named
    ]
    own_first = sorted(infos, key=lambda info: (info.bundled, -info.created_at))
    return list(dict.fromkeys([*waiting, *(info.name for info in own_first)]))


def main() -> None:
    st.title("Train")
    infos = store().runs()
    names = known_runs(infos)
    side, view = st.columns([2, 5], gap="medium")
    with side:
        train_form(PAGE, taken=names)
        st.page_link(
            "pages/models.py", label="Trained elsewhere? Import checkpoints", icon=":material/download:",
            query_params={"view": "import"},
        )  # fmt: skip
    with view:
        if not names:
            st.info(
                "Nothing has been trained yet. The defaults on the left are fine: press **Start training** and watch.",
                icon=":material/west:",
            )
            return
        name = pick(PAGE, "run", names, label="Run", what="run", default=names[0])
        url.write(PAGE, run=name)
        run_view(PAGE, name)


show(main)
