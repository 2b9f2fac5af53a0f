"""Circuits' sentence: what it says, and that its figures are those of the table and of the picture."""

import re

import pytest

from engine.domain.components import CIRCUIT_STATUSES, CircuitStatus
from engine.figures.component_view import component_view, edge_changes, node_changes
from pages._ui.circuits.words import node_counts, sentence, status_counts
from tests.figures.component_makers import random_scores, side


def counts(*numbers: int) -> dict[CircuitStatus, int]:
    """appeared, vanished, flipped, in both."""
    return dict(zip(CIRCUIT_STATUSES, numbers, strict=True))


@pytest.mark.parametrize(
    ("edges", "nodes", "steps", "text"),
    [
        (
            (5, 2, 16, 1), (1, 1, 0, 8), (0, 300),
            "From base to step 300, **16 of 19 edges** flipped their signs, **2** vanished and **1** is in both; **5** "
            "appeared. **8 of 9 heads and MLPs** are in both and **1** vanished; **1** appeared.",
        ),
        (
            (0, 0, 0, 60), (0, 0, 0, 14), (0, 300),
            "From base to step 300, all **60 edges** are in both. All **14 heads and MLPs** are in both.",
        ),
        (
            (41, 41, 0, 19), (5, 5, 0, 9), (20, 10),
            "From step 20 to step 10, **41 of 60 edges** vanished and **19** are in both; **41** appeared. **9 of 14 "
            "heads and MLPs** are in both and **5** vanished; **5** appeared.",
        ),
        (
            (2, 0, 0, 9), (0, 0, 0, 2), (0, 1),
            "From base to step 1, all **9 edges** are in both; **2** appeared. All **2 heads and MLPs** are in both.",
        ),
        (
            (3, 0, 0, 0), (1, 0, 0, 0), (0, 1),
            "From base to step 1, **3 edges** appeared. **1 head or MLP** appeared.",
        ),
        (
            (0, 0, 1, 0), (0, 1, 0, 0), (0, 1),
            "From base to step 1, the only edge flipped its sign. The only head or MLP vanished.",
        ),
        ((0, 0, 0, 9), (0, 0, 0, 4), (7, 7), "A and B are the same checkpoint: **9 edges** between **4 heads and "
         "MLPs**."),
        ((0, 0, 0, 0), (0, 0, 0, 0), (0, 1), "Neither circuit has an edge."),
    ],
)  # fmt: skip
def test_the_sentence(edges: tuple[int, ...], nodes: tuple[int, ...], steps: tuple[int, int], text: str) -> None:
    assert sentence(counts(*edges), counts(*nodes), step_a=steps[0], step_b=steps[1]) == text


@pytest.mark.parametrize("drift", [0.0, 0.3, 1.0])
def test_the_figures_of_the_sentence_are_those_of_the_table(drift: float) -> None:
    a, b = side(random_scores(3), share=0.2), side(random_scores(3, drift=drift), share=0.2)
    edges, nodes = edge_changes(a, b), node_changes(a, b)
    said = status_counts(edges)
    assert said["flipped"] == int((edges["in_a"] & edges["in_b"] & (edges["effect_a"] * edges["effect_b"] < 0)).sum())
    assert said["vanished"] + said["flipped"] + said["in both"] == int(edges["in_a"].sum())
    assert said["appeared"] + said["flipped"] + said["in both"] == int(edges["in_b"].sum())
    text = sentence(said, node_counts(nodes), step_a=0, step_b=4)
    figures = [int(found) for found in re.findall(r"\*\*(\d+)", text.split(". ")[0])]
    assert sorted(figures) == sorted(n for n in said.values() if n)
    drawn = component_view(a, b).edges["status"]
    assert [drawn.count(place) for place in range(len(CIRCUIT_STATUSES))] == list(said.values())
