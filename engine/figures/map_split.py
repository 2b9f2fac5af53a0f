"""How the parts of where training acted came about over training: by word, cumulated; by bands of layers, a stretch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.analysis.word_pieces import TokenSpan
from engine.figures.graph_view import short
from engine.figures.names import visible

MOST_BANDS = 8
N_WORDS = 5  # that have a color; the others are one
EXACT = 9  # digits: rounded again where they are written, they are what sentences and tables say
OTHERS = -1  # in the place of a column


@dataclass(frozen=True)
class Band:
    """Rows `first` to `last` of the map, both included."""

    label: str
    first: int
    last: int


@dataclass(frozen=True, eq=False)
class Split:
    """The stretches of training between `names`; columns are of the map, OTHERS for all that are not named."""

    names: tuple[str, ...]  # (n_stretches + 1,) the checkpoints
    columns: tuple[int, ...]  # the largest first
    labels: tuple[str, ...]
    by_word: np.ndarray  # (n_columns, n_stretches + 1) cumulated, from 0
    bands: tuple[Band, ...]  # from below
    by_band: np.ndarray  # (n_bands, n_stretches)

    def payload(self) -> dict[str, Any]:
        return {
            "names": list(self.names),
            "words": [
                {"label": label, "column": column, "values": [short(value, EXACT) for value in values]}
                for label, column, values in zip(self.labels, self.columns, self.by_word.tolist(), strict=True)
            ],
            "bands": [
                vars(band) | {"values": [short(value, EXACT) for value in values]}
                for band, values in zip(self.bands, self.by_band.tolist(), strict=True)
            ],
        }


def split(places: np.ndarray, spans: Sequence[TokenSpan], names: Sequence[str], n_layers: int) -> Split:
    """`places`: (n_stretches, n_layers + 2, n_columns) of single stretches; `names`: of the checkpoints."""
    by_column = np.concatenate([np.zeros((1, len(spans))), places.sum(1)]).cumsum(0).T  # (n_columns, n_checkpoints)
    order = [int(column) for column in np.argsort(-np.abs(by_column[:, -1]), kind="stable") if by_column[column].any()]
    # Two that are left are no more to read than “other words” is.
    named = order if len(order) <= N_WORDS + 1 else order[:N_WORDS]
    rest = by_column[[column for column in order if column not in named]].sum(0)
    others = [rest] if len(named) < len(order) else []
    found = [band for band in bands(n_layers) if places[:, band.first : band.last + 1].any()]
    return Split(
        names=tuple(names),
        columns=(*named, *([OTHERS] * len(others))),
        labels=(*(visible(spans[column].text) for column in named), *(["other words"] * len(others))),
        by_word=np.array([*by_column[named], *others]).reshape(-1, len(names)),
        bands=tuple(found),
        by_band=np.array([places[:, band.first : band.last + 1].sum((1, 2)) for band in found]).reshape(
            len(found), len(places)
        ),
    )


def bands(n_layers: int) -> list[Band]:
    """Layers in at most MOST_BANDS of one size, where that divides them; embeddings and output of their own."""
    least = -(-n_layers // MOST_BANDS)
    size = next((size for size in range(least, 2 * least) if n_layers % size == 0), least)
    found = [Band("Emb", 0, 0)]
    for first in range(0, n_layers, size):
        last = min(first + size, n_layers) - 1
        found.append(Band(f"L{first}" if first == last else f"L{first}–{last}", first + 1, last + 1))
    return [*found, Band("Out", n_layers + 1, n_layers + 1)]
