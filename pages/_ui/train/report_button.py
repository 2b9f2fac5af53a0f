"""The report of a run, made when it is asked for."""

import streamlit as st

from pages._ui.session import store


def report_button(run: str) -> None:
    """Downloads `engine.export.run_report`."""
    workspace = store()  # now: a download runs outside of the page

    def report() -> str:
        from engine.export import run_report  # heavy, and seldom needed

        return run_report(workspace, run)

    st.download_button(
        "Report", report, file_name=f"{run}-report.html", mime="text/html", icon=":material/description:",
        on_click="ignore", help="Corpus, settings, curves, checkpoints and a comparison on one page, to keep or print",
    )  # fmt: skip
