"""The part of a run's report that shows one stored comparison."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Literal

from markupsafe import Markup

from engine.analysis.carried import sentences
from engine.analysis.diff import diff_graphs
from engine.analysis.headline import Piece
from engine.domain.diffs import STATUSES
from engine.domain.errors import Damaged, NotFound
from engine.domain.feature_names import FeatureNames
from engine.domain.graphs import Comparison, ComparisonKey
from engine.domain.runs import Checkpoint
from engine.export.map_svg import map_svg
from engine.export.svg import graph_svg
from engine.figures.fit_text import few_read, low_fit
from engine.figures.graph_view import GraphView, checkpoint_title, pair_view
from engine.figures.map_view import DEEP, carried_view, taught_word
from engine.figures.palette import STATUS
from engine.figures.tables import CHANGED, edge_table
from engine.store import Store

_ROWS = 12
_WIDTH, _HEIGHT = 1000, 430  # of the picture; it is scaled to the page


@dataclass(frozen=True)
class ComparisonPart:
    """What the template shows."""

    key: ComparisonKey
    explained: str  # `happy`
    names: tuple[str, str]  # of the checkpoints
    sentences: tuple[tuple[Piece, ...], ...]
    map: Markup  # what carries the answer
    pictures: tuple[Markup, ...]  # both graphs, then what differs; none of a deep model, where they show little
    rows: list[dict[Hashable, Any]]
    effect: str  # how it is known what a change does
    is_same: bool  # but for rounding
    counts: dict[str, int]
    colours: dict[str, str]  # by status
    replacement: tuple[float, float]
    warning: str  # empty where both graphs explain their checkpoints well, by transcoders that have read enough


def comparison_part(store: Store, comparison: Comparison) -> ComparisonPart:
    """Raises Damaged, NotFound (a graph is gone), ComparisonRefused."""
    key = comparison.key
    diff = diff_graphs(*store.graph_pair(comparison.graph_a, comparison.graph_b))
    probe = store.probe_with([ref.partition("@")[0] for ref in (key.a, key.b)], key.prompt)
    sides = [_checkpoint(store, ref) for ref in (key.a, key.b)]
    losses, steps = (
        [store.loss_words(one) if one else "" for one in sides],
        [one.step if one else None for one in sides],
    )
    view = pair_view(diff, probe=probe, loss_a=losses[0], loss_b=losses[1], step_a=steps[0], step_b=steps[1])
    names = store.feature_names(diff.a.key.transcoders_hash)
    pictures = () if diff.a.n_layers > DEEP else _graphs(view, names)
    at = {ref: step for ref, step in zip((key.a, key.b), steps, strict=True) if step is not None}
    carried = carried_view([(None, diff)], at, taught=taught_word(probe))
    titles = (checkpoint_title(key.a, steps[0]), checkpoint_title(key.b, steps[1]))
    graphs = ((f"A ({titles[0]})", diff.a), (f"B ({titles[1]})", diff.b))
    return ComparisonPart(
        key=key,
        explained=diff.explained.words,
        names=titles,
        sentences=sentences(diff, probe, carried.spans),
        map=Markup(map_svg(carried, width=_WIDTH)),  # noqa: S704 - written through an XML tree
        pictures=pictures,
        rows=edge_table(diff, statuses=CHANGED, most=_ROWS, names=names).to_dict("records"),
        effect=diff.explained.effect,
        is_same=diff.explained.is_same,
        counts={status: diff.summary.edges[status] for status in STATUSES if diff.summary.edges[status]},
        colours=dict(STATUS),
        replacement=(diff.a.fit.replacement, diff.b.fit.replacement),
        warning=" ".join(filter(None, (low_fit(dict(graphs)), _few_read(store, key.transcoders)))),
    )


def _few_read(store: Store, transcoders: str) -> str:
    meta = next((one for one in store.transcoder_sets() if one.name == transcoders), None)
    return few_read(meta) if meta else ""


def _graphs(view: GraphView, names: FeatureNames) -> tuple[Markup, ...]:
    sides: tuple[Literal["pair", "overlay"], ...] = ("pair", "overlay")
    drawn = (graph_svg(view, side=side, names=names, width=_WIDTH, height=_HEIGHT) for side in sides)
    return tuple(map(Markup, drawn))  # written through an XML tree


def _checkpoint(store: Store, ref: str) -> Checkpoint | None:
    try:
        return store.checkpoint(ref)
    except (NotFound, Damaged):
        return None
