"""What single methods need beyond rank and learning rate: fields of a new run, shown where the method uses them."""

from collections.abc import Sequence
from typing import Final

import streamlit as st

from engine.domain.methods import METHOD_INFOS, MethodSettings

_DEFAULTS: Final = MethodSettings()


def method_fields(method: str, corpora: Sequence[str]) -> MethodSettings:
    """Nothing is shown for a method that needs none. `corpora` are the names of those that can be a prior."""
    info, chosen = METHOD_INFOS[method], dict[str, object]()
    if info.uses_layers:
        chosen |= _layers(found=info.uses_probe)
    if info.uses_probe:
        chosen |= _probe(corpora)
    if info.uses_edges:
        chosen |= _edges()
    return _DEFAULTS.model_copy(update=chosen)


def _layers(*, found: bool) -> dict[str, object]:
    left, right = st.columns(2)
    n_critical = left.number_input(
        "Critical layers", min_value=1, max_value=1000, value=_DEFAULTS.n_critical,
        help="How many layers get a higher rank: those that the probe run changes most."
        if found else "How many layers get a higher rank. The seed decides which.",
    )  # fmt: skip
    rank = right.number_input(
        "Rank of critical layers", min_value=1, max_value=4096, value=None, placeholder="4 × rank",
        help="All other layers have the rank set under “More settings”.",
    )  # fmt: skip
    return {"n_critical": n_critical, "critical_rank": rank}


def _probe(corpora: Sequence[str]) -> dict[str, object]:
    prior = st.multiselect(
        "Corpora of subtasks", list(corpora), placeholder="None: the run's own corpus",
        help="The tasks that this one is composed of. A probe run on each finds its circuit, and together the circuits "
        "decide which layers are critical. Without any, one probe run on the run's own corpus decides.",
    )  # fmt: skip
    n = max(1, len(prior))
    st.caption(f"Trains {'a probe run' if n == 1 else f'{n} probe runs'} first, with as many steps as the run itself.")
    return {"prior": tuple(prior)}


def _edges() -> dict[str, object]:
    left, right = st.columns(2)
    n_edges = left.number_input(
        "Edges in the circuit", min_value=1, value=None, placeholder="Published share",
        help="The strongest edges; only what they connect is trained. Left empty: the published share, 500 of 32,491.",
    )  # fmt: skip
    last = right.number_input(
        "Edges at the last step", min_value=1, value=None, placeholder="The same",
        help="Over the run the number of edges changes linearly to this one.",
    )  # fmt: skip
    every = st.number_input(
        "Steps between searches for the circuit", min_value=1, value=_DEFAULTS.discover_every,
        help="A search takes about as long as a training step.",
    )  # fmt: skip
    return {"n_edges": n_edges, "last_n_edges": last, "discover_every": every}
