"""How well graphs predict what switching features off does, and what makes the difference.

First over everything that `engine.demo.predicted` tries, of one feature up to twenty; then for small changes; then with
norms, attention and MLPs held in the measurement, down to the pass in which nothing differs from the prediction.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from engine.bench.row import BenchRow, at_most, plain
from engine.bench.setting import TRANSCODERS, Setting
from engine.demo.predicted import RUNS, agreements, probes_tried, sets_of, traced, tried_on
from engine.domain.graphs import AttributionGraph, NodeKind

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from engine.attribution.held_pass import HeldFixed
    from engine.models.replacement import Replacement

SMALL = 0.9  # what activations are multiplied by, to see whether small changes are predicted better
HELD_WORDS = 2  # of each constraint type
HELD_TO = 1e-4  # of a logit, in the pass that holds everything


def measure(setting: Setting) -> list[BenchRow]:
    """Rows of each run, choice and number of features; then of each thing held, over both runs."""
    replacement = _replacement(setting)
    rows = []
    for name, found in agreements(tried_on(setting.store, replacement)).items():
        title = f"{name}, {found.n_tried} changes, {found.n} outputs"
        rows += [
            plain(f"{title}: rank correlation of predicted and measured", found.rank_correlation, ""),
            plain(f"{title}: size predicted", found.size, "times the measured"),
            plain(f"{title}: right direction", found.signs, "of all"),
            plain(f"{title}: right direction", found.signs_of_large, "of the quarter predicted largest"),
        ]
    small = agreements(tried_on(setting.store, replacement, factor=SMALL))["all"]
    rows.append(plain(f"all, activations x {SMALL}: rank correlation", small.rank_correlation, ""))
    rows.append(plain(f"all, activations x {SMALL}: size predicted", small.size, "times the measured"))
    return rows + _held_rows(setting, replacement)


def _held_rows(setting: Setting, replacement: "Replacement") -> list[BenchRow]:
    from scipy.stats import spearmanr

    from engine.models.sharing import checkpoint_model

    rows = []
    for run in RUNS:
        merged = checkpoint_model(replacement.loaded, setting.store.checkpoint(f"{run}@100%").adapter)
        pairs: dict[str, list[np.ndarray]] = defaultdict(list)
        for probe in probes_tried(setting.store, run, HELD_WORDS):
            graph = traced(replacement, merged, run, probe)
            for name, predicted, measured in _held(replacement, merged, graph):
                pairs[name].append(np.stack([predicted, measured]))
        for name, found in pairs.items():
            predicted, measured = np.concatenate(found, axis=1)
            rows += [
                plain(f"{run}, {name} held: rank correlation", float(spearmanr(predicted, measured).statistic), ""),
                plain(
                    f"{run}, {name} held: size predicted",
                    float(np.abs(predicted).sum() / np.abs(measured).sum()),
                    "times the measured",
                ),
            ]
        predicted, measured = np.concatenate(pairs["everything"], axis=1)
        worst = float(np.abs(predicted - measured).max())
        rows.append(at_most(f"{run}, everything held: largest difference", worst, "of a logit", limit=HELD_TO))
    return rows


def _held(
    replacement: "Replacement", merged: "PreTrainedModel", graph: AttributionGraph
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """What is held, changes of the outputs (n_logits,) predicted, and measured; of every set with the largest parts."""
    from engine.attribution.held_pass import HeldPass
    from engine.attribution.interventions import interventions_on
    from engine.models.base import encode

    groups = [group for (choice, _), chosen in sets_of(graph).items() if choice == "largest" for group in chosen]
    done = interventions_on(replacement, graph, merged, groups, 0.0)
    targets = graph.index[graph.kind == NodeKind.LOGIT]
    with replacement.opened(merged) as model:
        held_pass = HeldPass(model, encode(replacement.loaded, graph.key.prompt)[0])
        for one in done:
            values = [(*_place(feature), 0.0) for feature in one.changed]
            for name, held in _kinds().items():
                logits = held_pass.logits(values, held)
                after = (logits - logits.mean())[targets].numpy()
                yield name, np.array(one.predicted), after - np.array(one.logit_before)


def _kinds() -> dict[str, "HeldFixed"]:
    from engine.attribution.held_pass import HeldFixed

    return {
        "nothing": HeldFixed(),
        "attention": HeldFixed(attention=True),
        "MLPs": HeldFixed(mlps=True),
        "norms": HeldFixed(norms=True),
        "norms and MLPs": HeldFixed(norms=True, mlps=True),
        "everything": HeldFixed(norms=True, attention=True, mlps=True),
    }


def _place(feature: str) -> tuple[int, int, int]:
    layer, position, index = map(int, feature.split("/")[1:])
    return layer, position, index


def _replacement(setting: Setting) -> "Replacement":
    from engine.domain.models import DEMO_MODEL
    from engine.models.base import load_base
    from engine.models.replacement import Replacement
    from engine.models.transcoders import load_transcoders

    loaded = load_base(DEMO_MODEL, setting.store.base_folder(DEMO_MODEL))
    return Replacement(loaded, load_transcoders(setting.store.transcoder_folder(TRANSCODERS), loaded))
