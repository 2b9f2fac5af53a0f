"""The slow oracle of `score_edges`: every edge patched alone."""

import numpy as np
from transformers import PreTrainedModel

from engine.components.model import ComponentModel
from engine.components.pairs import TokenPairs
from engine.components.patched import run_circuits
from engine.domain.components import Circuit
from engine.domain.edge_measures import Metric


def exact_scores(model: PreTrainedModel, pairs: TokenPairs, metric: Metric) -> np.ndarray:
    """(n_inputs, n_sources) float64: what the mean metric changes by where one edge alone carries its corrupted value.

    0 where there is no edge. One run an edge: for micro models.
    """
    shape = ComponentModel(model).shape
    whole = shape.edge_mask()
    edges = np.argwhere(whole)
    circuits = []
    for row, source in edges:
        without = whole.copy()
        without[row, source] = False
        circuits.append(Circuit(shape, without))
    found, clean, _ = run_circuits(model, pairs, circuits, metric)
    scores = np.zeros(whole.shape)
    scores[tuple(edges.T)] = (found - clean).mean(axis=1)
    return scores
