"""What transcoder features stand for in one checkpoint: the texts that wake them, the tokens that they write.

The views that people know from circuit-tracer and Neuronpedia, computed here: where a feature is active over a list
of texts, and the direct effect of its decoder on the logits (the “logit lens” of its decoder row).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from engine.domain.errors import InputError
from engine.domain.features import FeatureFacts, FeatureText
from engine.domain.jobs import CancelToken, Report
from engine.models.base import LoadedModel
from engine.models.batches import beginnings, padded, tokenised
from engine.models.hook_points import Read
from engine.models.low_rank import matrix
from engine.models.replacement import Replacement, ReplacementModel
from engine.models.token_texts import token_text

N_BINS = 20  # of the histogram
N_TOKENS = 8  # promoted, and as many suppressed
Feature = tuple[int, int]  # (layer, index)
Weighted = tuple[tuple[str, float], ...]
# Memory: at most so many activations of one layer are worked out at once (134 MB), and so many are kept of the features
# asked for (256 MB); more features are looked up in several passes over the texts.
_WORKED_OUT_AT_ONCE = 2**25
_PLACES_AT_ONCE = 2048  # tokens of one forward pass with their padding, at most
_VALUES_AT_ONCE = 2**26
EFFECTS_AT_ONCE = 64  # features; each has an effect on the whole vocabulary


def describe(
    replacement: Replacement,
    merged: PreTrainedModel | None,
    texts: Sequence[str],
    features: Sequence[Feature],
    *,
    n_texts: int,
    report: Report,
    cancel: CancelToken,
) -> dict[Feature, FeatureFacts]:
    """Facts of the named features in the checkpoint whose weights are `merged` (None: the base), over `texts`.

    A text that the model cannot read is left out, a text that comes twice is taken once, and BOS is not looked at:
    activations are those of circuit-tracer's `get_activations`. Active is above 0. `n_texts` are kept of each feature,
    by their highest activation (of equals the first), and of texts that differ only behind it one. Promoted and
    suppressed tokens are those of `token_effects`. Per-layer and cross-layer transcoders alike. Safe in threads: it
    holds the replacement's lock.
    Raises InputError (a feature that the set does not have; no text that the model can read), Canceled.
    """
    wanted = sorted(set(features))
    check_features(replacement, wanted)
    read = SearchedTexts.of(replacement.loaded, texts)
    facts: dict[Feature, FeatureFacts] = {}
    per_pass = max(1, _VALUES_AT_ONCE // read.n_tokens)
    with replacement.opened(merged) as model, torch.no_grad():
        for first in range(0, len(wanted), per_pass):
            part = wanted[first : first + per_pass]

            def progress(fraction: float, done: int = first, n: int = len(part)) -> None:
                cancel.check()
                report((done + n * fraction) / len(wanted), f"Looking through the texts{beginnings(read.n_cut)}")

            values = _activations(model, read, part, progress)
            written = token_effects(model, replacement.loaded.tokenizer, part)
            for feature, row in zip(part, values, strict=True):
                facts[feature] = _facts(feature, row, read, n_texts, *written[feature])
    return facts


def token_effects(
    model: ReplacementModel, tokenizer: PreTrainedTokenizerFast, features: Sequence[Feature]
) -> dict[Feature, tuple[Weighted, Weighted]]:
    """The tokens that each feature's decoder promotes and suppresses most, with the effect of one unit of activation.

    A decoder row (of a cross-layer transcoder: the sum of its rows) times the final norm's weight times the
    unembedding, minus the mean over the vocabulary. This is the direct effect on a logit but for one factor that
    differs from place to place and is left out: the final norm's denominator, which divides all of them alike.
    Later layers that read the feature are not in it, nor is a soft cap.
    """
    names: dict[int, str] = {}

    def weighted(values: torch.Tensor, ids: torch.Tensor) -> Weighted:
        pairs = zip(ids.tolist(), values.tolist(), strict=True)
        return tuple((_named(names, tokenizer, i), by) for i, by in pairs if by)

    found: dict[Feature, tuple[Weighted, Weighted]] = {}
    for layer, indices in by_layer(features).items():
        for part in torch.tensor(indices).split(EFFECTS_AT_ONCE):
            effects = decoder_effects(model, layer, part)  # (n_part, n_vocab)
            k = min(N_TOKENS, effects.shape[1])
            most, least = effects.clamp(min=0).topk(k), (-effects).clamp(min=0).topk(k)
            for row, index in enumerate(part.tolist()):
                up = weighted(most.values[row], most.indices[row])
                found[layer, index] = up, weighted(-least.values[row], least.indices[row])
    return found


def decoder_effects(model: ReplacementModel, layer: int, indices: torch.Tensor) -> torch.Tensor:
    """(n_features, n_vocab) float32 on the CPU: minus their mean over the vocabulary."""
    effects = decoder_reads(model, layer, indices) @ matrix(model.parts.unembedding).float().T
    return (effects - effects.mean(-1, keepdim=True)).cpu()


def decoder_reads(model: ReplacementModel, layer: int, indices: torch.Tensor) -> torch.Tensor:
    """(n_features, d_model) float32: what the output matrix reads of each decoder, but for the norms' denominators."""
    rows = model.decoders(layer, indices.to(model.device)).float()  # (n_features, n_written, d_model)
    # What a norm behind the MLP makes of it, but for the denominator, which differs from place to place, too.
    behind = [model.points.norm_written(layer + place) for place in range(rows.shape[1])]
    written = [rows[:, place] if norm is None else norm.undivided(rows[:, place]) for place, norm in enumerate(behind)]
    return model.parts.final_norm.undivided(torch.stack(written).sum(0))


@dataclass(frozen=True)
class SearchedTexts:
    """What is looked through. Tokens are counted over all the texts, without position 0."""

    prompts: list[torch.Tensor]  # each (n_pos,) with BOS
    tokens: list[tuple[str, ...]]  # each (n_pos - 1,)
    starts: np.ndarray  # (n_texts,) where each begins among all the tokens
    n_tokens: int
    n_cut: int = 0  # of how many of the texts only the beginning is looked through

    @classmethod
    def of(cls, loaded: LoadedModel, texts: Sequence[str]) -> "SearchedTexts":
        # Texts that differ only in their spaces are the same tokens.
        read, n_cut = tokenised(loaded, texts)
        prompts = list({tuple(prompt.tolist()): prompt for prompt in read}.values())
        if not prompts:
            raise InputError(
                f"Features are looked up in texts, and none of the {len(texts)} given can be read by the model. Use a "
                "run whose corpus is made of the model's words."
            )
        names: dict[int, str] = {}
        tokens = [tuple(_named(names, loaded.tokenizer, i) for i in prompt.tolist()[1:]) for prompt in prompts]
        ends = np.cumsum([len(text) for text in tokens])
        return cls(prompts, tokens, np.concatenate([[0], ends[:-1]]), int(ends[-1]), n_cut)

    def batches(self, model: ReplacementModel) -> Iterator[tuple[int, list[torch.Tensor]]]:
        """The number of the first text of each, and its prompts: as many as the memory limits above allow."""
        n_places = min(_PLACES_AT_ONCE, _WORKED_OUT_AT_ONCE // model.transcoders.d_transcoder)
        batch: list[torch.Tensor] = []
        for number, prompt in enumerate(self.prompts):
            longest = max(len(other) for other in (*batch, prompt))
            if batch and longest * (len(batch) + 1) > n_places:
                yield number - len(batch), batch
                batch = []
            batch.append(prompt)
        yield len(self.prompts) - len(batch), batch


def _activations(
    model: ReplacementModel,
    texts: SearchedTexts,
    features: Sequence[Feature],
    progress: Callable[[float], None],
) -> np.ndarray:
    """(n_features, n_tokens) float32, in the order of `features`, which are sorted."""
    values = np.zeros((len(features), texts.n_tokens), np.float32)
    layers = by_layer(features)
    for first, prompts in texts.batches(model):
        progress(first / len(texts.prompts))
        tokens, keep = padded(prompts, model.device)
        start = int(texts.starts[first])
        window = slice(start, start + int(keep.sum()))
        reads, row = {}, 0
        for layer, indices in layers.items():
            rows = slice(row, row + len(indices))
            reads[layer] = _into(values[rows, window], model, layer, indices, keep)
            row = rows.stop
        model.read(tokens, reads)
    return values


def _into(values: np.ndarray, model: ReplacementModel, layer: int, indices: Sequence[int], keep: torch.Tensor) -> Read:
    """Puts activations of these features at the places to keep into values (n_features, n_kept)."""
    wanted = torch.tensor(indices, device=keep.device)

    def read(x: torch.Tensor) -> None:
        active = model.transcoders.encode_layer(x[keep], layer)[:, wanted]  # (n_kept, n_features)
        values[:] = active.T.float().cpu().numpy()

    return read


def _facts(
    feature: Feature, values: np.ndarray, texts: SearchedTexts, n_texts: int, promoted: Weighted, suppressed: Weighted
) -> FeatureFacts:
    """`values`: (n_tokens,) its activation on every token."""
    active = values[values > 0]
    highest = float(active.max()) if len(active) else 0.0
    counts, _ = np.histogram(active, bins=N_BINS, range=(0.0, highest or 1.0))
    return FeatureFacts(
        layer=feature[0],
        index=feature[1],
        n_tokens=len(values),
        n_active=len(active),
        max_activation=highest,
        counts=counts,
        texts=_most_active(values, texts, n_texts),
        promoted=promoted,
        suppressed=suppressed,
    )


def _most_active(values: np.ndarray, texts: SearchedTexts, n_texts: int) -> tuple[FeatureText, ...]:
    """By the highest activation of each text; of those with the same words up to there only the first.

    What stands behind does not change an activation (attention is causal), so they would all say the same.
    """
    peaks = np.maximum.reduceat(values, texts.starts)  # (n_texts,)
    found: dict[tuple[str, ...], FeatureText] = {}
    for number in np.argsort(-peaks, kind="stable").tolist():
        if len(found) == n_texts or not peaks[number] > 0:
            break
        start, tokens = texts.starts[number], texts.tokens[number]
        own = values[start : start + len(tokens)].copy()  # a view would keep all the values alive
        found.setdefault(tokens[: int(own.argmax()) + 1], FeatureText(tokens, own))
    return tuple(found.values())


def by_layer(features: Sequence[Feature]) -> Mapping[int, list[int]]:
    """Layer -> indices, both in the order in which they come."""
    layers: dict[int, list[int]] = {}
    for layer, index in features:
        layers.setdefault(layer, []).append(index)
    return layers


def check_features(replacement: Replacement, features: Sequence[Feature]) -> None:
    transcoders = replacement.transcoders
    n_layers, n_features = transcoders.n_layers, transcoders.d_transcoder
    for layer, index in features:
        if not (0 <= layer < n_layers and 0 <= index < n_features):
            raise InputError(
                f"Feature {layer}/{index} does not exist: this transcoder set has layers 0 to {n_layers - 1} with "
                f"features 0 to {n_features - 1} each."
            )


def _named(names: dict[int, str], tokenizer: PreTrainedTokenizerFast, token: int) -> str:
    if token not in names:
        names[token] = token_text(tokenizer, token)
    return names[token]
