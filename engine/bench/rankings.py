"""Rankings of places against patching: which one finds the MLPs that a change rests on, singly and in groups.

Of each prompt whose answer's logit changed: the rank correlation of a ranking with what single places take back when
they write in B what they wrote in A, and what its first five take back together, as a share of the change.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from engine.bench.row import BenchRow, plain
from engine.bench.setting import Setting
from engine.demo import recipe
from engine.domain.explained import ExplainedLogits

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

RUNS = (recipe.RUN_A, recipe.RUN_B)
LEAST_CHANGE = 1.0  # of the logit
GROUP = 5
RANDOM_GROUPS = 20


def measure(setting: Setting) -> list[BenchRow]:
    """A row a ranking and run, means over prompts; random groups as control."""
    rows = []
    for run in RUNS:
        correlations: dict[str, list[float]] = defaultdict(list)
        together: dict[str, list[float]] = defaultdict(list)
        for of_prompt in _prompts(setting, run):
            for name, (correlation, share) in of_prompt.items():
                correlations[name].append(correlation)
                together[name].append(share)
        for name, shares in together.items():
            title = f"{run}, {len(shares)} prompts, {name}"
            if name != "random groups":
                rows.append(plain(f"{title}: rank correlation with patching", float(np.mean(correlations[name])), ""))
            rows.append(plain(f"{title}: first {GROUP} together take back", float(np.mean(shares)), "of the change"))
    return rows


def _prompts(setting: Setting, run: str) -> Iterator[dict[str, tuple[float, float]]]:
    from engine.attribution.acted import logit_of, said
    from engine.models.base import encode
    from engine.workflows.loading import common_model, weights

    store = setting.store
    a, b = store.checkpoint(f"{run}@base"), store.checkpoint(f"{run}@100%")
    loaded = common_model(store, [a])
    tuned = weights(loaded, b)
    assert tuned is not None
    probes = [probe for probe in store.corpus(store.run(run).corpus).probes if probe.kind == "inference"]
    for probe in {probe.constraint: probe for probe in probes}.values():
        prompt = encode(loaded, probe.text)[0]
        of = ExplainedLogits(answers=(said(tuned, prompt),))
        change = logit_of(tuned, prompt, of)[0] - logit_of(loaded.model, prompt, of)[0]
        if abs(change) >= LEAST_CHANGE:
            yield _of_prompt(loaded.model, tuned, prompt, of, change)


def _of_prompt(
    a: "PreTrainedModel", b: "PreTrainedModel", prompt: "torch.Tensor", of: ExplainedLogits, change: float
) -> dict[str, tuple[float, float]]:
    """By ranking: rank correlation, share taken back."""
    from scipy.stats import spearmanr

    from engine.attribution.places import place_effects, taken_back

    both = place_effects(a, b, prompt, of)
    scores = {
        "gradient in both": both.mlp,
        "gradient in A": place_effects(a, b, prompt, of, at=(a,)).mlp,
        "gradient in B": place_effects(a, b, prompt, of, at=(b,)).mlp,
        "size of the change": both.mlp_moved,
    }
    places = list(np.ndindex(both.mlp.shape))
    single = taken_back(a, b, prompt, of, [[place] for place in places])
    orders = {name: np.argsort(-np.sign(change) * score.ravel(), kind="stable") for name, score in scores.items()}
    rng = np.random.default_rng(0)
    chosen = [[places[row] for row in order[:GROUP]] for order in orders.values()]
    random = [[places[row] for row in rng.choice(len(places), GROUP, replace=False)] for _ in range(RANDOM_GROUPS)]
    back = np.array(taken_back(a, b, prompt, of, [*chosen, *random])) / change
    found = {
        name: (float(spearmanr(score.ravel(), single).statistic), float(share))
        for (name, score), share in zip(scores.items(), back, strict=False)
    }
    return found | {"random groups": (0.0, float(back[len(chosen) :].mean()))}
