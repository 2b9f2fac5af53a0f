"""What automatic labels are made of: by hand, fast against slow, over checkpoints, from pieces of words."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from engine.attribution.features import SearchedTexts
from engine.attribution.labels import N_PLACES, LabelTokens, _Words, label_tokens
from engine.domain.errors import Canceled, InputError
from engine.figures.feature_labels import MOST_PROMOTED, most_active_on, promoted
from engine.models.base import LoadedModel, encode
from engine.models.replacement import Replacement
from engine.models.transcoders import new_transcoders
from tests.attribution.parts import Never, load, random_transcoders, silent
from tests.attribution.test_features import ALWAYS, CAT, NEVER, TEXTS, by_hand, cross_layer, shaken
from tests.tiny import N_LAYERS

__all__ = ["by_hand"]  # a fixture of the tests of features


def found(replacement: Replacement, features: list[tuple[int, int]], **options: object) -> LabelTokens:
    given = {"checkpoints": [None], "texts": TEXTS, "report": silent, "cancel": Never()} | options
    return label_tokens(replacement, given.pop("checkpoints"), given.pop("texts"), features, **given)  # type: ignore[arg-type]


def test_worked_out_by_hand(by_hand: Replacement) -> None:
    """What texts have in common at their beginning counts once: “the cat …” twice, “the dog …” three times.

    So of 9.4 CAT has 4 on one “cat”, 3 times 1.1 on “dog”, 2.1 on one “sad”. ALWAYS is 0.5 on twelve places: three are
    “dog”, two each are “the”, “feels” and “happy”, of which the first ones are named.
    """
    labels = found(by_hand, [NEVER, CAT, ALWAYS])
    assert labels.n_tokens == 12
    assert labels.tokens[CAT] == (("cat", "dog", "sad"), ())  # its decoder writes nothing
    assert labels.tokens[ALWAYS] == (("dog", "the", "feels"), ())
    assert labels.tokens[NEVER] == ((), ())
    assert list(labels.tokens) == sorted([NEVER, CAT, ALWAYS])


def test_a_place_counts_in_each_checkpoint(by_hand: Replacement) -> None:
    twice = found(by_hand, [CAT, NEVER], checkpoints=[None, None])
    assert twice == found(by_hand, [CAT, NEVER])


@pytest.mark.parametrize("kind", ["per layer", "cross-layer"])
def test_fast_against_slow(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text by text, with all activations of all places, in two checkpoints; in batches of two texts."""
    loaded = load("llama", tmp_path / "base")
    transcoders = random_transcoders(loaded, seed=1) if kind == "per layer" else cross_layer(loaded)
    replacement, other = Replacement(loaded, transcoders), shaken(loaded)
    features = [(layer, index) for layer in range(N_LAYERS) for index in range(20)]
    monkeypatch.setattr("engine.attribution.features._PLACES_AT_ONCE", 12)
    labels = found(replacement, features, checkpoints=[None, other])
    assert labels.tokens == slow(replacement, features, [None, other])
    assert any(active for active, _ in labels.tokens.values())
    assert any(written for _, written in labels.tokens.values())


def slow(replacement: Replacement, features: list[tuple[int, int]], checkpoints: list) -> dict:  # type: ignore[type-arg]
    strongest: dict[tuple[int, int], list[tuple[float, int, str]]] = {feature: [] for feature in features}
    for merged in checkpoints:
        seen: set[str] = set()
        with replacement.opened(merged) as model:
            place = 0
            for text in TEXTS:
                words = text.split()
                if "qwertz" in words or text.startswith(" "):  # cannot be read; the same tokens as another
                    continue
                if text in seen:
                    continue
                values, _ = model.activations(encode(replacement.loaded, text)[0])
                for end, word in enumerate(words, 1):
                    if " ".join(words[:end]) in seen:
                        place += 1
                        continue
                    seen.add(" ".join(words[:end]))
                    for layer, index in features:
                        value = float(values[layer, end, index])
                        if value > 0:
                            strongest[layer, index].append((-value, place, word))
                    place += 1
            norm, output = model.parts.final_norm, model.parts.unembedding.weight.float()
            written = {feature: _promoted(model, replacement.loaded, norm, output, feature) for feature in features}
    labels = {}
    for feature, places in strongest.items():
        best = sorted(places)[:N_PLACES]
        words = [word for *_, word in best]
        labels[feature] = most_active_on(words, words, [-value for value, *_ in best]), written[feature]
    return labels


@torch.no_grad()
def _promoted(model, loaded: LoadedModel, norm, output: torch.Tensor, feature: tuple[int, int]) -> tuple[str, ...]:  # type: ignore[no-untyped-def]
    """Token by token: its effect against those on all tokens, and of directions of the same length drawn by chance."""
    layer, index = feature
    read = norm.undivided(model.decoders(layer, torch.tensor([index])).float()[0].sum(0)[None])[0]  # (d_model,)
    mean, effects = output.mean(0), {}
    spread = float((output @ read).std(unbiased=False))
    for token, row in enumerate(output):
        deviation = float(read.norm() * (row - mean).norm()) / len(read) ** 0.5
        effect = float(read @ (row - mean))
        bar = max(deviation, spread) * math.sqrt(2 * math.log(len(output)))
        if effect > bar and token not in loaded.tokenizer.all_special_ids:
            effects[token] = effect
    ranked = sorted(effects, key=lambda token: -effects[token])[: 4 * MOST_PROMOTED]
    return promoted([loaded.tokenizer.decode([i]) for i in ranked], [effects[i] for i in ranked])


def test_directions_drawn_by_chance_promote_nothing(by_hand: Replacement) -> None:
    """Of 500 at most a tenth, although one token's output row is ten times as long as the others'."""
    loaded = by_hand.loaded
    output = loaded.model.lm_head.weight.data
    before = output.clone()
    try:
        output[7] *= 10
        transcoders = new_transcoders(loaded, 500, 8)
        generator = torch.Generator().manual_seed(0)
        transcoders[0].W_dec.data.copy_(torch.randn(transcoders[0].W_dec.shape, generator=generator))
        labels = found(Replacement(loaded, transcoders), [(0, index) for index in range(500)])
    finally:
        output.copy_(before)
    assert sum(bool(written) for _, written in labels.tokens.values()) < 50


def test_a_token_that_a_decoder_writes_alone_is_promoted(by_hand: Replacement) -> None:
    """Of a decoder row along the output row of “smiles”, nothing stands out but it."""
    loaded = by_hand.loaded
    transcoders = new_transcoders(loaded, 8, 8)
    smiles = int(encode(loaded, "smiles")[0, 1])
    output = loaded.model.lm_head.weight.data
    transcoders[1].W_dec.data[3] = torch.linalg.lstsq(output, torch.eye(len(output))[:, [smiles]]).solution[:, 0]
    assert found(Replacement(loaded, transcoders), [(1, 3)]).tokens[1, 3] == ((), ("smiles",))


def test_pieces_are_named_by_the_word_that_they_end(by_hand: Replacement) -> None:
    """“blarf” in two pieces: what is active on its last one is active on “blarf”. Signs are no part of a word."""
    pieces = {piece: row for row, piece in enumerate(("<bos>", "Ġthe", "Ġbl", "arf", "Ġhappy", "."))}
    words = Tokenizer(models.BPE(pieces, []))
    words.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words)
    prompts = [torch.tensor([0, 1, 2, 3, 5]), torch.tensor([0, 4, 3])]
    tokens = [tuple(tokenizer.decode([i]) for i in prompt.tolist()[1:]) for prompt in prompts]
    known = _Words(tokenizer, SearchedTexts(prompts, tokens, np.array([0, 4]), 6))
    assert [known.at(place)[1] for place in range(6)] == ["the", "bl", "blarf", ".", "happy", "happyarf"]


def test_refused_and_canceled(by_hand: Replacement) -> None:
    with pytest.raises(InputError, match="Feature 0/99 does not exist"):
        found(by_hand, [(0, 99)])
    with pytest.raises(InputError, match="none of the 1 given can be read"):
        found(by_hand, [CAT], texts=["qwertz"])

    class Now(Never):
        def check(self) -> None:
            raise Canceled

    with pytest.raises(Canceled):
        found(by_hand, [CAT], cancel=Now())
