"""What single methods need beyond rank and learning rate: fields of a new run, shown where its method uses them."""

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
        help="How many layers get more rank: those that the probe run changes most."
        if found else "How many layers get more rank. Which ones, the seed draws.",
    )  # fmt: skip
    rank = right.number_input(
        "Their rank", min_value=1, max_value=4096, value=None, placeholder="4 times the rank",
        help="Of the matrices in these layers. All others have the run's rank.",
    )  # fmt: skip
    return {"n_critical": n_critical, "critical_rank": rank}


def _probe(corpora: Sequence[str]) -> dict[str, object]:
    prior = st.multiselect(
        "Circuits of subtasks", list(corpora), placeholder="none: the run's own corpus",
        help="Corpora of the tasks that this one is made of. A probe run on each finds its circuit; united, they tell "
        "which layers are critical. Without any, one probe run on the run's own corpus does.",
    )  # fmt: skip
    n = max(1, len(prior))
    st.caption(f"Trains {'a probe run' if n == 1 else f'{n} probe runs'} first, as long as the run itself.")
    return {"prior": tuple(prior)}


def _edges() -> dict[str, object]:
    left, right = st.columns(2)
    n_edges = left.number_input(
        "Edges kept", min_value=1, value=None, placeholder="the published share",
        help="The strongest ones; what they connect is trained. Published: 500 of 32,491 edges.",
    )  # fmt: skip
    last = right.number_input(
        "Edges at the end", min_value=1, value=None, placeholder="as many",
        help="The number moves on a straight line to this one over the run.",
    )  # fmt: skip
    every = st.number_input(
        "Look for the circuit every so many steps", min_value=1, value=_DEFAULTS.discover_every,
        help="Each look takes about as long as a step.",
    )  # fmt: skip
    return {"n_edges": n_edges, "last_n_edges": last, "discover_every": every}
