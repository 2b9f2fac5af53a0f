"""The Map: a difference at a glance, as what its component draws. Layers up, words across, a signed mark a place.

Two pictures: *where training acted* (parts of the change of a logit, by `engine.domain.acted`), beside how they came
about over training; and *what carries the answer* (parts of the logit in A, in B, and what they differ by, on one
scale, with what moves between words). Everything that can be stepped through (checkpoints) comes as frames.

The payload is plain JSON. Text in it is text: the component never takes it as HTML. Values that are too small to be
seen are not in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from engine.analysis.carried import explained_logits, notes
from engine.analysis.mean_graph import RIGHT_ANSWER
from engine.analysis.mean_parts import MeanParts
from engine.analysis.origins import Origins, marks_note, origins
from engine.analysis.parts import moved_parts, output_ids, place_parts, token_parts
from engine.analysis.slots import NEW_WORD
from engine.analysis.word_pieces import TokenSpan, pieces, summed, unit, words
from engine.domain.acted import EMBEDDING_LAYER
from engine.domain.corpus import PROBE_KINDS, Probe
from engine.domain.diffs import GraphDiff
from engine.domain.graphs import AttributionGraph
from engine.domain.numbers import decimal, percent, signed, step_name
from engine.figures import palette
from engine.figures.fit_text import low_fit
from engine.figures.graph_view import DEEP as DEEP
from engine.figures.graph_view import Sent, checkpoint_title, short
from engine.figures.map_split import EXACT, Split
from engine.figures.names import visible

Picture = Literal["acted", "carried", "heads"]
LEAST_MARK = 0.01  # of the largest: a smaller mark is a pixel or two wide
LEAST_MOVE = 0.1  # of the largest: thinner arcs are no help
MOST_MOVES = 10  # arcs of one panel
EMBEDDINGS, OUTPUT = "Emb", "Out"


@dataclass(frozen=True)
class MapPanel:
    """One map. `colors`: of what raises and what lowers."""

    name: Literal["acted", "a", "b", "change"]
    colors: Literal["sign", "change"]  # green and purple, or orange and blue


@dataclass(frozen=True, eq=False)
class MapFrame:
    """What one step shows: values by panel, (n_panels, n_rows, n_columns) and (n_panels, n_columns, n_columns)."""

    step: int | None
    name: str  # of the step, in words
    titles: tuple[str, ...]  # by panel
    places: np.ndarray
    moves: np.ndarray  # to and from
    totals: np.ndarray | None  # (n_columns,) where parts of one column add up
    facts: tuple[str, ...]  # by panel
    tops: tuple[str, ...]  # by panel: what the whole comes to
    spreads: tuple[str, ...] = ()  # by column: the intervals of totals that are means
    notes: tuple[str, ...] = ()  # what has to be known of its figures
    marks: str = ""  # what a mark is

    @property
    def told(self) -> tuple[str, ...]:
        """What a picture without a page around it says below."""
        return tuple(filter(None, (self.marks, *self.notes)))

    @property
    def largest(self) -> tuple[float, float]:
        """|value| of a place and of a move that is drawn."""
        return _most(self.places), _most(self.moves)


@dataclass(frozen=True, eq=False)
class MapView(Sent):
    """What the component is given, and what pictures and tables are made from."""

    picture: Picture
    spans: tuple[TokenSpan, ...]  # the columns
    bold: tuple[bool, ...]  # (n_columns,) the words that were taught
    first_layer: int  # of the lowest row
    rows: tuple[str, ...]  # from below
    panels: tuple[MapPanel, ...]
    frames: tuple[MapFrame, ...]  # in the order of training; the last is the whole
    words: str  # what is explained; of heads, what they have an effect on
    split: Split | None  # over training
    can_join: bool  # whether some word has several pieces
    by_training: bool = (
        True  # of where training acted; else two runs are laid side by side, and it is where they differ
    )
    scale: tuple[float, float] | None = None  # `largest` of the frames that it had; None: of those that it has

    def payload(self) -> dict[str, Any]:
        """JSON-able, without NaN or infinity."""
        largest = self.largest
        return {
            "picture": self.picture,
            "by_training": self.by_training,
            "columns": [
                {"label": visible(span.text), "first": span.first, "last": span.last, "bold": bold}
                for span, bold in zip(self.spans, self.bold, strict=True)
            ],
            "rows": list(self.rows),
            "first_layer": self.first_layer,
            "panels": [vars(panel) for panel in self.panels],
            "frames": [_frame(frame, *largest) for frame in self.frames],
            "largest": [short(value, EXACT) for value in largest],
            "least": LEAST_MARK,
            "words": visible(self.words),
            "unit": self.unit,
            "split": self.split.payload() if self.split else None,
            "description": self.description,
            "palette": palette.GRAPH,
            "series": list(palette.SERIES),
        }

    def place_of_step(self, step: int | None) -> int:
        """Of the frame at this step, or the nearest; without a step the last."""
        if step is None:
            return len(self.frames) - 1
        return min(range(len(self.frames)), key=lambda place: abs((self.frames[place].step or 0) - step))

    def until(self, frame: int) -> "MapView":
        """With the frames up to this one alone, which is then the last; drawn on the same scale as with all."""
        return replace(self, frames=self.frames[: frame + 1], scale=self.largest)

    @property
    def largest(self) -> tuple[float, float]:
        """|value| of a place and of a move: one scale for all panels and frames."""
        if self.scale is not None:
            return self.scale
        places, moves = (
            max(sizes, default=0.0) or 1e-9 for sizes in zip(*(one.largest for one in self.frames), strict=True)
        )
        return places, moves

    def sizes(self) -> tuple[str, str]:
        """`the largest is 1.25` of a place, `the thickest is 0.50` of an arc: of what is drawn, the last frame; where
        other steps go further, with what all are drawn by."""
        place, move = (
            f"is {decimal(here)}" + (f" (of all steps {decimal(most)})" if decimal(here) != decimal(most) else "")
            for here, most in zip(self.frames[-1].largest, self.largest, strict=True)
        )
        return f"the largest {place}", f"the thickest {move}"

    @property
    def unit(self) -> str:
        """What a column is called in tables: `word`, or `token` where words stand in their pieces."""
        return "head or MLP" if self.picture == "heads" else unit(self.spans, can_join=self.can_join)

    @property
    def description(self) -> str:
        """What is drawn, in words: the largest places and moves of the last panel."""
        frame = self.frames[-1]
        told = [f"{frame.tops[-1]}. The largest places:"]
        for row, column in _largest(frame.places[-1], 5):
            told.append(f"{self.place_name(row, column)} {signed(frame.places[-1, row, column])};")
        for target, source in _largest(frame.moves[-1], 3):
            ends = " to ".join(visible(self.spans[column].text) for column in (source, target))
            told.append(f"from {ends} {signed(frame.moves[-1, target, source])};")
        told.append("Arrow keys move between places, Enter selects, P pins, F fills the screen, Escape clears.")
        return " ".join(told)

    def place_name(self, row: int, column: int) -> str:
        """`L3 · blarf`"""
        return f"{self.rows[row]} · {visible(self.spans[column].text)}"


def carried_view(
    diffs: Sequence[tuple[int | None, GraphDiff]],
    steps: Mapping[str, int],
    *,
    joined: bool = True,
    taught: str = "",
) -> MapView:
    """What carries the answer in A, in B, and what it differs by. `diffs`: with their steps; the last is shown first.

    `steps`: of checkpoints by their names, for the titles. All explain the same logit.
    """
    last = diffs[-1][1]
    tokens = last.a.tokens
    spans = words(tokens) if joined else pieces(tokens)
    return _carried(
        [_carried_frame(step, diff, spans, steps) for step, diff in diffs], last, spans, taught,
        can_join=len(words(tokens)) < len(tokens),
    )  # fmt: skip


def mean_view(found: MeanParts, mean: GraphDiff, steps: Mapping[str, int]) -> MapView:
    """What carries the right answers of many prompts, on average; words are slots. `mean`: their mean circuit."""
    facts = (f"probability {percent(_right(graph))} on average" for graph in (mean.a, mean.b))
    frame = _frame_of(
        None,
        mean,
        list(found.places),
        list(found.moves),
        (*facts, "orange: more in B · blue: less in B"),
        steps,
        found.origins,
    )
    return _carried([frame], mean, found.spans, NEW_WORD, can_join=found.can_join)


def _right(mean: AttributionGraph) -> float:
    return float(mean.target_probability[mean.target_tokens.index(RIGHT_ANSWER)])


def _carried(
    frames: Sequence[MapFrame], last: GraphDiff, spans: Sequence[TokenSpan], taught: str, *, can_join: bool
) -> MapView:
    return MapView(
        picture="carried",
        spans=tuple(spans),
        bold=bold_words(spans, taught),
        first_layer=EMBEDDING_LAYER,
        rows=(EMBEDDINGS, *(f"L{layer}" for layer in range(last.a.n_layers))),
        panels=(MapPanel("a", "sign"), MapPanel("b", "sign"), MapPanel("change", "change")),
        frames=tuple(frames),
        words=last.explained.words,
        split=None,
        can_join=can_join,
    )


def _carried_frame(step: int | None, diff: GraphDiff, spans: Sequence[TokenSpan], steps: Mapping[str, int]) -> MapFrame:
    explained, graphs = explained_logits(diff), (diff.a, diff.b)
    places = [
        summed(np.vstack([token_parts(graph, explained), place_parts(graph, explained)]), spans) for graph in graphs
    ]
    moves = [summed(summed(moved_parts(graph, explained), spans).T, spans).T for graph in graphs]
    facts = (*(_facts(graph, diff) for graph in graphs), "orange: more in B · blue: less in B")
    return _frame_of(step, diff, places, moves, facts, steps, origins(diff))


def _frame_of(
    step: int | None, diff: GraphDiff, places: Sequence[np.ndarray], moves: Sequence[np.ndarray],
    facts: tuple[str, ...], steps: Mapping[str, int], found: Origins | None,
) -> MapFrame:  # fmt: skip
    """`places`, `moves`: in A and in B."""
    change = diff.explained
    sides = (
        f"{name} · {checkpoint_title(graph.key.checkpoint, steps.get(graph.key.checkpoint))}"
        for name, graph in (("A", diff.a), ("B", diff.b))
    )
    factor = "" if change.scale == 1 else f"{decimal(change.scale)} × "
    return MapFrame(
        step=step,
        name="" if step is None else step_name(step),
        titles=(*sides, f"B − {factor}A"),
        places=np.array([*places, changed(diff, *places)]),
        moves=(1 - np.eye(moves[0].shape[0])) * np.array([*moves, changed(diff, *moves)]),
        totals=None,
        facts=facts,
        tops=(
            *(f"{visible(change.words)} {decimal(logit)}" for logit in (change.a, change.b)),
            f"{visible(change.words)} {signed(change.total)}",
        ),
        marks=marks_note(change.words, found),
        notes=tuple(filter(None, (low_fit({"A": diff.a, "B": diff.b}), *notes(diff, found)))),
    )


def changed(diff: GraphDiff, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """B beyond A, on the common scale; nothing where only rounding differs."""
    return np.zeros_like(b) if diff.explained.is_same else b - diff.explained.scale * a


def _facts(graph: AttributionGraph, diff: GraphDiff) -> str:
    """How probable the answer is; nothing of a contrast."""
    explained = explained_logits(diff)
    if explained.against:
        return ""
    probability = dict(zip(output_ids(graph), graph.target_probability.tolist(), strict=True))
    return f"probability {percent(sum(probability[token] for token in explained.answers))}"


def taught_word(probe: Probe | None) -> str:
    """The new word that a prompt's probe asks about; empty where there is none."""
    return probe.constraint if probe is not None and not PROBE_KINDS[probe.kind].known_words else ""


def bold_words(spans: Sequence[TokenSpan], taught: str) -> tuple[bool, ...]:
    return tuple(bool(taught) and visible(span.text) == taught for span in spans)


def _frame(frame: MapFrame, largest_place: float, largest_move: float) -> dict[str, Any]:
    """Of places and moves those that are seen in any panel, a list a panel."""
    row, column = np.nonzero((np.abs(frame.places) >= LEAST_MARK * largest_place).any(0))
    shown = seen_moves(frame, largest_move)
    target, source = np.nonzero(shown.any(0))
    return {
        "step": frame.step,
        "name": frame.name,
        "titles": list(frame.titles),
        "facts": list(frame.facts),
        "tops": list(frame.tops),
        "largest": [short(value, EXACT) for value in frame.largest],
        "totals": None if frame.totals is None else [short(value, EXACT) for value in frame.totals.tolist()],
        "spreads": list(frame.spreads),
        "places": {
            "row": row.tolist(),
            "column": column.tolist(),
            "values": [[short(value, EXACT) for value in panel[row, column].tolist()] for panel in frame.places],
        },
        "moves": {
            "source": source.tolist(),
            "target": target.tolist(),
            "values": [[short(value, EXACT) for value in panel[target, source].tolist()] for panel in frame.moves],
            "drawn": [panel[target, source].tolist() for panel in shown],
        },
    }


def seen_moves(frame: MapFrame, largest: float) -> np.ndarray:
    """(n_panels, n_columns, n_columns) bool: the few that are drawn in each panel."""
    sizes = np.abs(frame.moves)
    flat = np.sort(sizes.reshape(len(sizes), -1), axis=1)[:, ::-1]
    least = flat[:, min(MOST_MOVES, flat.shape[1]) - 1]
    return (sizes >= np.maximum(least, LEAST_MOVE * largest)[:, None, None]) & (sizes > 0)


def _most(values: np.ndarray) -> float:
    return float(np.abs(values).max(initial=0))


def _largest(values: np.ndarray, n: int) -> list[tuple[int, int]]:
    """Where the n largest |values| stand, without zeros."""
    order = np.argsort(-np.abs(values), axis=None, kind="stable")[:n]
    found = (divmod(int(place), values.shape[1]) for place in order)
    return [(row, column) for row, column in found if values[row, column]]
