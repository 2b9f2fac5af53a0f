"""Rankings of places and edges against patching: which one finds what a change rests on, singly and in groups.

Of each prompt whose answer's logit changed: the rank correlation of a ranking with what single MLPs, features or edges
take back when B gets what A has there, and what its first ones take back together, as a share of the change.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np

from engine.bench.ranked import RANDOM, MovedPrompt, Ranked, Worth, worths
from engine.bench.ranked_features import ranked_edges, ranked_features
from engine.bench.row import BenchRow, plain
from engine.bench.setting import TRANSCODERS, Setting
from engine.demo import recipe
from engine.domain.explained import ExplainedLogits

RUNS = (recipe.RUN_A, recipe.RUN_B)
LEAST_CHANGE = 1.0  # of the logit
MOST_SINGLES = 120  # features, or edges, that are patched alone
TRACED_PROMPTS = 3  # of a run, for features and edges
SIZES = (1, 5, 20)


def measure(setting: Setting) -> list[BenchRow]:
    """A row a ranking and run, means over prompts; random groups as control."""
    rows = []
    for run in RUNS:
        for what, n_prompts, ranked in (
            ("MLPs", None, _ranked_mlps),
            ("features", TRACED_PROMPTS, ranked_features),
            ("edges", TRACED_PROMPTS, ranked_edges),
        ):
            rows += _rows(f"{run}, {what}", islice(_cases(setting, run), n_prompts), ranked)
    return rows


def _rows(title: str, cases: Iterator[MovedPrompt], ranked: Callable[[MovedPrompt], Ranked]) -> list[BenchRow]:
    found: dict[str, list[Worth]] = defaultdict(list)
    for number, case in enumerate(cases):
        for name, worth in worths(ranked(case), SIZES, most_singles=MOST_SINGLES, seed=number).items():
            found[name].append(worth)
    rows = []
    for name, several in found.items():
        of = f"{title}, {len(several)} prompts, {name}"
        if name != RANDOM:
            correlation = float(np.mean([one.correlation for one in several]))
            rows.append(plain(f"{of}: rank correlation with patching", correlation, ""))
        for size in several[0].shares:
            share = float(np.mean([one.shares[size] for one in several]))
            rows.append(plain(f"{of}: first {size} together take back", share, "of the change"))
    return rows


def _cases(setting: Setting, run: str) -> Iterator[MovedPrompt]:
    """One of each word's consequences."""
    from engine.attribution.acted import logit_of, said
    from engine.models.base import encode
    from engine.models.transcoders import transcoders_hash
    from engine.workflows.loading import common_model, replacement_model, weights

    store = setting.store
    a, b = store.checkpoint(f"{run}@base"), store.checkpoint(f"{run}@100%")
    loaded = common_model(store, [a])
    tuned = weights(loaded, b)
    assert tuned is not None
    folder = store.transcoder_folder(TRANSCODERS)
    replacement = replacement_model(loaded, folder, transcoders_hash(folder))
    probes = [probe for probe in store.corpus(store.run(run).corpus).probes if probe.kind == "inference"]
    for probe in {probe.constraint: probe for probe in probes}.values():
        prompt = encode(loaded, probe.text)[0]
        of = ExplainedLogits(answers=(said(tuned, prompt),))
        change = logit_of(tuned, prompt, of)[0] - logit_of(loaded.model, prompt, of)[0]
        if abs(change) >= LEAST_CHANGE:
            yield MovedPrompt(loaded, tuned, replacement, probe.text, prompt, of, change)


def _ranked_mlps(case: MovedPrompt) -> Ranked:
    from engine.attribution.places import place_effects, taken_back

    a, b = case.loaded.model, case.tuned
    both = place_effects(a, b, case.prompt, case.of)
    places = list(np.ndindex(both.mlp.shape))
    return Ranked(
        change=case.change,
        signed={
            "gradient in both": both.mlp.ravel(),
            "gradient in A": place_effects(a, b, case.prompt, case.of, at=(a,)).mlp.ravel(),
            "gradient in B": place_effects(a, b, case.prompt, case.of, at=(b,)).mlp.ravel(),
        },
        unsigned={"size of the change": both.mlp_moved.ravel()},
        taken_back=lambda groups: taken_back(
            a, b, case.prompt, case.of, [[places[row] for row in group] for group in groups]
        ),
    )
