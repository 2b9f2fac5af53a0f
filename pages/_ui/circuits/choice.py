"""What the Circuits page shows: a run, two of its checkpoints, how large a circuit is and how it is chosen.

All of it is in the URL.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import streamlit as st

from engine.analysis.components.selection import EDGE_RULES, EdgeRule, How
from engine.domain.components import CIRCUIT_SHARE
from engine.domain.edge_measures import EDGE_MEASURES, EdgeMeasure, Metric
from engine.domain.numbers import plural, step_name
from engine.domain.runs import Checkpoint
from engine.figures.map_view import DEEP
from pages._ui import url
from pages._ui.circuits.data import ways_for
from pages._ui.circuits.pairs import fitting_corpora
from pages._ui.demo import RUN_A
from pages._ui.graphs.picking import Picking
from pages._ui.pickers import pick
from pages._ui.session import store

PAGE = "circuits"
MODES: Final = {"map": "Map", "graphs": "Side by side", "difference": "Difference"}
PICKING = Picking(PAGE, key="circuit graphs")
_SHARES: Final = (0.01, 0.2)
_SHARE_HELP = (
    "How much of the model is called the circuit: this share of all edges, the strongest first. Edges that are on no "
    "path from input to output are then dropped."
)

_POINTS = (
    "Circuits of this run were found with several numbers of points between the corrupted and the clean input. Those "
    "at most checkpoints are shown unless you choose others, of equally many the newest."
)


@dataclass(frozen=True)
class CircuitChoice:
    """The selection of the page."""

    run: str
    a: Checkpoint
    b: Checkpoint
    share: float  # of all edges
    how: How
    mode: str  # a key of MODES
    metric: Metric
    pairs: str  # the corpus that the pairs come from; empty where none has any that fit
    n_steps: int | None  # points that circuits were found with; None: none were yet


def choose(runs: Sequence[str], *, default: str) -> CircuitChoice:
    """One row of widgets above the graphs."""
    with st.container(key="choices"):  # theme.css: it wraps where it is narrow
        boxes = st.columns([2, 1.5, 1.5, 2.1, 2.6, 3.1, 1.3], vertical_alignment="bottom", gap="small")
    with boxes[0]:
        run = _pick_run(runs, default)
    checkpoints = {checkpoint.label: checkpoint for checkpoint in store().checkpoints(run)}
    labels = list(checkpoints)

    def name(label: str) -> str:
        return step_name(checkpoints[label].step)

    with boxes[1]:
        a = pick(PAGE, "a", labels, label="A", what="checkpoint", default=labels[0], show=name)
    with boxes[2]:
        b = pick(PAGE, "b", labels, label="B", what="checkpoint", default=labels[-1], show=name)
    with boxes[3]:
        share = _pick_share()
    with boxes[4]:
        rules = {name: rule.label for name, rule in EDGE_RULES.items()}
        how = _segments("how", "Edges chosen", rules, "top", explain=_explained(EDGE_RULES))
    with boxes[5]:
        mode = _segments("mode", "View", MODES, _first_mode(run))
    with boxes[6]:
        metric, pairs, n_steps = _settings(run)
    url.write(PAGE, run=run, a=a, b=b, share=f"{share:g}", how=how, mode=mode, metric=metric)
    return CircuitChoice(
        run, checkpoints[a], checkpoints[b], share, how, mode, metric, pairs, n_steps
    )  # fmt: skip


def _first_mode(run: str) -> str:
    """Of a deep model the Map tells more at a glance than its graphs."""
    n_layers = store().n_layers(store().run(run).model)
    return "map" if n_layers is not None and n_layers > DEEP else "graphs"


def _pick_run(runs: Sequence[str], default: str) -> str:
    key = f"{PAGE} run"
    st.session_state[key] = url.allowed(PAGE, "run", runs, default, "run")

    def changed() -> None:
        run = st.session_state[key]
        there = {checkpoint.label for checkpoint in store().checkpoints(run)}
        url.forget(PAGE, "pairs", "steps", *(name for name in "ab" if url.read(PAGE, name) not in there))
        url.write(PAGE, run=run)

    st.selectbox("Run", runs, key=key, on_change=changed)
    return str(st.session_state[key])


def _pick_share() -> float:
    key = f"{PAGE} share"
    given = url.number(PAGE, "share", *_SHARES, CIRCUIT_SHARE)
    st.session_state[key] = min(20, max(1, round(100 * given)))

    def changed() -> None:
        url.write(PAGE, share=f"{st.session_state[key] / 100:g}")

    st.slider("Share of edges", 1, 20, key=key, format="%d%%", on_change=changed, help=_SHARE_HELP)
    return float(st.session_state[key]) / 100


def _segments(name: str, label: str, options: Mapping[str, str], default: str, *, explain: str = "") -> str:
    key = f"{PAGE} {name}"
    st.session_state[key] = url.allowed(PAGE, name, list(options), default, label.lower())
    st.segmented_control(
        label, list(options), key=key, format_func=options.__getitem__, required=True, on_change=url.changed,
        args=(PAGE, name, key), help=explain or None,
    )  # fmt: skip
    return str(st.session_state[key])


def _settings(run: str) -> tuple[str, str, int | None]:
    """Metric, corpus and points, which rarely need to be changed."""
    with st.popover("Settings", icon=":material/tune:", type="tertiary"):
        metric = pick(
            PAGE, "metric", list(EDGE_MEASURES), label="Edge measure", what="edge measure", default="logit_diff",
            show=lambda metric: EDGE_MEASURES[metric].label, explain=_explained(EDGE_MEASURES),
        )  # fmt: skip
        pairs = _pick_pairs(run)
        return metric, pairs, _pick_points(run, pairs, metric)


def _pick_points(run: str, pairs: str, metric: Metric) -> int | None:
    """Of those that circuits were found with, where there are several."""
    ways = {str(one.settings.n_steps): one for one in reversed(ways_for(store(), run, pairs, metric))}
    names = list(reversed(ways))
    if len(names) < 2:
        url.forget(PAGE, "steps")
        return int(names[0]) if names else None
    chosen = pick(
        PAGE, "steps", names, label="Found by", what="number of points", default=names[0],
        show=lambda name: f"{ways[name].settings.method}, at {plural(len(ways[name].steps), 'checkpoint')}",
        explain=_POINTS,
    )  # fmt: skip
    url.write_unless(PAGE, "steps", chosen, names[0])
    return int(chosen)


def _pick_pairs(run: str) -> str:
    """Those that fit; what an address asks for is named beside them, and then refused where it does not."""
    there = fitting_corpora(store(), run)
    asked = url.read(PAGE, "pairs")
    if (
        asked is not None
        and asked not in there
        and any(info.name == asked and info.has_pairs for info in store().corpora())
    ):
        there = [*there, asked]
    if not there:
        return ""
    pairs = pick(PAGE, "pairs", there, label="Prompt pairs from", what="corpus with pairs of prompts", default=there[0])
    url.write_unless(PAGE, "pairs", pairs, there[0])
    return pairs


def _explained(options: Mapping[str, EdgeMeasure] | Mapping[str, EdgeRule]) -> str:
    """A help text: what each of them is."""
    return "\n\n".join(f"**{one.label}**: {one.explanation}." for one in options.values())


def default_run(runs: Sequence[str]) -> str:
    """One whose circuits are there, else the bundled one, else the first."""
    found = dict.fromkeys(key.run for key in store().component_keys())
    return next((run for run in (*found, RUN_A) if run in runs), runs[0])
