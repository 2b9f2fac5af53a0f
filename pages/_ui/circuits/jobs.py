"""What the page's jobs take, which job is for what, and the offer to find the circuits of a run."""

from collections.abc import Sequence

import streamlit as st

from engine.domain.components import ScoreSettings
from engine.domain.jobs import CheckRobustness, FindCircuits, Request, UniteCircuits
from engine.domain.numbers import duration, plural
from engine.domain.runs import Checkpoint
from pages._ui.circuits.data import corpora_with_pairs
from pages._ui.jobs.button import job_button
from pages._ui.session import store
from pages._ui.takes import on_this_model
from pages._ui.text import plain

SCORE_S, CURVE_S = 0.6, 1.7  # of one checkpoint, 100 pairs, on the demo's model and one core
ROBUSTNESS_S = 30.0


def offer_to_find(
    run: str, checkpoints: Sequence[Checkpoint], pairs: str, settings: ScoreSettings, *, others_found: bool
) -> None:  # fmt: skip
    """The button that finds the circuits of `checkpoints`. `others_found`: the run has circuits already."""
    n = len(checkpoints)
    with st.container(border=True):
        if others_found:
            st.markdown(f"**{plural(n, 'checkpoint')} of {plain(run)} without a circuit yet**")
        else:
            st.markdown(f"**The circuits of {plain(run)} have not been found yet**")
            st.markdown(
                "A component circuit is the set of attention heads and MLPs, and of edges between them, that an answer "
                "depends on. It is found with prompt pairs that differ in one word and so in the right answer. Find it "
                "at every checkpoint to see which edges fine-tuning kept, flipped, added or removed."
            )
        if pairs != (own := store().run(run).corpus):
            st.caption(plain(f"With the prompt pairs of “{pairs}”{_instead(run, own)}. Settings has other corpora."))
        job_button(
            FindCircuits(checkpoints=tuple(one.ref for one in checkpoints), pairs=pairs, settings=settings),
            label=f"Find {'it' if n == 1 else f'all {n}'}" if others_found else "Find the circuits of all checkpoints",
            key="find circuits", icon=":material/hub:", note=estimate(run, n, settings),
            covers=lambda request: finds(request, run, pairs),
        )  # fmt: skip


def _instead(run: str, own: str) -> str:
    return "" if own in corpora_with_pairs(store(), run) else f", as the run’s own corpus “{own}” has none"


def estimate(run: str, n_checkpoints: int, settings: ScoreSettings) -> str:
    """What it takes."""
    share = settings.n_pairs / 100
    takes = duration(n_checkpoints * share * (SCORE_S * settings.n_steps / 5 + CURVE_S))
    return (
        f"{plural(n_checkpoints, 'checkpoint')}, up to {plural(settings.n_pairs, 'prompt pair')} each: "
        f"{on_this_model(store(), run, f'about {takes}')}. It runs in the background, and every finished checkpoint "
        "is saved."
    )


def checks(request: Request, checkpoint: str) -> bool:
    """Does it measure the robustness of this checkpoint's circuit?"""
    return isinstance(request, CheckRobustness) and request.checkpoint == checkpoint


def unites(request: Request, run: str) -> bool:
    """Does it unite circuits for a checkpoint of this run?"""
    return isinstance(request, UniteCircuits) and request.checkpoint.startswith(f"{run}@")


def finds(request: Request, run: str, pairs: str | None = None) -> bool:
    """Does it find circuits of this run? `pairs`: with those of this corpus."""
    if not isinstance(request, FindCircuits) or pairs not in (None, request.pairs):
        return False
    return any(ref.startswith(f"{run}@") for ref in request.checkpoints)
