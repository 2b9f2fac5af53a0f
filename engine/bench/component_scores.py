"""EAP-IG with five steps, against how it is written first (`straightforward`): time, memory, equal scores.

On the bundled model, and on one of GPT-2-small's size with random weights, with the pairs of the bundled corpus.
"""

import multiprocessing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from engine.bench.peak import MemorySampler
from engine.bench.row import BenchRow, at_most, faster, not_slower, plain
from engine.bench.setting import CORPUS, Setting
from engine.bench.timing import medians
from engine.corpus.pairs import pairs_of
from engine.domain.components import ScoreSettings
from engine.domain.models import DEMO_MODEL
from engine.store import Store

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from engine.components.pairs import TokenPairs

Model = Literal["bundled", "large"]
Side = Literal["ours", "straightforward"]
SIDES: tuple[Side, ...] = ("ours", "straightforward")
N_STEPS = 5
BATCH = 64  # pairs that the other side takes at once


@dataclass(frozen=True)
class _Case:
    title: str
    n_pairs: int
    rounds: int


CASES: dict[Model, _Case] = {
    "bundled": _Case("bundled model", 240, 5),
    "large": _Case("12 layers, d_model 768", 64, 1),
}


def measure(setting: Setting) -> list[BenchRow]:
    """For each model: milliseconds a pair, pairs a second, how far the scores are apart, MB above the loaded model."""
    return [row for name in CASES for row in (*_times(setting.store, name), *_memory(name))]


def _times(store: Store, name: Model) -> list[BenchRow]:
    case = CASES[name]
    model, pairs = _loaded(store, name)
    part = pairs.part(range(case.n_pairs))
    ours, theirs = medians(
        (lambda: _scores("ours", model, part), lambda: _scores("straightforward", model, part)), rounds=case.rounds
    )
    one, other = (_scores(side, model, part.part(range(8))) for side in SIDES)
    apart = float(np.abs(one - other).max() / np.abs(other).max())
    title = f"EAP-IG (m = {N_STEPS}), {case.title}"
    return [
        faster(f"{title}: a pair", 1e3 * ours / len(part), "ms", than=1e3 * theirs / len(part), times=3),
        plain(f"{title}: pairs", len(part) / ours, "1/s"),
        at_most(f"{title}: scores apart, of the largest", apart, "1", limit=1e-4),
    ]


def _memory(name: Model) -> list[BenchRow]:
    case = CASES[name]
    ours = _in_child(name, "ours", case.n_pairs)
    more = _in_child(name, "ours", 4 * case.n_pairs)
    theirs = _in_child(name, "straightforward", case.n_pairs)
    title = f"EAP-IG (m = {N_STEPS}), {case.title}: memory"
    return [
        not_slower(title, ours, "MB", than=theirs, times=1 / 3),
        not_slower(f"{title}, four times the pairs", more, "MB", than=ours, times=1.2),
    ]


def _loaded(store: Store, name: Model) -> "tuple[PreTrainedModel, TokenPairs]":
    """The model, and the bundled corpus's pairs four times over."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from engine.components.pairs import prepare_pairs
    from engine.components.randomised import random_copy
    from engine.models.base import load_base

    loaded = load_base(DEMO_MODEL, store.base_folder(DEMO_MODEL))
    pairs = prepare_pairs(loaded.tokenizer, pairs_of(store.corpus(CORPUS)), limit=loaded.n_positions)
    pairs = pairs.part([*np.random.default_rng(0).permutation(len(pairs))] * 4)
    if name == "bundled":
        return loaded.model, pairs
    config = LlamaConfig(
        vocab_size=loaded.model.config.vocab_size,
        hidden_size=768,
        intermediate_size=2048,
        num_hidden_layers=12,
        num_attention_heads=12,
        head_dim=64,
    )
    with torch.device("meta"):
        empty = LlamaForCausalLM(config)
    return random_copy(empty.to_empty(device="cpu"), seed=0), pairs


def _scores(side: Side, model: "PreTrainedModel", pairs: "TokenPairs") -> np.ndarray:
    from engine.bench.straightforward import straightforward_scores
    from engine.components.scores import score_edges

    if side == "straightforward":
        return straightforward_scores(model, pairs, n_steps=N_STEPS, batch=BATCH)
    settings = ScoreSettings(n_pairs=len(pairs), n_steps=N_STEPS, n_groups=1)
    scores: np.ndarray = score_edges(model, pairs, settings).groups[0]
    return scores


def _in_child(name: Model, side: Side, n_pairs: int) -> float:
    """MB, in a process of its own: what one run left must not be what the next one finds."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return float(pool.apply(_peak_mb, (name, side, n_pairs)))


def _peak_mb(name: Model, side: Side, n_pairs: int) -> float:
    """The highest resident memory while it scores, above that before, in MB."""
    import torch

    from engine.bench.setting import throw_away

    torch.set_num_threads(1)
    with throw_away() as setting:
        model, pairs = _loaded(setting.store, name)
    _scores(side, model, pairs.part(range(2)))  # what is loaded once and stays
    rows = np.arange(n_pairs) % len(pairs)
    with MemorySampler() as peak:
        _scores(side, model, pairs.part(rows))
    return peak.rise_mb
