"""Rankings of places and edges against patching: which one finds what a change rests on, singly and in groups.

Of each prompt whose answer's logit changed: the rank correlation of a ranking with what single MLPs, features or edges
take back when B gets what A has there, and what its first ones take back together, as a share of the change.
"""

from collections.abc import Callable, Iterator
from itertools import islice

from engine.bench.ranked import MovedPrompt, Ranked, RankedPrompt, ranked_mlps, worth_rows, worths
from engine.bench.ranked_features import ranked_edges, ranked_features
from engine.bench.row import BenchRow
from engine.bench.setting import TRANSCODERS, Setting
from engine.demo import recipe
from engine.domain.explained import ExplainedLogits
from engine.domain.studies import FIRSTS

RUNS = (recipe.RUN_A, recipe.RUN_B)
MODEL = "the bundled model"
LEAST_CHANGE = 1.0  # of the logit
MOST_SINGLES = 120  # features, or edges, that are patched alone
TRACED_PROMPTS = 3  # of a run, for features and edges


def measure(setting: Setting) -> list[BenchRow]:
    """A row a ranking and run, means over prompts; random groups as control."""
    rows = []
    for run in RUNS:
        for what, n_prompts, ranked in (
            ("MLPs", None, _mlps),
            ("features", TRACED_PROMPTS, ranked_features),
            ("edges", TRACED_PROMPTS, ranked_edges),
        ):
            cases = islice(_cases(setting, run), n_prompts)
            prompts = [_held(run, what, case, ranked, seed=number) for number, case in enumerate(cases)]
            setting.ranked.extend(prompts)
            rows += worth_rows(f"{run}, {what}", prompts)
    return rows


def _held(run: str, what: str, case: MovedPrompt, rank: Callable[[MovedPrompt], Ranked], *, seed: int) -> RankedPrompt:
    ranked = rank(case)
    found = worths(ranked, FIRSTS, most_singles=MOST_SINGLES, seed=seed)
    return RankedPrompt(MODEL, run, what, case.text, ranked.default, found)


def _mlps(case: MovedPrompt) -> Ranked:
    return ranked_mlps(case.loaded.model, case.tuned, case.prompt, case.of, case.change)


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
