"""Where training acted on the probes of a constraint type: their mean, and the offer to measure those that lack.

Shared by the learning curves and Compare's Map of many prompts.
"""

from collections.abc import Sequence
from typing import Final

import streamlit as st

from engine.analysis.acted_mean import ActedMean, acted_mean
from engine.domain.acted import Acted
from engine.domain.corpus import Probe
from engine.domain.jobs import AskedPrompt, WhereProbes
from engine.domain.numbers import duration, plural
from engine.domain.runs import Checkpoint
from pages._ui.jobs.button import job_button
from pages._ui.kept import kept
from pages._ui.session import store
from pages._ui.takes import on_this_model

_PROBE_S: Final = 0.8  # one probe over four stretches of a run, on the demo's model


def kept_mean(ready: Sequence[tuple[Probe, Acted]]) -> ActedMean:
    """As `acted_mean`, made once for the same probes. Raises as it does."""
    return _mean(ready, tuple(one.key.hash for _, one in ready))


@kept()
def _mean(_ready: Sequence[tuple[Probe, Acted]], made_from: tuple[str, ...]) -> ActedMean:
    """`made_from`: hashes of what was measured, which name the checkpoints' weights and the prompts."""
    return acted_mean(_ready)


def offer_to_measure(
    a: Checkpoint, b: Checkpoint, missing: Sequence[Probe], n: int, *, label: str, told: str, key: str
) -> None:  # fmt: skip
    """The button that measures `missing` of `n` probes; `told`: what for, where nothing is measured yet."""
    some = "" if len(missing) == n else f"{len(missing)} of "
    request = WhereProbes(
        a=a.ref,
        b=b.ref,
        asked=tuple(AskedPrompt(prompt=probe.text, answer=probe.answer, blank=probe.blank) for probe in missing),
    )
    takes = on_this_model(store(), a.run, f"about {duration(_PROBE_S * len(missing))}")
    with st.container(border=True):
        if len(missing) == n:
            st.markdown(f"{told} It needs no transcoders and no graphs.")
        job_button(
            request, label=label, key=key, icon=":material/my_location:",
            note=f"{some}{plural(n, 'probe')}, {takes}. It runs in the background; what is measured is kept.",
            covers=lambda other: isinstance(other, WhereProbes) and (other.a, other.b) == (request.a, request.b),
        )  # fmt: skip
