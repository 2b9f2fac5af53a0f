"""One run of the comparison: where it can be looked at, or how to train it here."""

from typing import Any

import pandas as pd
import streamlit as st

from engine.corpus import make_any
from engine.domain.corpus import CorpusSpec
from engine.domain.jobs import Train
from engine.domain.runs import RunConfig
from engine.domain.studies import Study
from engine.studies.comparison import requested_run
from engine.studies.one import corpora_of
from pages._ui.errors import guarded
from pages._ui.jobs.button import job_button
from pages._ui.session import store
from pages._ui.text import plain


@guarded()
def open_run(row: "pd.Series[Any]", study: Study | None) -> None:
    """A run of this workspace leads to its pages; one of a study to its settings, its command, and a job."""
    name = str(row["run"])
    with st.container(border=True):
        st.markdown(f"**{plain(name)}**")
        if name in {info.name for info in store().runs()}:
            _links(name)
        elif study is None:
            st.caption("This run was deleted.")
        else:
            _of_study(row, study)


def _links(name: str) -> None:
    with st.container(horizontal=True):
        st.page_link(
            "pages/curves.py", label="Learning curves", icon=":material/show_chart:", query_params={"runs": name}
        )
        st.page_link("pages/circuits.py", label="Circuits", icon=":material/hub:", query_params={"run": name})
        st.page_link("pages/train.py", label="How it was trained", icon=":material/model_training:",
                     query_params={"run": name})  # fmt: skip


def _of_study(row: "pd.Series[Any]", study: Study) -> None:
    run = requested_run(study.spec, str(row["run"]), float(row["learning_rate"]))
    if run is None:
        st.caption("This run is no longer part of the study.")
        return
    st.caption(
        "A study keeps the figures of a run, not its checkpoints. Train it here to open it in Learning curves and "
        "Circuits; the figures come out about the same."
    )
    st.markdown(_settings(run.config))
    from engine.studies.commands import train_command

    st.code(train_command(run.config), language="bash", wrap_lines=True)
    _train(run.config, study)


def _settings(config: RunConfig) -> str:
    """What decides the run, as badges."""
    own = config.method_settings
    settings = {
        "steps": config.n_steps, "batch": config.batch_size, "rank": config.rank, "seed": config.seed,
        "critical rank": own.critical_rank, "probe steps": own.probe_steps, "prior": ", ".join(own.prior) or None,
    }  # fmt: skip
    if config.method == "circuit_tuning":
        settings["edges"] = own.n_edges
    return " ".join(f":gray-badge[{plain(key)} {plain(value)}]" for key, value in settings.items() if value is not None)


def _train(config: RunConfig, study: Study) -> None:
    """A job. What the study made for itself is made first: tasks take no time."""
    there = {info.name for info in store().corpora()}
    made = {spec.name: spec for spec in study.spec.make}
    missing = [name for name in corpora_of(config) if name not in there]
    for name in missing:
        if name not in made or isinstance(made[name], CorpusSpec):
            st.caption(plain(f"To train it here, first run the study’s command: it creates the corpus “{name}”."))
            return
    if missing and st.button("Create its corpora", icon=":material/add:", key=f"make for {config.name}"):
        for name in missing:
            store().save_corpus(make_any(made[name]), made[name])
        st.rerun()
    if missing:
        st.caption(plain(f"It trains on {', '.join(missing)}, which this workspace does not have yet."))
        return
    job_button(
        Train(config=config), label="Train it here", key=f"train {config.name}",
        note="Ten seconds to a minute on the bundled model.",
    )  # fmt: skip
