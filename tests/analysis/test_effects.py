"""What a graph predicts for changed features: by hand, and against the definition node by node."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from engine.analysis.effects import effect_of_change, predicted_effect
from engine.domain.graphs import AttributionGraph, NodeKind
from tests.analysis.micro_graphs import micro_a, random_graph

F5, F7, F3 = "feature/0/1/5", "feature/0/1/7", "feature/1/1/3"  # activation 1.5 each


@pytest.mark.parametrize(
    ("features", "factor", "change"),
    [
        # f5 off: f3 changes by 3 x -1, that is by -3 / 1.5 = -2 of itself; yes by 3 x -2
        ([F5], 0.0, (-6.0, 0.0)),
        # f7 tripled (r = 2): f3 by -1 x 2 -> r -4/3; f4 by 1 x 2 -> r 4/3; yes 3 x -4/3 - 4/3, no 4/3
        ([F7], 3.0, (-16 / 3, 4 / 3)),
        # f3 was set itself and keeps its r = -1 although f5 acts on it
        ([F5, F3], 0.0, (-3.0, 0.0)),
        ([F5, F7], 1.0, (0.0, 0.0)),
        ([F5], 0.99, (-0.06, 0.0)),
        # what the graph does not have, or is no feature, predicts nothing
        (["feature/0/1/99", "feature/9/9/9"], 0.0, (0.0, 0.0)),
        ([], 0.0, (0.0, 0.0)),
    ],
)
def test_by_hand(features: list[str], factor: float, change: tuple[float, float]) -> None:
    assert predicted_effect(micro_a(), features, factor) == pytest.approx(change)


def by_definition(graph: AttributionGraph, changed: set[str], factor: float) -> list[float]:
    """The two sums of the module's docstring, asked for node by node."""
    ids = graph.node_ids()

    @cache
    def change(row: int) -> float:
        into = np.flatnonzero(graph.target == row)
        return sum(float(graph.weight[edge]) * fraction(int(graph.source[edge])) for edge in into)

    @cache
    def fraction(row: int) -> float:
        if ids[row] in changed:
            return factor - 1
        return change(row) / float(graph.activation[row]) if graph.kind[row] == NodeKind.FEATURE else 0.0

    return [change(row) for row in np.flatnonzero(graph.kind == NodeKind.LOGIT).tolist()]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("factor", [0.0, 2.5])
def test_as_the_definition_says(seed: int, factor: float) -> None:
    graph = random_graph(seed, n_layers=4, density=0.2)
    rng = np.random.default_rng(seed)
    activation = np.where(graph.kind == NodeKind.FEATURE, rng.uniform(0.5, 3, graph.n_nodes), 0).astype(np.float32)
    shuffled = rng.permutation(graph.n_edges)  # nothing may depend on the order in which edges are stored
    graph = replace(
        graph, activation=activation, source=graph.source[shuffled], target=graph.target[shuffled],
        weight=graph.weight[shuffled],
    )  # fmt: skip
    features = [node for node in graph.node_ids() if node.startswith("feature/")]
    changed = set(rng.choice(features, 7, replace=False))
    np.testing.assert_allclose(predicted_effect(graph, list(changed), factor), by_definition(graph, changed, factor))
    assert any(predicted_effect(graph, list(changed), factor))


def test_the_effect_of_a_change_takes_the_mean_of_what_both_graphs_know() -> None:
    found = effect_of_change(
        np.array([2.0, 2.0, -1.0, 3.0]), (np.array([1.0, 0.0, 4.0, 0.0]), np.array([3.0, 5.0, 0.0, 0.0]))
    )
    assert found.tolist() == [4.0, 10.0, -4.0, 0.0]
