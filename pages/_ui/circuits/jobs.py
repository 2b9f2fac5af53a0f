"""What the page's jobs take, which job is for what, and the offer to find the circuits of a run."""

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from engine.domain.components import ScoreSettings
from engine.domain.jobs import CheckRobustness, FindCircuits, Request, UniteCircuits
from engine.domain.numbers import count, duration, plural
from engine.domain.runs import Checkpoint
from pages._ui.circuits.pairs import fitting_corpora, refuse_pairs, whose_pairs
from pages._ui.jobs.button import job_button
from pages._ui.pair_fits import pairs_fit
from pages._ui.session import store
from pages._ui.takes import circuits_s, on_this_model
from pages._ui.text import plain

ROBUSTNESS_S = 30.0  # of one checkpoint, 100 pairs, on the demo's model and one core


@dataclass(frozen=True)
class Remaining:
    """Checkpoints of a run at which something is left to be done."""

    without_circuit: Sequence[Checkpoint]
    without_curve: Sequence[Checkpoint]  # found, but their faithfulness was not measured

    @property
    def refs(self) -> tuple[str, ...]:
        both = sorted((*self.without_circuit, *self.without_curve), key=lambda one: one.step)
        return tuple(one.ref for one in both)


def offer_to_find(run: str, left: Remaining, pairs: str, settings: ScoreSettings, *, others_found: bool) -> None:
    """The button that does what is left. `others_found`: the run has circuits already."""
    if not (fit := pairs_fit(store(), run, pairs)).fits:
        refuse_pairs(store(), run, pairs, fit)
        return
    with st.container(border=True):
        if others_found:
            st.markdown(f"**{_left(run, left)}**")
        else:
            st.markdown(f"**The circuits of {plain(run)} have not been found yet**")
            st.markdown(
                "A component circuit is the set of attention heads and MLPs, and of edges between them, that an answer "
                "depends on. It is found with prompt pairs that differ in one word and so in the right answer. Find it "
                "at every checkpoint to see which edges appear, vanish or flip their sign."
            )
        if whose := whose_pairs(store(), run, pairs):
            others = " Settings has other corpora." if len(fitting_corpora(store(), run)) > 1 else ""
            st.caption(plain(whose + others))
        request = FindCircuits(checkpoints=left.refs, pairs=pairs, settings=settings)
        job_button(
            request, label=_label(left) if others_found else "Find the circuits of all checkpoints",
            key="find circuits", icon=":material/hub:",
            note=estimate(run, request, fit.n_fit, n_scored=len(left.without_curve)),
            covers=lambda request: finds(request, run, pairs),
        )  # fmt: skip


def _left(run: str, left: Remaining) -> str:
    n, n_curves = len(left.without_circuit), len(left.without_curve)
    if not n:
        return f"The faithfulness of {plural(n_curves, 'circuit')} of {plain(run)} has not been measured yet"
    more = f", and {count(n_curves)} whose faithfulness was not measured" if n_curves else ""
    return f"{plural(n, 'checkpoint')} of {plain(run)} without a circuit yet{more}"


def _label(left: Remaining) -> str:
    n, n_curves = len(left.without_circuit), len(left.without_curve)
    if n and n_curves:
        return "Find what is missing"
    return f"{'Find' if n else 'Measure'} {'it' if n + n_curves == 1 else f'all {n + n_curves}'}"


def estimate(run: str, request: FindCircuits, n_there: int, *, n_scored: int = 0) -> str:
    """What it takes. `n_there`: pairs of the corpus that can be used; 0 where that is not known. `n_scored`: of so
    many of the checkpoints faithfulness alone is to be measured."""
    n_pairs = min(request.settings.n_pairs, n_there or request.settings.n_pairs)
    up_to = "" if n_there else "up to "
    takes = duration(circuits_s(request, n_pairs, n_scored=n_scored))
    return (
        f"{plural(len(request.checkpoints), 'checkpoint')}, {up_to}{plural(n_pairs, 'prompt pair')} each, by "
        f"{request.settings.method}: "
        f"{on_this_model(store(), run, f'about {takes}', request)}. It runs in the background, and every finished "
        "checkpoint is saved."
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
