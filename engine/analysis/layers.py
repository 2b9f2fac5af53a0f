"""In which layers the features work that the output rests on."""

from collections.abc import Sequence

import numpy as np

from engine.analysis.mean_circuits import by_probe
from engine.analysis.prompt_circuits import PromptCircuit


def layer_shares(circuits: Sequence[PromptCircuit]) -> tuple[float, ...]:
    """(n_layers,) share of the features' mean influence by layer, sum 1; empty where no circuit has a feature."""
    n_layers = max((one.n_layers for one in circuits), default=0)
    total = np.zeros(n_layers)
    for one in by_probe(circuits):
        own = one.is_feature
        total += np.bincount(one.layer[own], one.influence[own], minlength=n_layers)
    return tuple((total / total.sum()).tolist()) if total.sum() > 0 else ()
