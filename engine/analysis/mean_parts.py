"""What carries the right answers of many prompts, on average: parts by layer and slot, and what moves between slots.

Each prompt has the parts of its own right answer's logit, from its whole graph; its positions become slots
(`engine.analysis.slots`), and a prompt without a slot counts as 0. Means of parts add up as the parts of one prompt do.
Pure.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from engine.analysis.aggregate import Part
from engine.analysis.carried import came_through, explained_logits
from engine.analysis.headline import Piece
from engine.analysis.mean_graph import RIGHT_ANSWER
from engine.analysis.origins import Origins, mean_origins, origins
from engine.analysis.parts import moved_parts, place_parts, reads_of_move, token_parts
from engine.analysis.slots import Alignment, align, probe_slots
from engine.analysis.word_pieces import TokenSpan, pieces
from engine.domain.acted import EMBEDDING_LAYER
from engine.domain.diffs import ExplainedChange

STANDARD_ERRORS = 2.0  # a mean change within so many of 0 may be chance


@dataclass(frozen=True, eq=False)
class MeanParts:
    """In logits. `places`: (2, n_layers + 1, n_spans) in A and in B, the embeddings first; `moves`: (2, n_spans,
    n_spans) to and from; of both the standard error of the change, over prompts."""

    spans: tuple[TokenSpan, ...]  # of slots
    can_join: bool  # whether some word has several slots
    places: np.ndarray
    moves: np.ndarray
    place_error: np.ndarray  # (n_layers + 1, n_spans)
    move_error: np.ndarray  # (n_spans, n_spans)
    is_whole: bool  # whether every graph was measured before its edges were cut
    origins: Origins | None  # the means; None where some are not known


def mean_parts(parts: Sequence[Part], scale: float, *, joined: bool = True) -> MeanParts:
    """`parts`: the prompts that `engine.analysis.aggregate` averages, `scale`: as it explains them.

    `joined`: a word that is read in pieces is one place.
    """
    slots = _aligned(parts)
    spans = slots.words if joined else pieces(slots.names)
    of_span = np.repeat(np.arange(len(spans)), [len(span.positions) for span in spans])
    places, moves = [], []
    for (_, diff), row in zip(parts, slots.rows, strict=True):
        explained, to_span = explained_logits(diff), np.eye(len(spans))[of_span[row]]  # (n_pos, n_spans)
        graphs = (diff.a, diff.b)
        grids = [np.vstack([token_parts(graph, explained), place_parts(graph, explained)]) for graph in graphs]
        places.append([grid @ to_span for grid in grids])
        moves.append([to_span.T @ moved_parts(graph, explained) @ to_span for graph in graphs])
    known = [one for _, diff in parts if (one := origins(diff)) is not None]
    of_places, of_moves = np.array(places), np.array(moves)  # (n_prompts, 2, …)
    return MeanParts(
        spans=tuple(spans),
        can_join=len(slots.words) < len(slots.names),
        places=of_places.mean(0),
        moves=of_moves.mean(0),
        place_error=_error(of_places, scale),
        move_error=_error(of_moves, scale),
        is_whole=all(graph.is_measured_whole for _, diff in parts for graph in (diff.a, diff.b)),
        origins=mean_origins(known, RIGHT_ANSWER) if len(known) == len(parts) else None,
    )


def mean_reads(parts: Sequence[Part], source: TokenSpan, target: TokenSpan) -> np.ndarray:
    """(2, n_layers + 2) in A and in B: as of `reads_of_move`, the mean over the prompts. The spans are of slots."""
    found = []
    for (_, diff), row in zip(parts, _aligned(parts).rows, strict=True):
        ends = [np.flatnonzero(np.isin(row, list(span.positions))).tolist() for span in (source, target)]
        found.append([reads_of_move(graph, explained_logits(diff), *ends) for graph in (diff.a, diff.b)])
    mean: np.ndarray = np.array(found).mean(0)
    return mean


def mean_sentence(change: ExplainedChange, found: MeanParts) -> tuple[Piece, ...]:
    """What most of the mean change came through, of what may hardly be chance; `change`: of the mean circuit.

    Empty where a graph was measured only after its edges were cut.
    """
    if not found.is_whole:
        return ()
    places, moves = _place_table(found, change.scale), _move_table(found, change.scale)
    places, moves = (table[table["change"].abs() > STANDARD_ERRORS * table["error"]] for table in (places, moves))
    return came_through(change, places[places["layer"] != EMBEDDING_LAYER], moves, found.spans, can_join=found.can_join)


def mean_record(found: MeanParts, scale: float) -> dict[str, list[dict[Hashable, Any]]]:
    """places (layer, slot, token, a, b, error), moves (source, target, source_token, target_token, a, b, error): the
    largest change first; slots by number and name, −1 the embeddings; `error`: the standard error of the change."""
    names = {span.first: span.text for span in found.spans}
    places, moves = _place_table(found, scale), _move_table(found, scale)
    places.insert(2, "token", places["position"].map(names))
    for place, end in ((2, "source"), (3, "target")):
        moves.insert(place, f"{end}_token", moves[end].map(names))
    tables = {"places": places.rename(columns={"position": "slot"}), "moves": moves}
    return {
        name: table.loc[table["change"].abs().sort_values(ascending=False, kind="stable").index]
        .drop(columns="change")
        .to_dict("records")
        for name, table in tables.items()
    }


def _place_table(found: MeanParts, scale: float) -> pd.DataFrame:
    """layer, position (slot), a, b, change, error."""
    row, column = np.nonzero((found.places != 0).any(0))
    at = {"layer": row + EMBEDDING_LAYER, "position": _firsts(found)[column]}
    return _table(at, found.places[:, row, column], found.place_error[row, column], scale)


def _move_table(found: MeanParts, scale: float) -> pd.DataFrame:
    """source, target (slots), a, b, change, error: what stays at its own slot is left out."""
    across = 1 - np.eye(len(found.spans))
    target, source = np.nonzero((found.moves != 0).any(0) & (across > 0))
    at = {"source": _firsts(found)[source], "target": _firsts(found)[target]}
    return _table(at, found.moves[:, target, source], found.move_error[target, source], scale)


def _firsts(found: MeanParts) -> np.ndarray:
    return np.array([span.first for span in found.spans])


def _table(at: dict[str, np.ndarray], values: np.ndarray, error: np.ndarray, scale: float) -> pd.DataFrame:
    """`values`: (2, n) in A and in B."""
    a, b = values
    return pd.DataFrame({**at, "a": a, "b": b, "change": b - scale * a, "error": error})


def _aligned(parts: Sequence[Part]) -> Alignment:
    return align([probe_slots(probe, diff.a.tokens) for probe, diff in parts], begin_mark=parts[0][1].a.tokens[0])


def _error(values: np.ndarray, scale: float) -> np.ndarray:
    """Of the mean change of `values` (n_prompts, 2, …)."""
    change = values[:, 1] - scale * values[:, 0]
    found: np.ndarray = change.std(0, ddof=1) / np.sqrt(len(change)) if len(change) > 1 else np.zeros(change.shape[1:])
    return found
