"""What automatic labels are made of: where features are most active over texts, and what their decoders promote.

The same activations and effects as in `engine.attribution.features`, without keeping what a label does not need: of
each feature its strongest places, so that thousands of features take one pass over the texts for each checkpoint.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from engine.attribution.features import (
    EFFECTS_AT_ONCE,
    Feature,
    SearchedTexts,
    by_layer,
    check_features,
    decoder_reads,
)
from engine.domain.jobs import CancelToken, Report, cancelable, part, turn
from engine.figures.feature_labels import MOST_PROMOTED, chance, most_active_on, promoted
from engine.models.base import LoadedModel
from engine.models.batches import beginnings, padded
from engine.models.hook_points import Read
from engine.models.low_rank import matrix
from engine.models.replacement import Replacement, ReplacementModel
from engine.models.token_texts import token_text

N_PLACES = 32  # the strongest of a feature, of all checkpoints together
_CANDIDATES = 4 * MOST_PROMOTED  # promoted tokens that are looked at: one token may be written in several ways
Tokens = tuple[str, ...]


@dataclass(frozen=True)
class LabelTokens:
    """Of each feature the tokens it is most active on and those it promotes; `n_tokens`: looked at in a checkpoint."""

    tokens: dict[Feature, tuple[Tokens, Tokens]]
    n_tokens: int


def label_tokens(
    replacement: Replacement,
    checkpoints: Sequence[PreTrainedModel | None],
    texts: Sequence[str],
    features: Sequence[Feature],
    *,
    report: Report,
    cancel: CancelToken,
) -> LabelTokens:
    """By the rules of `engine.figures.feature_labels`. `checkpoints`: their models, None for the base.

    Activations are compared over all the checkpoints; a place counts once in each, and of texts that begin alike what
    is common counts once: attention is causal, so activations there are the same. Promoted tokens are those of the last
    checkpoint. BOS is not looked at. Safe in threads: it holds the replacement's lock.
    Raises InputError (a feature that the set does not have; no text that the model can read), Canceled.
    """
    wanted = by_layer(sorted(set(features)))
    check_features(replacement, features)
    read = SearchedTexts.of(replacement.loaded, texts)
    fresh = _fresh(read)
    strongest = {layer: _Strongest.none(indices) for layer, indices in wanted.items()}
    written: dict[Feature, Tokens] = {}
    looking = _share_of_looking(replacement.loaded, read.n_tokens * len(checkpoints), len(features))
    passes, promoting = part(report, 0.0, looking), cancelable(part(report, looking, 1.0), cancel)
    with torch.no_grad():
        for number, merged in enumerate(checkpoints):
            with replacement.opened(merged) as model:
                _look_through(model, read, fresh, strongest, turn(passes, number, len(checkpoints)), cancel)
                if number == len(checkpoints) - 1:
                    written = _promoted(model, replacement.loaded.tokenizer, wanted, promoting)
    words = _Words(replacement.loaded.tokenizer, read)
    found = {}
    for layer, indices in wanted.items():
        for feature, active in zip(((layer, index) for index in indices), strongest[layer].tokens(words), strict=True):
            found[feature] = active, written[feature]
    return LabelTokens(found, int(fresh.sum()))


def _share_of_looking(loaded: LoadedModel, n_tokens: int, n_features: int) -> float:
    """Of the progress bar, by multiplications: passes over the tokens, and what decoders write times the vocabulary."""
    passes = n_tokens * loaded.model.num_parameters()
    return passes / (passes + n_features * loaded.d_model * loaded.n_vocab)


@dataclass
class _Strongest:
    """Of some features of a layer, the strongest places so far."""

    indices: list[int]
    activation: torch.Tensor  # (n_best, n_features), 0 where there are fewer
    place: torch.Tensor  # (n_best, n_features) int64, in all the tokens

    @classmethod
    def none(cls, indices: list[int]) -> "_Strongest":
        shape = (N_PLACES, len(indices))
        return cls(indices, torch.zeros(shape), torch.zeros(shape, dtype=torch.int64))

    def add(self, activation: torch.Tensor, place: torch.Tensor) -> None:
        """(n_more, n_features) at places (n_more,)."""
        values = torch.cat([self.activation, activation])
        places = torch.cat([self.place, place[:, None].expand(-1, len(self.indices))])
        self.activation, rows = values.topk(N_PLACES, dim=0)
        self.place = places.gather(0, rows)

    def tokens(self, words: "_Words") -> list[Tokens]:
        found = []
        for values, places in zip(self.activation.T.tolist(), self.place.T.tolist(), strict=True):
            active = sorted((-value, place) for value, place in zip(values, places, strict=True) if value > 0)
            pieces, so_far = zip(*(words.at(place) for _, place in active), strict=True) if active else ((), ())
            found.append(most_active_on(pieces, so_far, [-value for value, _ in active]))
        return found


def _look_through(
    model: ReplacementModel,
    texts: SearchedTexts,
    fresh: torch.Tensor,
    strongest: dict[int, _Strongest],
    report: Report,
    cancel: CancelToken,
) -> None:
    places = torch.arange(texts.n_tokens)
    for first, prompts in texts.batches(model):
        cancel.check()
        report(first / len(texts.prompts), f"Naming features: looking through the texts{beginnings(texts.n_cut)}")
        tokens, keep = padded(prompts, model.device)
        start = int(texts.starts[first])
        window = slice(start, start + int(keep.sum()))
        new = fresh[window].to(model.device)

        def reading(layer: int, keep: torch.Tensor = keep, new: torch.Tensor = new, here: slice = window) -> Read:
            def read(x: torch.Tensor) -> None:
                wanted = torch.tensor(strongest[layer].indices, device=x.device)
                active = model.transcoders.encode_layer(x[keep][new], layer)[:, wanted]
                strongest[layer].add(active.float().clamp(min=0).cpu(), places[here][fresh[here]])

            return read

        model.read(tokens, {layer: reading(layer) for layer in strongest})


def _fresh(texts: SearchedTexts) -> torch.Tensor:
    """(n_tokens,) bool: no earlier text begins with the same tokens up to there."""
    seen: set[tuple[int, ...]] = set()
    fresh = []
    for prompt in texts.prompts:
        ids = tuple(prompt.tolist())
        for end in range(2, len(ids) + 1):
            fresh.append(ids[:end] not in seen)
            seen.add(ids[:end])
    return torch.tensor(fresh)


class _Words:
    """The token at a place, and the word up to it."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, texts: SearchedTexts) -> None:
        self._decode, self._texts = tokenizer.decode, texts
        self._known: dict[int, tuple[str, str]] = {}

    def at(self, place: int) -> tuple[str, str]:
        if place not in self._known:
            number = int(self._texts.starts.searchsorted(place, side="right")) - 1
            within = place - int(self._texts.starts[number])
            token = self._texts.tokens[number][within]
            so_far = self._decode(self._texts.prompts[number][1 : within + 2]).split()
            is_word = any(map(str.isalnum, token)) and so_far and so_far[-1].endswith(token.strip())
            self._known[place] = token, so_far[-1] if is_word else token
        return self._known[place]


def _promoted(
    model: ReplacementModel, tokenizer: PreTrainedTokenizerFast, wanted: Mapping[int, list[int]], report: Report
) -> dict[Feature, Tokens]:
    """Only what stands out is decoded: the rest is most of thousands of features times the vocabulary."""
    n_features = sum(map(len, wanted.values()))
    output = matrix(model.parts.unembedding).float()  # (n_vocab, d_model)
    mean = output.mean(0)  # effects are above the mean over the vocabulary; rows minus it are never held: a gigabyte
    n_vocab, d_model = output.shape
    lengths = (output.norm(dim=1).square() - 2 * output @ mean + mean @ mean).clamp(min=0).sqrt()
    by_chance = lengths * chance(n_vocab) / d_model**0.5  # (n_vocab,) of a direction of length 1
    special = torch.tensor([i for i in set(tokenizer.all_special_ids) if i < n_vocab], dtype=torch.int64)
    found: dict[Feature, Tokens] = {}
    for layer, indices in wanted.items():
        for some in torch.tensor(indices).split(EFFECTS_AT_ONCE):
            report(len(found) / n_features, "Naming features: what they promote")
            read = decoder_reads(model, layer, some)  # (n_some, d_model)
            effects = read @ output.T - (read @ mean)[:, None]
            spread = effects.std(1, unbiased=False, keepdim=True) * chance(n_vocab)
            effects[(effects <= read.norm(dim=1, keepdim=True) * by_chance) | (effects <= spread)] = 0
            effects[:, special.to(effects.device)] = 0
            most = effects.topk(min(_CANDIDATES, n_vocab))
            for row, index in enumerate(some.tolist()):
                best = [value for value in most.values[row].tolist() if value > 0]
                tokens = [token_text(tokenizer, i) for i in most.indices[row, : len(best)].tolist()]
                found[layer, index] = promoted(tokens, best)
    return found
