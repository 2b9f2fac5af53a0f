"""When to stop and what to train on: the fields of a new run, and the words that explain their choices."""

from dataclasses import dataclass
from typing import Final

import streamlit as st

from engine.domain.corpus import PROBE_KINDS
from engine.domain.decisions import CURRICULUM_INFOS, STOPPING_INFOS, DecisionSettings
from engine.domain.measures import MEASURE_TITLES, MEASURES, Measure
from pages._ui.text import duration

MEASURE_HELP: Final[dict[Measure, str]] = {
    "influence": "how far the influence on the answer moved from some nodes to others; nodes that matter count most",
    "edge_similarity": "how far the paths between nodes changed in strength and sign",
    "node_jaccard": "which nodes belong to the circuit, however much each matters",
    "edge_jaccard": "which paths belong to the circuit, however strong each is",
}
_DEFAULTS: Final = DecisionSettings()
_TRACE_S: Final = 0.2  # of one prompt on the demo's model, on one core, with what is measured beside it


@dataclass(frozen=True)
class Decided:
    """What was chosen, as `RunConfig` takes it."""

    watch: bool
    settings: DecisionSettings
    watched: bool  # whether circuits are traced at all: asked for here, or needed by a policy


def policy_fields() -> tuple[str, str]:
    """The two select boxes of the short form: stopping and curriculum policy."""
    stopping = st.selectbox("Stop", list(STOPPING_INFOS), format_func=lambda name: STOPPING_INFOS[name].title)
    st.caption(STOPPING_INFOS[stopping].description)
    curriculum = st.selectbox(
        "Sample examples", list(CURRICULUM_INFOS), format_func=lambda name: CURRICULUM_INFOS[name].title
    )
    st.caption(CURRICULUM_INFOS[curriculum].description)
    return stopping, curriculum


def more_fields(stopping: str, curriculum: str) -> Decided:
    """The thresholds behind “More settings”, and whether circuits are watched."""
    needed = STOPPING_INFOS[stopping].needs_circuits or CURRICULUM_INFOS[curriculum].needs_circuits
    wanted = st.checkbox(
        "Watch the circuits at every checkpoint", value=needed, disabled=needed, key=f"decision watch {needed}",
        help="Traces them beside training, so that you see them change. What is chosen above needs it, where this is "
        "greyed out.",
    )  # fmt: skip
    kind = st.selectbox(
        "What is followed", list(PROBE_KINDS), index=list(PROBE_KINDS).index(_DEFAULTS.probe_kind),
        format_func=lambda kind: f"{PROBE_KINDS[kind].title}: {PROBE_KINDS[kind].help}",
        help="The held-out probes whose scores decide, and whose prompts are traced.",
    )  # fmt: skip
    measure = st.selectbox(
        "What counts as change", MEASURES, format_func=MEASURE_TITLES.__getitem__, help=measures_help()
    )
    left, right = st.columns(2)
    patience = left.number_input(
        "Patience",
        min_value=1,
        max_value=100,
        value=_DEFAULTS.patience,
        help="Checkpoints in a row that must be quiet.",
    )
    n_prompts = right.number_input(
        "Prompts watched", min_value=1, max_value=100, value=_DEFAULTS.n_prompts,
        help="Of each constraint type. With one prompt no noise can be measured, and nothing counts as quiet.",
    )  # fmt: skip
    settings = _DEFAULTS.model_copy(
        update={"patience": patience, "probe_kind": kind, "measure": measure, "n_prompts": n_prompts}
    )
    return Decided(watch=wanted and not needed, settings=settings, watched=wanted or needed)


def measures_help() -> str:
    """One line a measure, for a help text."""
    return "\n".join(f"- **{MEASURE_TITLES[measure]}**: {MEASURE_HELP[measure]}" for measure in MEASURES)


def cost(n_types: int, n_prompts: int) -> str:
    """What watching takes, in words."""
    n = n_types * n_prompts
    return (
        f"Traces {n} prompt{'' if n == 1 else 's'} at every checkpoint beside training, about {duration(n * _TRACE_S)} "
        "each time on the demo's model."
    )
