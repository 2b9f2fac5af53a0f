"""Which logit a difference explains, and what its change came through: sentences for people. Pure.

The change of a logit is that of what runs through one place, plus that of what does not: no path runs through a layer
at a token twice, nor does it step from one token to another twice. So of every figure that a sentence names it tells
what did not come that way, and the two are the whole. Figures of two places are never added: paths share both. An
embedding, where all paths begin, may have a larger figure than any place in a layer: the sentence is about layers.
"""

from collections.abc import Callable, Sequence

import pandas as pd

from engine.analysis.acted import ABOVE_MEAN, MINUS_MEAN
from engine.analysis.headline import Piece, headline
from engine.analysis.origins import Origins, left_out_note, origins
from engine.analysis.parts import move_table, place_table, said_output
from engine.analysis.word_pieces import TokenSpan, unit, words
from engine.domain.corpus import Probe
from engine.domain.diffs import MEAN_COLUMNS, ExplainedChange, GraphDiff
from engine.domain.explained import ExplainedLogits
from engine.domain.graphs import AttributionGraph
from engine.domain.numbers import decimal, rounded, signed
from engine.domain.words import token_name

CUT = "Stored before parts were measured: some edges are not kept. Trace again to have them all."
_Table = Callable[[AttributionGraph, AttributionGraph, ExplainedLogits, Sequence[TokenSpan]], pd.DataFrame]


def notes(diff: GraphDiff, known: Origins | None = None) -> tuple[str, ...]:
    """What has to be known of the figures of a difference, beside its sentences. `known`: where what is explained comes
    from, of a mean."""
    is_cut = not (diff.a.is_measured_whole and diff.b.is_measured_whole)
    return tuple(filter(None, (left_out_note(known or origins(diff)), CUT if is_cut else "", ABOVE_MEAN)))


def explained_logits(diff: GraphDiff) -> ExplainedLogits:
    """Whose flows and parts the difference has."""
    return diff.settings.explained or said_output(diff.b)


def sentences(
    diff: GraphDiff, probe: Probe | None = None, spans: Sequence[TokenSpan] | None = None
) -> tuple[tuple[Piece, ...], ...]:
    """What both sides answer; then what is explained, and what its change came through (`carried_sentence`)."""
    carried = carried_sentence(diff, spans)
    return headline(diff, probe), (*explained_sentence(diff), *(((" ", False), *carried) if carried else ()))


def explained_sentence(diff: GraphDiff) -> tuple[Piece, ...]:
    """`Explained is the logit of smiles, minus the mean logit: 0.52 in A, 10.31 in B.`, and a common scale, if any."""
    change = diff.explained
    if change.is_same:
        lead, unit = _named(diff)
        end = f"{unit}: {decimal(change.b)} in both. "
        return (lead, False), (change.words, True), (end, False), *same_sentence(diff)
    end = f": {decimal(change.a)} in A, {decimal(change.b)} in B."
    if change.scale != 1:
        end += f" Most of what enters it changed by one factor, ×{decimal(change.scale)}, which is no change."
    lead, unit = _named(diff)
    return (lead, False), (change.words, True), (unit + end, False)


def same_sentence(diff: GraphDiff) -> tuple[Piece, ...]:
    """Where nothing but rounding differs, that it is so; else nothing."""
    if not diff.explained.is_same:
        return ()
    prompts = "answers to these prompts" if _is_mean(diff) else "answer to this prompt"
    return ((f"A and B give the same {prompts}, and nothing in their graphs differs by more than rounding.", False),)


def _named(diff: GraphDiff) -> tuple[str, str]:
    """What stands before and behind the words of what is explained."""
    if _is_mean(diff):
        return "Explained is the mean logit of the ", MINUS_MEAN
    explained = explained_logits(diff)
    one = len(explained.tokens) == 1
    return ("Explained is the logit of ", MINUS_MEAN) if one else ("Explained is ", ", in logits")


def carried_sentence(diff: GraphDiff, spans: Sequence[TokenSpan] | None = None) -> tuple[Piece, ...]:
    """What most of the change came through: one place, and one step from word to word, or from token to token where
    `spans` are the pieces of words.

    Empty for a mean circuit, which is no graph, and where a graph was measured only after its edges were cut: then what
    they carried is not known.
    """
    if _is_mean(diff) or not (diff.a.is_measured_whole and diff.b.is_measured_whole):
        return ()
    joined = words(diff.a.tokens)
    can_join, shown = len(joined) < len(diff.a.tokens), joined if spans is None else spans
    places, moves = (_changed(diff, measure, shown) for measure in (place_table, move_table))
    return came_through(diff.explained, places, moves, shown, can_join=can_join)


def came_through(
    change: ExplainedChange,
    places: pd.DataFrame,
    moves: pd.DataFrame,
    spans: Sequence[TokenSpan],
    *,
    can_join: bool,
) -> tuple[Piece, ...]:
    """`places`: layer, position, change; `moves`: source, target, change; positions are those that `spans` begin at.

    `can_join`: whether some word has several tokens, so that it is told which of both is meant.
    """
    if change.is_same:
        return ()
    total, between = change.total, f"between {unit(spans, can_join=can_join)}s"
    if abs(total) < change.limit:
        return _hardly(places, total, change.limit, spans)
    place, move = (_largest(table, total, change.limit) for table in (places, moves))
    named = []
    if place is not None:
        against = _against(places, place, lambda row: f"through {_place(row, spans)}")
        figures = f"{signed(place['change'])}{_rest(total, place)}{against}"
        named.append(f"among the layers most came through {_place(place, spans)}: {figures}")
    if move is not None:
        against = _against(moves, move, lambda row: f"from {_ends(row, spans)}")
        figures = f"{signed(move['change'])}{_rest(total, move)}{against}"
        named.append(f"{between} most came from {_ends(move, spans)}: {figures}")
    if not named:
        return ((f"No one place and no step {between} makes as much of its change as counts.", False),)
    whole = "Of the " if change.scale == 1 else "Of what changed beyond this, "
    return (whole, False), (signed(total), True), (f", {'; '.join(named)}.", False)


def strongest_move(diff: GraphDiff, spans: Sequence[TokenSpan]) -> pd.Series | None:
    """The row of `move_table`, with its `change`, that moved most in the direction of the whole; None where it is less
    than counts."""
    return _largest(_changed(diff, move_table, spans), diff.explained.total, diff.explained.limit)


def _changed(diff: GraphDiff, measure: _Table, spans: Sequence[TokenSpan]) -> pd.DataFrame:
    table = measure(diff.a, diff.b, explained_logits(diff), spans)
    return table.assign(change=table["b"] - diff.explained.scale * table["a"])


def _hardly(places: pd.DataFrame, total: float, limit: float, spans: Sequence[TokenSpan]) -> tuple[Piece, ...]:
    largest = places.iloc[int(places["change"].abs().argmax())] if len(places) else None
    if largest is None or abs(largest["change"]) < limit:
        return (("Neither it nor what runs through any one place changed by as much as counts.", False),)
    through = f"{signed(largest['change'])} came through {_place(largest, spans)}{_rest(total, largest)}"
    return ((f"It hardly changed ({signed(total)}), but what carries it did: {through}.", False),)


def _largest(table: pd.DataFrame, total: float, limit: float) -> pd.Series | None:
    """The row that changed most in the direction of the whole, where that is as much as counts."""
    along = table[(table["change"] * total > 0) & (table["change"].abs() >= limit)]
    return None if along.empty else along.iloc[int(along["change"].abs().argmax())]


def _against(table: pd.DataFrame, along: pd.Series, named: Callable[[pd.Series], str]) -> str:
    """The largest of all, where it works against the whole: in a picture it is what is seen first."""
    largest = table.iloc[int(table["change"].abs().argmax())]
    if abs(largest["change"]) <= abs(along["change"]):
        return ""
    return f", against {signed(largest['change'])} {named(largest)}"


def _is_mean(diff: GraphDiff) -> bool:
    return MEAN_COLUMNS[0] in diff.nodes


def _place(row: pd.Series, spans: Sequence[TokenSpan]) -> str:
    return f"layer {int(row['layer'])} at {_token(spans, int(row['position']))}"


def _ends(move: pd.Series, spans: Sequence[TokenSpan]) -> str:
    return " to ".join(_token(spans, int(move[end])) for end in ("source", "target"))


def _token(spans: Sequence[TokenSpan], position: int) -> str:
    """With its position where the prompt has it twice."""
    words = {span.first: token_name(span.text) for span in spans}
    return f"“{words[position]}”" + (f" ({position})" if list(words.values()).count(words[position]) > 1 else "")


def _rest(total: float, row: pd.Series) -> str:
    """What did not come that way, of the numbers as they are written."""
    return f" ({signed(rounded(total) - rounded(row['change']))} did not)"
