"""When to stop and what to train on: the fields of a new run, and the words that explain their choices."""

from dataclasses import dataclass
from typing import Final

import streamlit as st

from engine.analysis.watched import watched_probes
from engine.domain.corpus import PROBE_KINDS, Corpus
from engine.domain.decisions import CURRICULUM_INFOS, STOPPING_INFOS, DecisionSettings
from engine.domain.measures import MEASURE_TITLES, MEASURES, Measure
from engine.domain.numbers import duration, plural

MEASURE_HELP: Final[dict[Measure, str]] = {
    "influence": "how far influence on the answer moved between nodes; nodes with more influence count more",
    "edge_similarity": "how far the shares of the edges changed, in strength and sign",
    "node_jaccard": "which nodes belong to the circuit, however large their influence",
    "edge_jaccard": "which edges belong to the circuit, however strong they are",
}
_DEFAULTS: Final = DecisionSettings()
_TRACE_S: Final = 0.25  # of one prompt on the demo's model, on one core, with what is measured beside it


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
        "Trace circuits while it trains", value=needed, disabled=needed, key=f"decision watch {needed}",
        help="At every checkpoint, so that you see them change, and when and where answers were learned. Always on, "
        "for circuits alone, where the stopping rule or the sampling needs it.",
    )  # fmt: skip
    kind = st.selectbox(
        "Probe kind", list(PROBE_KINDS), index=list(PROBE_KINDS).index(_DEFAULTS.probe_kind),
        format_func=lambda kind: f"{PROBE_KINDS[kind].title}: {PROBE_KINDS[kind].help}",
        help="Stopping and sampling go by the scores of these probes. Their prompts are the ones that are traced.",
    )  # fmt: skip
    measure = st.selectbox(
        "Measure of circuit change", MEASURES, format_func=MEASURE_TITLES.__getitem__, help=measures_help()
    )
    left, right = st.columns(2)
    patience = left.number_input(
        "Patience", min_value=1, max_value=100, value=_DEFAULTS.patience,
        help="How many checkpoints in a row must meet the stopping rule.",
    )  # fmt: skip
    n_prompts = right.number_input(
        "Prompts per type", min_value=1, max_value=100, value=_DEFAULTS.n_prompts,
        help="How many prompts of each constraint type are traced. With one there is no noise floor, and no circuit "
        "counts as settled.",
    )  # fmt: skip
    settings = _DEFAULTS.model_copy(
        update={"patience": patience, "probe_kind": kind, "measure": measure, "n_prompts": n_prompts}
    )
    return Decided(watch=wanted and not needed, settings=settings, watched=wanted or needed)


def measures_help() -> str:
    """One line a measure, for a help text."""
    return "\n".join(f"- **{MEASURE_TITLES[measure]}**: {MEASURE_HELP[measure]}" for measure in MEASURES)


def cost(corpus: Corpus, settings: DecisionSettings) -> str:
    """What watching takes, in words; empty where the corpus has no probes of the kind."""
    n = len(watched_probes(corpus, settings.probe_kind, settings.n_prompts))
    if not n:
        return ""
    return (
        f"Traces {plural(n, 'prompt')} at every checkpoint while training goes on: about {duration(n * _TRACE_S)} each "
        "time with the demo's model."
    )
