"""A graph as text: what it answers, how well it is explained, and its largest edges. Without pandas."""

import numpy as np

from engine.analysis.pruning import contributions, prune
from engine.cli.output import say, show_table
from engine.domain.feature_names import FeatureNames
from engine.domain.graphs import FIT_LIMIT, AttributionGraph, NodeKind, PruneSettings
from engine.domain.words import token_name
from engine.figures.fit_text import score_text
from engine.figures.names import visible

TOP = 15  # edges shown to a person


def show_graph(graph: AttributionGraph, settings: PruneSettings, called: FeatureNames) -> None:
    """What the checkpoint answers, and the edges that contribute most to it."""
    show_side(graph)
    kept = prune(graph, settings)
    n_nodes, n_edges = int(kept.node_mask.sum()), int(kept.edge_mask.sum())
    say(f"{n_nodes} of {graph.n_nodes} nodes and {n_edges} of {graph.n_edges} edges kept.")
    worth, names = contributions(graph), node_names(graph, called)
    order = [row for row in np.argsort(-worth, kind="stable").tolist() if kept.edge_mask[row]][:TOP]
    show_table(
        ("from", "to", "weight", "contribution"),
        [
            (names[graph.source[row]], names[graph.target[row]], float(graph.weight[row]), float(worth[row]))
            for row in order
        ],
        title=f"The {len(order)} edges that contribute most to the output",
    )


def show_side(graph: AttributionGraph) -> None:
    """The checkpoint, its most probable targets, and how well its graph explains it."""
    order = sorted(range(len(graph.target_tokens)), key=lambda row: -graph.target_probability[row])[:4]
    answers = ", ".join(f"{visible(graph.target_tokens[row])} {graph.target_probability[row]:.2f}" for row in order)
    weak = f" (below {FIT_LIMIT}: read with care)" if graph.fit.replacement < FIT_LIMIT else ""
    say(f"{graph.key.checkpoint}: {answers}. Replacement score {score_text(graph.fit.replacement)}{weak}.")


def node_names(graph: AttributionGraph, called: FeatureNames) -> list[str]:
    """(n_nodes,) `L2 #217 on “blarf” (4)`: layer, feature, the token that it stands on and its position; then its
    label."""
    names = []
    for row, token in enumerate(graph.node_tokens()):
        kind, word = NodeKind(int(graph.kind[row])), f"“{token_name(token)}”"
        if kind is NodeKind.LOGIT:
            names.append(f"output {word}")
        elif kind is NodeKind.TOKEN:
            names.append(f"token {word} ({graph.position[row]})")
        else:
            what = f"#{graph.index[row]}" if kind is NodeKind.FEATURE else "error"
            label = called.label(int(graph.layer[row]), int(graph.index[row])) if kind is NodeKind.FEATURE else None
            said = "" if label is None else f": {label.text}" if label.automatic else f": “{label.text}”"
            names.append(f"L{graph.layer[row]} {what} on {word} ({graph.position[row]}){said}")
    return names
