"""The parts of Compare around the graphs: what is chosen, the sentence on top, the table, the place in training."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from engine.analysis.headline import headline
from engine.domain.diffs import DiffSettings, GraphDiff
from engine.domain.graphs import FIT_LIMIT, PruneSettings
from engine.domain.runs import Checkpoint
from engine.figures.charts import mini_curves
from engine.figures.graph_view import pair_view
from engine.figures.tables import edge_table, to_csv
from pages._ui import url
from pages._ui.cached import draw, scores, stamp
from pages._ui.compare_data import Selection, default_prompt, probes_of, traced_prompts
from pages._ui.errors import guarded
from pages._ui.jobs_panel import sidebar_open
from pages._ui.linked_graphs import linked_graphs
from pages._ui.node_detail import node_detail
from pages._ui.pickers import checkpoint_picker, prompt_picker
from pages._ui.session import store
from pages._ui.table import edge_table_widget, status_chips
from pages._ui.text import CURVE_LEGEND, plain

MODES = ("Graphs", "Overlay", "Table")
GRAPH_PX = 250  # with everything around it the page then fits 1280 × 720


def choose(page: str, runs: Sequence[str], *, default_a: str, default_b: str) -> tuple[Selection, str, DiffSettings]:
    """One row: A, B, the prompt, how it is shown, the settings."""
    widths = [2.7, 2.7, 3.6, 3.2, 0.8] if sidebar_open() else [3, 3, 4.5, 2.7, 0.8]
    side_a, side_b, prompt_box, mode_box, settings_box = st.columns(widths, vertical_alignment="bottom", gap="small")
    with side_a:
        a = checkpoint_picker(store(), page, "a", runs=runs, default=default_a)
    with side_b:
        b = checkpoint_picker(store(), page, "b", runs=runs, default=default_b)
    probes = probes_of(store(), a.run, b.run)
    traced = traced_prompts(store(), a.ref, b.ref)
    with prompt_box:
        prompt = prompt_picker(page, probes, traced=traced, default=default_prompt(probes, traced))
    with mode_box:
        mode = _mode(page)
    with settings_box:
        settings = _settings()
    url.write(page, a=a.ref, b=b.ref, prompt=prompt, view=mode.lower())
    return Selection(a=a, b=b, prompt=prompt, probe=probes.get(prompt)), mode, settings


def _mode(page: str) -> str:
    key = f"{page} view"
    shown = url.allowed(page, "view", [mode.lower() for mode in MODES], "graphs", "view")
    st.session_state[key] = shown.capitalize()
    st.segmented_control(
        "View", MODES, key=key, required=True, label_visibility="collapsed", on_change=url.changed,
        args=(page, "view", key, str.lower),
    )  # fmt: skip
    return str(st.session_state[key])


def _settings() -> DiffSettings:
    default = DiffSettings()
    with st.popover("", icon=":material/tune:", help="What is kept, and what counts as a change"):
        node = st.slider("Nodes: share of influence kept", 0.05, 1.0, default.prune.node_threshold, 0.05)
        edge = st.slider("Edges: share of influence kept", 0.5, 1.0, default.prune.edge_threshold, 0.01)
        change = st.slider("Smallest change that counts", 0.0, 0.05, default.min_change, 0.001, format="%.3f")
    return DiffSettings(prune=PruneSettings(node_threshold=node, edge_threshold=edge), min_change=change)


def sentence(diff: GraphDiff, selection: Selection) -> None:
    """What the two sides answer; a plain warning where a graph explains its checkpoint badly."""
    pieces = headline(diff, selection.probe)
    st.markdown(
        "".join(f"**{plain(text)}**" if strong else plain_piece(text) for text, strong in pieces), width="stretch"
    )
    for name, graph in (("A", diff.a), ("B", diff.b)):
        if graph.fit.replacement < FIT_LIMIT:
            st.warning(
                f"Only {100 * graph.fit.replacement:.0f} % of {name}'s computation runs through features "
                f"(replacement score under {FIT_LIMIT}). Read its graph with care: much of what it does hides in "
                "error nodes. Transcoders that have seen this checkpoint would explain it better.",
                icon=":material/warning:",
            )


def plain_piece(text: str) -> str:
    """`plain`, with the spaces at both ends that join it to its neighbours."""
    lead, trail = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return lead + plain(text) + trail


def graphs(diff: GraphDiff, selection: Selection, mode: str) -> str | None:
    """The linked graphs; the id of the selected node."""
    view = pair_view(
        diff, probe=selection.probe, loss_a=selection.a.state.smoothed_loss, loss_b=selection.b.state.smoothed_loss
    )
    return linked_graphs(view, key="graphs", mode="overlay" if mode == "Overlay" else "pair", height=GRAPH_PX)


def differences(diff: GraphDiff, selection: Selection, *, height: int) -> None:
    """Counts by status, the table ranked by change, its download."""
    rows = edge_table(diff)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**What differs** {status_chips(diff.summary.edges)}", width="stretch")
        st.download_button(
            "CSV", lambda: to_csv(rows), file_name=f"{selection.a.ref}-{selection.b.ref}.csv".replace("%", ""),
            mime="text/csv", icon=":material/download:", on_click="ignore", type="tertiary",
        )  # fmt: skip
    edge_table_widget(rows, height=height, key="edges")


@guarded()
def beside(diff: GraphDiff, selection: Selection, node: str | None, *, height: int) -> None:
    """The selected node; where none is, where the two checkpoints stand in training."""
    if node:
        node_detail(diff, node, height=height)
        return
    over_training(selection, height=height)


def over_training(selection: Selection, *, height: int) -> None:
    """Paraphrase and inference accuracy of both runs, with the chosen checkpoints marked."""
    st.markdown(f"**Over training** {CURVE_LEGEND}")
    sides = (("A", selection.a), ("B", selection.b))
    for column, (side, checkpoint) in zip(st.columns(2, gap="small"), sides, strict=True):
        with column:
            st.caption(f"{side} · {plain(checkpoint.run)} · step {checkpoint.step}")
            found = scores(store(), checkpoint.run)
            if found.empty:
                st.caption("No probes were measured.")
                continue
            _mini(found, checkpoint, height - 40, key=f"mini {side}")


def _mini(found: pd.DataFrame, checkpoint: Checkpoint, height: int, *, key: str) -> None:
    draw(
        lambda: mini_curves(found, cursor=checkpoint.step, height=height),
        "mini", str(store().workspace), checkpoint.ref, stamp(store(), checkpoint.run), height,
        key=key,
    )  # fmt: skip
