"""The Map of where training acted: on one prompt, its words across; on many, their roles across, on average."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.analysis.acted import ABOVE_MEAN, BETWEEN_RUNS, BY_TRAINING, ESTIMATED, is_by_training
from engine.analysis.acted_mean import ROLE_NAMES, ActedMean
from engine.analysis.mean_graph import RIGHT_ANSWER
from engine.analysis.means import student
from engine.analysis.prompt_circuits import Role
from engine.analysis.word_pieces import TokenSpan, pieces, summed, words
from engine.domain.acted import EMBEDDING_LAYER, Acted
from engine.domain.numbers import percent, plural, signed, step_name
from engine.figures.graph_view import checkpoint_title
from engine.figures.map_split import split
from engine.figures.map_view import EMBEDDINGS, OUTPUT, MapFrame, MapPanel, MapView, bold_words
from engine.figures.names import visible


def acted_view(acted: Acted, steps: Sequence[int | None], *, joined: bool = True, taught: str = "") -> MapView:
    """Where training acted. `steps`: of `acted.key.checkpoints`; `taught`: the new word, set in bold.

    A frame a stretch: what was changed from the first checkpoint to the end of the stretch.
    """
    spans = words(acted.tokens) if joined else pieces(acted.tokens)
    places = np.array([summed(acted.places([stretch]), spans) for stretch in acted.stretches])
    names = _names(acted.key.checkpoints, steps)
    told = [
        _Told(f"{visible(acted.answer)} {signed(end.after - acted.before)}", _left(end.after - acted.before, total))
        for end, total in zip(acted.stretches, places.sum((1, 2)).cumsum().tolist(), strict=True)
    ]
    trained = is_by_training(acted.key.checkpoints)
    frames = _acted_frames(places, told, steps, names, _title(trained))
    return _acted(
        places, frames, spans, bold_words(spans, taught), names, acted.answer,
        can_join=len(words(acted.tokens)) < len(acted.tokens), by_training=trained,
    )  # fmt: skip


def acted_mean_view(mean: ActedMean, steps: Sequence[int | None]) -> MapView:
    """Where training acted on the right answers of many prompts, on average; columns are roles. `steps`: of
    `mean.checkpoints`."""
    by_word = mean.parts.sum(-1)  # (n_words, n_stretches, n_layers + 2, n_roles)
    roles = tuple(ROLE_NAMES.values())
    spans = tuple(TokenSpan(role, role, name) for role, name in enumerate(roles))
    names = _names(mean.checkpoints, steps)
    told = []
    for upto in range(1, len(names)):
        change, low, high = student(mean.until(upto).change)
        total = float(by_word[:, :upto].sum((1, 2, 3)).mean())
        spread = f" ({signed(low)} to {signed(high)})" if np.isfinite(low) else ""
        spreads = tuple(_spread(*student(one)) for one in by_word[:, :upto].sum((1, 2)).T)
        told.append(_Told(f"{RIGHT_ANSWER} {signed(change)}{spread}", _left(change, total), spreads))
    trained = is_by_training(mean.checkpoints)
    title = f"{_title(trained)}, mean over {plural(len(mean.words), 'word')}"
    frames = _acted_frames(by_word.mean(0), told, steps, names, title)
    bold = tuple(name == ROLE_NAMES[Role.WORD] for name in roles)
    return _acted(
        by_word.mean(0), frames, spans, bold, names, f"the {RIGHT_ANSWER}", can_join=False, by_training=trained
    )


def _title(by_training: bool) -> str:  # noqa: FBT001 - as one reads it
    return BY_TRAINING if by_training else BETWEEN_RUNS


@dataclass(frozen=True)
class _Told:
    """Of what was changed up to the end of a stretch."""

    change: str  # of what
    left: str  # what the parts do not add up to
    spreads: tuple[str, ...] = ()


def _names(checkpoints: Sequence[str], steps: Sequence[int | None]) -> list[str]:
    """Short where all are of one run."""
    one_run = len({ref.partition("@")[0] for ref in checkpoints}) == 1
    return [
        step_name(step) if one_run and step is not None else checkpoint_title(ref, step)
        for ref, step in zip(checkpoints, steps, strict=True)
    ]


def _acted_frames(
    places: np.ndarray, told: Sequence[_Told], steps: Sequence[int | None], names: Sequence[str], title: str
) -> tuple[MapFrame, ...]:
    """`places`: (n_stretches, n_rows, n_columns) of single stretches."""
    n_columns = places.shape[-1]
    return tuple(
        MapFrame(
            step=steps[number + 1],
            name=names[number + 1],
            titles=(title,),
            places=upto[None],
            moves=np.zeros((1, n_columns, n_columns)),
            totals=upto.sum(0),
            facts=(f"{names[0]} to {names[number + 1]} · {end.change}{end.left}",),
            tops=(end.change,),
            spreads=end.spreads,
            notes=(ABOVE_MEAN, ESTIMATED),
        )
        for number, (upto, end) in enumerate(zip(places.cumsum(0), told, strict=True))
    )


def _acted(
    places: np.ndarray, frames: tuple[MapFrame, ...], spans: tuple[TokenSpan, ...], bold: tuple[bool, ...],
    names: Sequence[str], explained: str, *, can_join: bool, by_training: bool,
) -> MapView:  # fmt: skip
    n_layers = places.shape[1] - 2
    return MapView(
        picture="acted",
        spans=spans,
        bold=bold,
        first_layer=EMBEDDING_LAYER,
        rows=(EMBEDDINGS, *(f"L{layer}" for layer in range(n_layers)), OUTPUT),
        panels=(MapPanel("acted", "change"),),
        frames=frames,
        words=explained,
        split=split(places, spans, names, n_layers),
        can_join=can_join,
        by_training=by_training,
    )


def _left(change: float, total: float) -> str:
    share = abs(change - total) / abs(change) if change else 0.0
    return f", its parts make all but {percent(share, 1)}" if share >= 5e-4 else ""


def _spread(mean: float, low: float, high: float) -> str:
    """`+6.2 to +9.6`, as exactly as the mean is drawn; empty where it is not known."""
    digits = 1 if abs(mean) >= 0.95 else 2
    return f"{signed(low, digits)} to {signed(high, digits)}" if np.isfinite(low) else ""
