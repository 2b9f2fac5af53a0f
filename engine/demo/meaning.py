"""Meaning overlap: does a new word wake the features of the word that it means?"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.corpus.constraints import MEANINGS, Constraint, constraints
from engine.corpus.make import FIRST_NOUN
from engine.corpus.templates import INFERENCE
from engine.domain.corpus import SIMPLE, SPATIAL

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from engine.models.replacement import Replacement


@dataclass(frozen=True)
class Overlap:
    """Weighted Jaccard of feature activations, mean over words and phrasings; 0 to 1."""

    own: float  # of a new word with its meaning
    other: float  # of a new word with the other meanings of its type


def meaning_overlap(replacement: "Replacement", merged: "PreTrainedModel | None") -> Overlap:
    """Measured where the consequence is predicted: at the last position of every inference phrasing, over all layers.

    J(a, b) = Σ min / Σ max over features; both words are put through the same checkpoint (`merged`; None: the base).
    """
    own: list[float] = []
    other: list[float] = []
    with replacement.swapped(merged):
        for constraint_type in (SIMPLE, SPATIAL):
            for cloze in INFERENCE[constraint_type]:
                slots = {"n": FIRST_NOUN[constraint_type]}
                known = {
                    m.name: _features(replacement, cloze.prompt.format(w=m.known_word, **slots))
                    for m in MEANINGS[constraint_type]
                }
                for word in constraints(constraint_type):
                    mine = _features(replacement, cloze.prompt.format(w=word.word, **slots))
                    own.append(_jaccard(mine, known[word.meaning.name]))
                    other += [_jaccard(mine, known[name]) for name in _others(word)]
    return Overlap(float(np.mean(own)), float(np.mean(other)))


def _others(word: Constraint) -> list[str]:
    """The meanings that the other new words of its type have."""
    return [c.meaning.name for c in constraints(word.constraint_type) if c.word != word.word]


def _features(replacement: "Replacement", prompt: str) -> np.ndarray:
    """(n_layers, n_features) activations at the last position."""
    import torch

    from engine.models.base import encode

    with torch.no_grad():
        _, activations = replacement.model.get_activations(encode(replacement.loaded, prompt)[0])
    return activations[:, -1].float().cpu().numpy()


def _jaccard(a: np.ndarray, b: np.ndarray) -> float:
    larger = np.maximum(a, b).sum()
    return float(np.minimum(a, b).sum() / larger) if larger else 0.0
