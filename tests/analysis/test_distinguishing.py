"""What is pointed at in a difference, on graphs small enough to see."""

from micro_graphs import F, T, Y, graph_of, random_graph

from engine.analysis.diff import diff_graphs
from engine.analysis.distinguishing import distinguishing_features
from engine.domain.diffs import DiffSettings, GraphDiff
from engine.domain.graphs import PruneSettings

ALL = DiffSettings(prune=PruneSettings(node_threshold=1, edge_threshold=1), min_change=0, min_ratio=0)
# rows: 0, 1 features of layer 0 (at the word, at the end), 2 a feature of layer 1, 3 and 4 the tokens, 5 the output
NODES = [(F, 0, 0, 7), (F, 0, 1, 8), (F, 1, 1, 9), (T, -1, 0, 3), (T, -1, 1, 4), (Y, 2, 1, 5)]
OLD = [(3, 0, 1.0), (0, 5, 1.0), (4, 1, 1.0)]


def _diff(edges_a: list[tuple[int, int, float]], edges_b: list[tuple[int, int, float]]) -> GraphDiff:
    sides = [
        graph_of(
            NODES, edges, tokens=("glim", "ends"), outputs=("above",), probability=(1.0,), n_layers=2, checkpoint=name
        )
        for name, edges in (("run@base", edges_a), ("run@100%", edges_b))
    ]
    return diff_graphs(sides[0], sides[1], ALL)


def test_distinguishing_features_are_strong_in_b_weak_in_a_and_at_the_right_places() -> None:
    # 7 (at the word) carries both sides alike; 8 and 9 (at the end) carry B alone.
    diff = _diff(OLD, [(3, 0, 1.0), (0, 5, 1.0), (4, 1, 1.0), (1, 5, 2.0), (3, 2, 1.0), (2, 5, 5.0)])
    assert distinguishing_features(diff) == ("feature/1/1/9", "feature/0/1/8")
    assert distinguishing_features(diff, n=1) == ("feature/1/1/9",)
    swapped = diff_graphs(diff.b, diff.a, ALL)
    assert distinguishing_features(swapped, word="glim") == ()


def test_a_feature_counts_from_twice_its_part_and_where_it_pushes_up() -> None:
    def telling(weight_a: float, weight_b: float, word: str = "glim") -> tuple[str, ...]:
        # The part of feature 7, at the word, is the weight of its edge to the output.
        a, b = ([(3, 0, 1.0), (0, 5, weight), (4, 1, 1.0), (1, 5, 1.0)] for weight in (weight_a, weight_b))
        return distinguishing_features(_diff(a, b), word=word)

    assert telling(0.5, 1.0) == telling(-3.0, 1.0) == ("feature/0/0/7",)
    assert telling(0.6, 1.0) == telling(-3.0, -1.0) == telling(1.0, -2.0) == ()
    assert telling(0.5, 1.0, word="") == ()


def test_distinguishing_features_of_a_graph_and_itself_are_none() -> None:
    graph = random_graph(seed=3)
    assert distinguishing_features(diff_graphs(graph, graph)) == ()
