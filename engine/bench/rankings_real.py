"""Rankings of places and edges against patching on SmolLM2-135M, taught words of plain English.

Of each word's first paraphrase: the rank correlation of a ranking with what single places take back (a sample of them),
what its first 1, 5 and 20 take back together, random groups as control; and what `where` names, the same way. Features
and edges are those of a transcoder set that is trained on the run first.
"""

import numpy as np

from engine.bench.english import HELD_OUT, Held, first_paraphrases, held, taught
from engine.bench.ranked import MovedPrompt, Ranked, RankedPrompt, ranked_mlps, worth_rows, worths
from engine.bench.ranked_features import ranked_edges, ranked_features
from engine.bench.row import BenchRow, plain
from engine.bench.setting import Setting
from engine.domain.corpus import Probe
from engine.domain.jobs import NeverCanceled, quiet
from engine.domain.studies import FIRSTS
from engine.store import Store, cache_of, default_workspace

MODEL = "SmolLM2-135M"
SINGLES = 60  # patched one by one, of some 450 MLPs, 10,000 features or more edges
RANKED = ("blarf", "plim", *HELD_OUT)  # words that rankings are held to patching on
TRACED = ("blarf", *HELD_OUT[:2])  # and those of features and edges


def measure(setting: Setting) -> list[BenchRow]:
    """A row a ranking and size of group, means over words; rows of what is named, held-out words apart."""
    from engine.models.real_model import real_model

    probes = first_paraphrases()
    run = taught(setting.store, real_model(cache_of(default_workspace())), tuple(probes.values()))
    return rows_of(setting, run, probes)


def rows_of(setting: Setting, run: str, probes: dict[str, Probe]) -> list[BenchRow]:
    """Of a run that `taught` made."""
    store = setting.store
    of_words = {word: held(store, run, probe) for word, probe in probes.items()}
    built = {word: one for word, one in of_words.items() if word not in HELD_OUT}
    rows = [*named_rows(built, "built on"), *named_rows({word: of_words[word] for word in HELD_OUT}, "held out")]
    prompts = [_of_prompt(store, run, probes[word], of_words[word], seed=number) for number, word in enumerate(RANKED)]
    setting.ranked.extend(prompts)
    rows += worth_rows(f"{MODEL}, MLPs", prompts)
    cases = [_case(store, run, probes[word], of_words[word]) for word in TRACED]
    for what, rank in (("features", ranked_features), ("edges", ranked_edges)):
        prompts = [_ranked(run, what, case.text, rank(case), seed=number) for number, case in enumerate(cases)]
        setting.ranked.extend(prompts)
        rows += worth_rows(f"{MODEL}, {what}", prompts)
    return rows


def named_rows(of_words: dict[str, Held], which: str) -> list[BenchRow]:
    """By how many words, and by how much of the change."""
    several = list(of_words.values())
    leads = [one.leaders == (one.word[-1], len(one.acted.tokens) - 1) for one in several]
    moves = [one.rank_of_move <= 3 for one in several]
    controls = [share for one in several for share in one.controls]
    title = f"{len(several)} words {which}"
    shares = {
        "MLPs and heads that are named": [one.by_all for one in several],
        "MLPs alone": [one.by_mlps for one in several],
        "at the new word alone": [one.one_by_one[0] for one in several],
        "at the last token alone": [one.one_by_one[-1] for one in several],
        "the same layers at other tokens": controls,
    }
    rows = [
        plain(f"{title}: last piece and last token lead the tokens", sum(leads), "words"),
        plain(f"{title}: the move between them is among the first three", sum(moves), "words"),
    ]
    for name, of_each in shares.items():
        for what, value in (("mean", np.mean(of_each)), ("least", min(of_each)), ("most", max(of_each))):
            rows.append(plain(f"{title}: {name} take back, {what}", float(value), "of the change"))
    return rows


def _of_prompt(store: Store, run: str, probe: Probe, one: Held, *, seed: int) -> RankedPrompt:
    from engine.models.base import encode
    from engine.workflows.loading import common_model, weights

    a, b = (store.checkpoint(f"{run}@{label}") for label in ("base", "100%"))
    loaded = common_model(store, [a])
    tuned = weights(loaded, b)
    assert tuned is not None
    prompt = encode(loaded, probe.text)[0]
    ranked = ranked_mlps(loaded.model, tuned, prompt, one.acted.key.explained, one.acted.change)
    return _ranked(run, "MLPs", probe.text, ranked, seed=seed)


def _ranked(run: str, what: str, prompt: str, ranked: Ranked, *, seed: int) -> RankedPrompt:
    found = worths(ranked, FIRSTS, most_singles=SINGLES, seed=seed, by_chance=what == "MLPs")
    return RankedPrompt(MODEL, run, what, prompt, ranked.default, found)


def _case(store: Store, run: str, probe: Probe, one: Held) -> MovedPrompt:
    from engine.models.base import encode
    from engine.models.transcoders import transcoders_hash
    from engine.workflows.loading import common_model, replacement_model, weights
    from engine.workflows.transcoders import choose

    checkpoints = [store.checkpoint(f"{run}@{label}") for label in ("base", "100%")]
    loaded = common_model(store, checkpoints)
    chosen = choose(store, checkpoints, loaded, "", quiet, NeverCanceled())
    tuned = weights(loaded, checkpoints[1])
    assert tuned is not None
    replacement = replacement_model(loaded, chosen.source, transcoders_hash(chosen.source))
    prompt = encode(loaded, probe.text)[0]
    return MovedPrompt(loaded, tuned, replacement, probe.text, prompt, one.acted.key.explained, one.acted.change)
