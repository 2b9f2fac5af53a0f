"""Differences of two graphs as text: sentences and the largest edges."""

from collections.abc import Iterable

from engine.analysis.acted import MINUS_MEAN
from engine.analysis.carried import carried_sentence, explained_logits, explained_sentence
from engine.analysis.headline import as_text, headline
from engine.analysis.mean_parts import MeanParts, mean_sentence
from engine.cli.one_graph_text import TOP, node_names, show_side
from engine.cli.output import say, show_table
from engine.domain.corpus import Probe
from engine.domain.diffs import CHANGE, FLOW, SHARE, WEIGHT, GraphDiff, edge_effect, without_unknown
from engine.domain.feature_names import FeatureNames
from engine.domain.numbers import decimal, signed
from engine.figures.tables import CHANGE_TITLE, CHANGED, edge_table


def show_diff(diff: GraphDiff, probe: Probe | None, called: FeatureNames) -> None:
    """What both sides answer, how alike their graphs are, and the edges that changed most."""
    say(as_text(headline(diff, probe)))
    show_side(diff.a)
    show_side(diff.b)
    summary = diff.summary
    say(
        f"Nodes in common {summary.node_jaccard:.2f}, edges in common {summary.edge_jaccard:.2f} (Jaccard), "
        f"edge similarity {summary.edge_similarity:.2f} (weighted)."
    )
    say(_explained(diff))
    if carried := carried_sentence(diff):
        say(as_text(carried))
    show_table(("", *summary.edges), [("nodes", *summary.nodes.values()), ("edges", *summary.edges.values())])
    if diff.explained.is_same:
        return
    names: dict[str, str] = {}
    for side in (diff.a, diff.b):
        names |= zip(side.node_ids(), node_names(side, called), strict=True)
    order = diff.edges[CHANGE].abs().sort_values(ascending=False, kind="stable").index[:TOP]
    fields = [
        "source",
        "target",
        *(column[side] for column in (WEIGHT, SHARE, FLOW) for side in "ab"),
        "effect",
        "status",
    ]
    top = without_unknown(diff.edges).assign(effect=edge_effect(diff.edges)).loc[order, fields].values.tolist()
    show_table(
        ("from", "to", "weight a", "weight b", "share a", "share b", "flow a", "flow b", "effect of change", "status"),
        [(names[source], names[target], *values) for source, target, *values in top],
        title=f"The {len(top)} edges whose change does most to “{diff.explained.words}”",
    )


def _explained(diff: GraphDiff) -> str:
    """Which logit, and what counts as a change of what leads to it."""
    change = diff.explained
    if change.is_same:
        return as_text(explained_sentence(diff))
    less = MINUS_MEAN if len(explained_logits(diff).tokens) == 1 else ""
    text = f"Explained: the logit of “{change.words}”{less}, {signed(change.a)} in A and {signed(change.b)} in B. "
    if change.scale != 1:
        text += f"Most of what enters it grew by one factor, {decimal(change.scale)}, which is no change. "
    text += f"A change counts from {decimal(change.limit, 3)} of {decimal(change.moved)} logits that moved. "
    text += change.effect
    cut = [name for name, graph in (("A", diff.a), ("B", diff.b)) if not graph.is_whole]
    if cut:
        text += f" The stored graph of {' and '.join(cut)} was cut: trace again to know what is “not kept”."
    return text


def show_mean(mean: GraphDiff, carried: MeanParts, called: FeatureNames) -> None:
    """A mean circuit of many prompts: how both sides answer on average, what the change came through, and the edges
    that changed most."""
    say(as_text(headline(mean)))
    told = (*explained_sentence(mean), (" ", False), *mean_sentence(mean.explained, carried))
    say(as_text(told))
    show_side(mean.a)
    show_side(mean.b)
    show_table(
        ("", *mean.summary.edges), [("nodes", *mean.summary.nodes.values()), ("edges", *mean.summary.edges.values())]
    )
    if mean.explained.is_same:
        return
    top = edge_table(mean, statuses=CHANGED, most=TOP, names=called)
    values = [_with_spread(top[f"in {side.upper()}"], top[f"spread_{side}"]) for side in "ab"]
    change = _with_spread(top[CHANGE_TITLE], top["spread_change"])
    show_table(
        ("from", "to", "flow a", "flow b", "effect of change", "prompts", "status"),
        list(zip(top["from"], top["to"], *values, change, top["n"].tolist(), top["status"], strict=True)),
        title=f"The {len(top)} edges whose change does most on average (± standard deviation over prompts)",
    )


def _with_spread(values: Iterable[float], spreads: Iterable[float]) -> list[str]:
    return [f"{signed(value, 3)} ± {decimal(spread, 3)}" for value, spread in zip(values, spreads, strict=True)]
