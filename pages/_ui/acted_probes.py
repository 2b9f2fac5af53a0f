"""Where training acted on the probes of a constraint type: their mean, and the offer to measure those that lack.

Shared by the learning curves and Compare's Map of many prompts.
"""

from collections.abc import Sequence
from typing import Final

import streamlit as st

from engine.analysis.acted_mean import ActedMean, acted_mean
from engine.domain.acted import Acted
from engine.domain.corpus import Probe
from engine.domain.jobs import WhereProbes
from engine.domain.numbers import duration, plural
from pages._ui.jobs.button import job_button
from pages._ui.kept import kept
from pages._ui.session import store
from pages._ui.takes import on_this_model

STRETCH_S: Final = 0.12  # where training acted on one prompt over one stretch of a run, on the demo's model


def kept_mean(ready: Sequence[tuple[Probe, Acted]]) -> ActedMean:
    """As `acted_mean`, made once for the same probes. Raises as it does."""
    return _mean(ready, made_from(ready))


def made_from(ready: Sequence[tuple[Probe, Acted]]) -> tuple[tuple[str, str], ...]:
    """What a mean, and all that is drawn of it, is kept by: the probes, as another corpus may ask the same of another
    type, and hashes of what was measured, which name the checkpoints' weights and the prompts."""
    return tuple((probe.model_dump_json(), one.key.hash) for probe, one in ready)


@kept()
def _mean(_ready: Sequence[tuple[Probe, Acted]], made_from: tuple[tuple[str, str], ...]) -> ActedMean:
    return acted_mean(_ready)


def offer_to_measure(
    request: WhereProbes, run: str, n: int, *, n_stretches: int, label: str, told: str, key: str, over: str = ""
) -> None:  # fmt: skip
    """The button that measures the probes that are missing of `n`. `told`: what for; `over`: what they are measured
    over, where that is not just two checkpoints."""
    n_missing = len(request.asked)
    some = "" if n_missing == n else f"{n_missing} of "
    takes = on_this_model(store(), run, f"about {duration(STRETCH_S * n_missing * n_stretches)}", request)
    with st.container(border=True):
        if told:
            st.markdown(told)
        job_button(
            request, label=label, key=key, icon=":material/my_location:",
            note=f"{some}{plural(n, 'probe')}{over}, {takes}. It runs in the background; what is measured is kept.",
            covers=lambda other: isinstance(other, WhereProbes) and (other.a, other.b) == (request.a, request.b),
        )  # fmt: skip
