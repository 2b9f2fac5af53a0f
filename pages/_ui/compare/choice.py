"""The parts of Compare around the graphs: what is chosen, the sentence on top, the place in training."""

from collections.abc import Sequence
from functools import partial

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from engine.analysis.acted import ABOVE_MEAN
from engine.analysis.carried import CUT, sentences
from engine.analysis.curves import telling_kinds
from engine.analysis.headline import Piece
from engine.analysis.origins import Origins, origins
from engine.analysis.word_pieces import TokenSpan
from engine.domain.corpus import PROBE_KINDS
from engine.domain.diffs import GraphDiff
from engine.domain.numbers import plural, step_name
from engine.domain.runs import Checkpoint
from engine.domain.words import listed
from engine.figures.charts import mini_curves
from engine.figures.fit_text import low_fit
from engine.figures.map_view import DEEP
from engine.workflows.prompt_groups import probe_groups
from engine.workflows.same_base import comparable, why_not_comparable
from pages._ui import url
from pages._ui.cached import scores
from pages._ui.charts import draw, kept_chart
from pages._ui.compare.data import default_prompt, learned_most, probes_of, traced_prompts
from pages._ui.compare.doubts import doubts
from pages._ui.compare.mean_circuit import chosen_count, group_named
from pages._ui.compare.prompt_box import group_options, prompt_box
from pages._ui.compare.selection import FORMER_VIEWS, PAGE, VIEWS, Selection
from pages._ui.pickers import checkpoint_picker
from pages._ui.session import store
from pages._ui.text import plain


def choose(runs: Sequence[str], *, default_a: str, default_b: str) -> tuple[Selection, str]:
    """One row: A, B, the prompt or many, how it is shown."""
    above = st.container()
    with st.container(key="choices"):  # theme.css: it wraps where it is narrow
        side_a, side_b, middle, right = st.columns([2.9, 2.9, 3.6, 4], vertical_alignment="bottom", gap="small")
    with side_a:
        a = checkpoint_picker(store(), PAGE, "a", runs=runs, default=default_a, chosen=_other_base)
    with side_b:
        b = _pick_b(a, runs, default_b, refused=above)
    probes = probes_of(store(), a.run, b.run)
    traced = traced_prompts(store(), a.ref, b.ref)
    groups = probe_groups(store(), a.ref, b.ref)
    with middle:
        subject = prompt_box(
            store(), PAGE, probes, runs=(a.run, b.run), groups=group_options(groups, chosen_count()), traced=traced,
            default=default_prompt(probes, traced, "" if traced else learned_most(store(), probes, a, b)),
        )  # fmt: skip
    group = group_named(groups, subject)
    with right:
        view = _view(_first_view(a, traced=group is not None or subject in traced))
    url.write(PAGE, a=a.ref, b=b.ref, prompt=subject, view=view.lower())
    prompt = "" if group else subject
    return Selection(a=a, b=b, prompt=prompt, probe=probes.get(prompt), group=group), view


def _pick_b(a: Checkpoint, runs: Sequence[str], default: str, *, refused: DeltaGenerator) -> Checkpoint:
    """Of the runs with A's base model. One of another base that an address asks for is refused with the reason."""
    offered = comparable(store(), a.run, runs)
    own = store().checkpoints(a.run)[-1].ref
    if default.partition("@")[0] not in offered:
        default = own
    asked = (url.read(PAGE, "b") or "").partition("@")[0]
    if asked in runs and asked not in offered:
        refused.warning(plain(f"{why_not_comparable(store(), a.run, asked)} Shown instead: {own}."))
        url.forget(PAGE, "b")
        default = own
    left_out = len(runs) - len(offered)
    others = f"{plural(left_out, 'run')} with another base model than {plain(a.run)}’s cannot be compared with it."
    return checkpoint_picker(
        store(), PAGE, "b", runs=offered, default=default, explain=others if left_out else ""
    )  # fmt: skip


def _other_base(run: str) -> None:
    """A was picked: where B is of another base model, the run is compared with itself before training instead."""
    b = (url.read(PAGE, "b") or "").partition("@")[0]
    if not b or comparable(store(), run, [b]):
        return
    checkpoints = store().checkpoints(run)
    url.forget(PAGE, "prompt", "marks")
    url.write(PAGE, a=checkpoints[0].ref, b=checkpoints[-1].ref)


def _first_view(checkpoint: Checkpoint, *, traced: bool) -> str:
    """Of a deep model the Map tells more at a glance than its graphs; without graphs it says where training acted."""
    if not traced:
        return "map"
    n_layers = store().n_layers(store().run(checkpoint.run).model)
    return "graphs" if n_layers is not None and n_layers <= DEEP else "map"


def _view(first: str) -> str:
    """`first`: the view where the address asks for none."""
    key = f"{PAGE} view"
    names = {view.lower(): view for view in VIEWS}
    asked = url.allowed(PAGE, "view", [*names, *FORMER_VIEWS], first, "view")
    st.session_state[key] = names[FORMER_VIEWS.get(asked, asked)]
    st.segmented_control(
        "View", VIEWS, key=key, required=True, label_visibility="collapsed", on_change=url.changed,
        args=(PAGE, "view", key, str.lower),
    )  # fmt: skip
    return str(st.session_state[key])


def sentence(diff: GraphDiff, selection: Selection, spans: Sequence[TokenSpan] | None = None) -> None:
    """What the two sides answer, what is explained; a plain warning where a graph explains its checkpoint badly.

    `spans`: what is told apart; else words.
    """
    answers, carried = sentences(diff, selection.probe, spans)
    told(diff, selection, answers, carried, origins(diff))


def told(
    diff: GraphDiff, selection: Selection, answers: Sequence[Piece], carried: Sequence[Piece], known: Origins | None
) -> None:
    """`answers`: what both sides answer; `carried`: what is explained, and what its change came through; `known`: where
    it comes from."""
    with st.container(key="sentences", gap=None):  # theme.css: close to each other
        st.markdown(markdown(answers), width="stretch")
        explanation(diff, carried)
    warn(diff, selection, known)


def warn(diff: GraphDiff, selection: Selection, known: Origins | None) -> None:
    """Where graphs explain little, or rest on little."""
    if warning := low_fit({"A": diff.a, "B": diff.b}):
        st.warning(warning, icon=":material/warning:")
    doubts(diff, selection, known)


def explanation(diff: GraphDiff, carried: Sequence[Piece]) -> None:
    """Whose parts and flows are shown, once for all of them; and what is not known of them."""
    cut = any(not graph.is_measured_whole for graph in (diff.a, diff.b))
    st.caption(
        markdown(carried) + (f" {plain(CUT)}" if cut else ""), help=f"{ABOVE_MEAN} {_CUT_HELP}" if cut else ABOVE_MEAN
    )


_CUT_HELP = (
    "The smallest edges of these graphs were cut when they were stored. What those carried counts as a constant here, "
    "and an edge that only one side has a figure for is “not kept”: whether it changed is not known. Settings trace "
    "them again."
)


def markdown(pieces: Sequence[Piece]) -> str:
    """A sentence of the engine's, its emphasis bold."""
    return "".join(f"**{plain(text)}**" if strong else plain_piece(text) for text, strong in pieces)


def plain_piece(text: str) -> str:
    """`plain`, with the spaces at both ends that join it to its neighbours."""
    lead, trail = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return lead + plain(text) + trail


_SIGNS = {"circle": "●", "square": "■", "triangle-up": "▲", "diamond": "◆"}  # by mark of a probe kind


def over_training(selection: Selection, *, height: int) -> None:
    """Accuracy of both runs, of the two probe kinds that tell most, with the chosen checkpoints marked."""
    kinds = telling_kinds(scores(store(), side.run) for side in (selection.a, selection.b))
    shown = [PROBE_KINDS[kind] for kind in kinds]
    badges = [f":{kind.badge}-badge[{_SIGNS[kind.mark]} {kind.title}]" for kind in shown]
    st.markdown(" ".join(["**Over training**", *badges]))
    sides = (("A", selection.a), ("B", selection.b))
    for column, (side, checkpoint) in zip(st.columns(2, gap="small"), sides, strict=True):
        with column:
            st.caption(f"{side} · {plain(checkpoint.run)} · {step_name(checkpoint.step)}")
            found = scores(store(), checkpoint.run)
            if found.empty:
                st.caption("No probes were measured.")
                continue
            _mini(found, kinds, checkpoint.step, height - 40, key=f"mini {side}")


def _mini(found: pd.DataFrame, kinds: Sequence[str], step: int, height: int, *, key: str) -> None:
    draw(
        kept_chart(partial(mini_curves, found, kinds=kinds, cursor=step, height=height)),
        key=key, alt=f"Accuracy on {listed(kinds)} probes over training, {step_name(step)} marked.",
    )  # fmt: skip
