"""What a ranking is worth: held to patching, place by place and in growing groups."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.bench.row import BenchRow, plain
from engine.domain.explained import ExplainedLogits

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from engine.models.base import LoadedModel
    from engine.models.replacement import Replacement

RANDOM = "random"
_RANDOM_GROUPS = 10


@dataclass(frozen=True, eq=False)
class MovedPrompt:
    """A prompt whose answer's logit changed, from the base to the end of a run."""

    loaded: "LoadedModel"
    tuned: "PreTrainedModel"
    replacement: "Replacement"
    text: str
    prompt: "torch.Tensor"  # (n_pos,)
    of: ExplainedLogits
    change: float


@dataclass(frozen=True, eq=False)
class Ranked:
    """Places of one kind on one prompt, n of them, what each ranking says of them, and how they are patched.

    All is told in the direction of the logit's change: what is positive is taken back by patching.
    """

    change: float  # of the logit, from A to B
    default: str  # the ranking of these that the app goes by
    signed: dict[str, np.ndarray]  # (n,) what B would lose, about
    unsigned: dict[str, np.ndarray]  # (n,) how much a place counts, whichever way
    taken_back: Callable[[Sequence[Sequence[int]]], Sequence[float]]  # of groups of places, what B loses

    def __post_init__(self) -> None:
        assert self.default in self.signed | self.unsigned, self.default

    @property
    def scores(self) -> dict[str, np.ndarray]:
        return {name: np.sign(self.change) * score for name, score in self.signed.items()} | self.unsigned


@dataclass(frozen=True)
class Worth:
    """Of one ranking on one prompt."""

    correlation: float  # rank correlation with patching single places; NaN of random ones
    shares: dict[int, float]  # by size of the group: what its first places take back together, of the change


@dataclass(frozen=True)
class RankedPrompt:
    """What the rankings of places of one kind are worth on one prompt."""

    model: str
    run: str
    what: str  # MLPs, features, edges
    prompt: str
    default: str  # as `Ranked`
    worths: dict[str, Worth]  # by ranking; of random groups too


def ranked_mlps(
    a: "PreTrainedModel", b: "PreTrainedModel", prompt: "torch.Tensor", of: ExplainedLogits, change: float
) -> Ranked:
    """Every MLP at every token; `change`: of the explained logit from A to B."""
    from engine.attribution.places import place_effects, taken_back

    both = place_effects(a, b, prompt, of)
    places = list(np.ndindex(both.mlp.shape))
    return Ranked(
        change=change,
        default="gradient in both",
        signed={
            "gradient in both": both.mlp.ravel(),
            "gradient in A": place_effects(a, b, prompt, of, at=(a,)).mlp.ravel(),
            "gradient in B": place_effects(a, b, prompt, of, at=(b,)).mlp.ravel(),
        },
        unsigned={"size of the change": both.mlp_moved.ravel()},
        taken_back=lambda groups: taken_back(a, b, prompt, of, [[places[row] for row in group] for group in groups]),
    )


def worths(
    ranked: Ranked, sizes: Sequence[int], *, most_singles: int, seed: int, by_chance: bool = False
) -> dict[str, Worth]:
    """By ranking, and of random groups.

    Of more than `most_singles` places only some are patched alone: the first ones of every ranking and as many again at
    random, or all of them `by_chance`. `seed`: another one for each prompt, else all have the same random groups.
    """
    from scipy.stats import spearmanr

    rng = np.random.default_rng(seed)
    scores = ranked.scores
    orders = {name: np.argsort(-score, kind="stable") for name, score in scores.items()}
    n = len(next(iter(scores.values())))
    rows = _tried([] if by_chance else list(orders.values()), n, most_singles, rng)
    single = np.array(ranked.taken_back([[row] for row in rows])) / ranked.change
    sizes = [size for size in sizes if size < n]
    groups = {(name, size): [order[:size].tolist()] for name, order in orders.items() for size in sizes}
    groups |= {
        (RANDOM, size): [rng.choice(n, size, replace=False).tolist() for _ in range(_RANDOM_GROUPS)] for size in sizes
    }
    share = {key: float(np.mean(ranked.taken_back(some))) / ranked.change for key, some in groups.items()}
    return {
        name: Worth(
            correlation=float(spearmanr(scores[name][rows], single).statistic) if name in scores else np.nan,
            shares={size: share[name, size] for size in sizes},
        )
        for name in (*scores, RANDOM)
    }


def worth_rows(title: str, prompts: Sequence[RankedPrompt]) -> list[BenchRow]:
    """Means over prompts, by ranking."""
    rows = []
    for name in prompts[0].worths if prompts else ():
        several = [prompt.worths[name] for prompt in prompts]
        of = f"{title}, {len(several)} prompts, {name}"
        if name != RANDOM:
            correlation = float(np.mean([one.correlation for one in several]))
            rows.append(plain(f"{of}: rank correlation with patching", correlation, ""))
        for size in several[0].shares:
            share = float(np.mean([one.shares[size] for one in several]))
            rows.append(plain(f"{of}: first {size} together take back", share, "of the change"))
    return rows


def _tried(orders: Sequence[np.ndarray], n: int, most: int, rng: np.random.Generator) -> list[int]:
    if n <= most:
        return list(range(n))
    share = most // (2 * max(1, len(orders)))
    first = dict.fromkeys(int(row) for order in orders for row in order[:share])
    others = [int(row) for row in rng.permutation(n) if int(row) not in first]
    return [*first, *others[: most - len(first)]]
