"""EAP and EAP-IG: by how much the metric would change if an edge carried its corrupted value (Hanna et al. 2024,
2403.17806).

S[v, u] = mean over pairs, mean over k = 1…m, sum over positions of
⟨a_u(corrupted) - a_u(clean), ∂metric/∂input_v at z_k⟩, z_k = z_corrupted + k/m (z_clean - z_corrupted) in layer 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from engine.components.batches import micro_batches, refuse_long_pairs, token_budget
from engine.components.contraction import Changes, Sensitivity
from engine.components.metrics import values
from engine.components.model import ComponentModel
from engine.components.pairs import TokenPairs, drawn, grouped
from engine.components.passes import Passes
from engine.components.tape import taped
from engine.domain.components import ComponentShape, ScoreSettings
from engine.domain.edge_measures import EDGE_MEASURES
from engine.domain.jobs import CancelToken, Report

BLOCK = 8  # steps whose factors are held together


@dataclass(frozen=True, eq=False)
class EdgeScores:
    """As in `ComponentScores`."""

    shape: ComponentShape
    groups: np.ndarray  # (n_groups, n_inputs, n_sources) float32, signed; 0 where there is no edge
    n_pairs: np.ndarray  # (n_groups,) int64
    clean: np.ndarray  # (n_groups,) float64, mean metric of the clean runs
    corrupted: np.ndarray  # (n_groups,) float64


def score_edges(
    model: PreTrainedModel,
    pairs: TokenPairs,
    settings: ScoreSettings,
    *,
    report: Report | None = None,
    cancel: CancelToken | None = None,
) -> EdgeScores:
    """Scores of every edge, group by group, of the pairs that the settings draw.

    Memory depends on the model and the longest pair, not on how many pairs there are. Raises ModelUnavailable for a
    family without hooks, PromptRefused for a pair too long for the memory that is free, and Canceled between
    micro-batches.
    """
    parts = ComponentModel(model)
    pairs = drawn(pairs, settings)
    refuse_long_pairs(parts, pairs)
    groups = grouped(pairs, settings)
    n_pairs = np.bincount(groups)
    shape = parts.shape
    sums = torch.zeros(len(n_pairs), shape.n_inputs, shape.n_sources, dtype=torch.float64)
    metrics = np.zeros((2, len(n_pairs)))  # clean, corrupted
    done = 0
    with parts.prepared():
        for rows in micro_batches(pairs, token_budget(parts)):
            if cancel is not None:
                cancel.check()
            batch = _Batch(parts, pairs.part(rows), settings)
            for sensitivity in batch.blocks():
                for group in np.unique(groups[rows]):
                    inside = torch.from_numpy(np.flatnonzero(groups[rows] == group)).to(parts.device)
                    sums[group] += sensitivity.meet(batch.changes, inside).cpu()
            for metric, each in zip(metrics, (batch.clean, batch.corrupted), strict=True):
                np.add.at(metric, groups[rows], each.double().cpu().numpy())
            done += len(rows)
            if report is not None:
                report(done / len(pairs), f"scored the edges on {done} of {len(pairs)} pairs")
    scores = sums.numpy() / (n_pairs[:, None, None] * settings.n_steps)
    clean, corrupted = metrics / n_pairs
    return EdgeScores(shape, scores.astype(np.float32), n_pairs, clean, corrupted)


class _Batch:
    """Some pairs in one pass: the corrupted and the clean run, which is also the last step, then the other steps."""

    def __init__(self, parts: ComponentModel, pairs: TokenPairs, settings: ScoreSettings) -> None:
        self._parts, self._pairs, self._settings = parts, pairs, settings
        self._passes = Passes(parts, pairs)
        self._last = self._passes.last
        with torch.no_grad(), taped(parts, last=self._last) as corrupted:
            corrupted_logits = self._passes.logits(self._passes.corrupted)[:, 0]
        with torch.enable_grad(), taped(parts, last=self._last) as clean:
            logits = self._passes.logits(self._passes.clean)[:, 0]
            metric = values(logits, pairs, settings.metric, logits.detach())
            total = metric.sum()
        self._logits = logits.detach()
        self.clean = metric.detach()  # (n,)
        self.corrupted = values(corrupted_logits, pairs, settings.metric, self._logits)  # (n,)
        self.changes = Changes.between(clean, corrupted)
        self._ends = clean.embedded, corrupted.embedded
        self._first = Sensitivity(parts, self._last)
        if not EDGE_MEASURES[settings.metric].flat_at_clean:
            self._first.add(clean, clean.gradients(total))

    def blocks(self) -> Iterator[Sensitivity]:
        """Of all steps, at most BLOCK of them at once, so that memory does not depend on how many there are."""
        sensitivity, held = self._first, 1
        for step in range(1, self._settings.n_steps):
            if held == BLOCK:
                yield sensitivity
                sensitivity, held = Sensitivity(self._parts, self._last), 0
            self._add(sensitivity, step / self._settings.n_steps)
            held += 1
        yield sensitivity

    def _add(self, sensitivity: Sensitivity, share: float) -> None:
        clean, corrupted = self._ends
        start = torch.lerp(corrupted, clean, share)
        with torch.enable_grad(), taped(self._parts, start=start, last=self._last) as tape:
            logits = self._passes.logits(self._passes.clean)[:, 0]
            metric = values(logits, self._pairs, self._settings.metric, self._logits).sum()
        sensitivity.add(tape, tape.gradients(metric))
