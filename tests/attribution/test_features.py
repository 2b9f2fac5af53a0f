"""What features stand for: activations worked out by hand, fast against slow, effects against brute force."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from circuit_tracer.transcoder import TranscoderSet
from circuit_tracer.transcoder.cross_layer_transcoder import CrossLayerTranscoder
from transformers import PreTrainedModel

from engine.attribution import features as features_module
from engine.attribution.features import N_BINS, N_TOKENS, describe, token_effects
from engine.domain.errors import Canceled, InputError
from engine.domain.features import FeatureFacts
from engine.models.base import LoadedModel, encode
from engine.models.replacement import Replacement
from engine.models.transcoders import AnyTranscoders, load_transcoders, new_transcoders, save_transcoders
from tests.attribution.lens_oracle import lens_model
from tests.attribution.parts import FOLDERS, Never, load, random_transcoders, silent
from tests.tiny import N_LAYERS

TEXTS = (
    "the cat feels happy",
    "the dog feels sad",
    "the cat and the dog",
    "the dog feels sad",  # twice
    "  the   dog feels sad ",  # the same tokens
    "the qwertz is happy",  # cannot be read
    "happy dog",
)
CAT, ALWAYS, NEVER = (0, 0), (0, 1), (0, 2)
Facts = dict[tuple[int, int], FeatureFacts]


def look_up(replacement: Replacement, features: list[tuple[int, int]], **options: object) -> Facts:
    given = {"merged": None, "texts": TEXTS, "n_texts": 8, "report": silent, "cancel": Never()} | options
    merged, texts = given.pop("merged"), given.pop("texts")
    return describe(replacement, merged, texts, features, **given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> Replacement:
    """A Llama whose first layer does not attend, so that what layer 0 reads follows from the token alone.

    Feature CAT is 4 on “cat”, 2.1 on “sad”, 1.1 on “dog”, 0 elsewhere; ALWAYS is 0.5 everywhere; NEVER is never active.
    """
    loaded = load("llama", tmp_path_factory.mktemp("by hand") / "base")
    loaded.model.model.layers[0].self_attn.o_proj.weight.data.zero_()
    transcoders = new_transcoders(loaded, 8, 8)
    replacement = Replacement(loaded, transcoders)
    wanted = {"cat": 4.0, "sad": 2.1, "dog": 1.1, "the": 0.0, "feels": 0.0, "happy": 0.0, "and": 0.0}
    reads = torch.stack([_reads(replacement, word) for word in wanted])  # (n_words, d_model)
    values = torch.tensor(list(wanted.values()))
    transcoders[0].W_enc.data[0] = torch.linalg.lstsq(reads, values[:, None], driver="gelsd").solution[:, 0]
    transcoders[0].b_enc.data[:3] = torch.tensor([-1e-4, 0.5, -1.0])  # 0 is 0 in spite of rounding
    return replacement


def _reads(replacement: Replacement, word: str) -> torch.Tensor:
    found = []
    with replacement.opened(None) as model:
        model.read(encode(replacement.loaded, word), {0: lambda reads: found.append(reads[0, 1])})
    return found[0]


def test_facts_worked_out_by_hand(by_hand: Replacement) -> None:
    facts = look_up(by_hand, [CAT])[CAT]
    assert (facts.layer, facts.index) == CAT
    assert facts.n_tokens == 4 + 4 + 5 + 2  # without BOS; every text once
    assert facts.n_active == 6  # cat, cat, dog, dog, dog, sad
    assert facts.density == 6 / 15
    assert facts.max_activation == pytest.approx(4.0, abs=1e-3)
    assert {place: count for place, count in enumerate(facts.counts.tolist()) if count} == {5: 3, 10: 1, 19: 2}
    assert len(facts.counts) == N_BINS
    # “the cat and the dog” begins with the same words up to its peak as “the cat feels happy”, which comes first
    assert [" ".join(text.tokens) for text in facts.texts] == ["the cat feels happy", "the dog feels sad", "happy dog"]
    assert facts.texts[1].activation == pytest.approx([0, 1.1, 0, 2.1], abs=1e-3)
    assert facts.texts[1].activation.dtype == np.float32


def test_a_feature_that_is_always_and_one_that_is_never_active(by_hand: Replacement) -> None:
    facts = look_up(by_hand, [NEVER, ALWAYS])
    always, never = facts[ALWAYS], facts[NEVER]
    assert (always.n_active, always.max_activation, always.counts[-1]) == (15, 0.5, 15)
    assert [text.tokens[0] for text in always.texts] == ["the", "happy"]  # all equal: the first of each beginning
    assert (never.n_active, never.max_activation, never.counts.sum(), never.texts) == (0, 0.0, 0, ())
    assert never.n_tokens == 15


def test_as_many_texts_as_asked_for(by_hand: Replacement) -> None:
    assert [len(look_up(by_hand, [CAT], n_texts=n)[CAT].texts) for n in (0, 1, 2)] == [0, 1, 2]


def test_a_decoder_that_writes_nothing_promotes_nothing(by_hand: Replacement) -> None:
    facts = look_up(by_hand, [CAT])[CAT]
    assert (facts.promoted, facts.suppressed) == ((), ())


def cross_layer(loaded: LoadedModel) -> CrossLayerTranscoder:
    made = CrossLayerTranscoder(
        N_LAYERS, 24, loaded.d_model, lazy_decoder=False, feature_input_hook="mlp.hook_in",
        feature_output_hook="mlp.hook_out", device=loaded.model.device, dtype=torch.float32,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(3)
    for parameter in made.parameters():
        parameter.data.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return made


def shaken(loaded: LoadedModel) -> PreTrainedModel:
    """Another checkpoint: every weight is changed, final norm and output matrix too."""
    model = copy.deepcopy(loaded.model)
    generator = torch.Generator().manual_seed(5)
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    return model


def from_folder(loaded: LoadedModel, folder: Path) -> AnyTranscoders:
    """As published sets are: circuit-tracer's own form, ReLU, its matrices read when they are needed."""
    save_transcoders(folder, random_transcoders(loaded))
    config = "model_kind: transcoder_set\nfeature_input_hook: mlp.hook_in\nfeature_output_hook: mlp.hook_out\n"
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    return load_transcoders(folder, loaded)


@pytest.fixture(scope="module", params=[*FOLDERS, "cross-layer", "from a folder"])
def checkpoint(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Replacement, PreTrainedModel]:
    folder = tmp_path_factory.mktemp("features")
    loaded = load(request.param if request.param in FOLDERS else "llama", folder / "base")
    if request.param == "cross-layer":
        transcoders: AnyTranscoders = cross_layer(loaded)
    else:
        transcoders = random_transcoders(loaded) if request.param in FOLDERS else from_folder(loaded, folder)
    return Replacement(loaded, transcoders), shaken(loaded)


def test_all_at_once_is_text_by_text(checkpoint: tuple[Replacement, PreTrainedModel]) -> None:
    replacement, merged = checkpoint
    n_features = replacement.transcoders.d_transcoder
    names = [(layer, index) for layer in range(N_LAYERS) for index in range(n_features)]
    facts = look_up(replacement, names, merged=merged)
    assert set(facts) == set(names)
    texts = [TEXTS[0], TEXTS[1], TEXTS[2], TEXTS[6]]
    model = lens_model(merged, replacement.transcoders, replacement.loaded.tokenizer)
    slow = [model.get_activations(encode(replacement.loaded, text)[0])[1][:, 1:].numpy() for text in texts]
    for layer, index in names:
        here = facts[layer, index]
        each = [text[layer, :, index] for text in slow]
        values = np.concatenate(each)
        assert here.n_active == (values > 0).sum()
        assert here.max_activation == pytest.approx(values.max(), rel=1e-4, abs=1e-6)
        assert here.counts.sum() == here.n_active
        assert len({text.tokens for text in here.texts}) == len(here.texts)
        peaks = [text.activation.max() for text in here.texts]
        assert peaks == sorted(peaks, reverse=True)
        for text in here.texts:
            assert text.activation == pytest.approx(each[texts.index(" ".join(text.tokens))], rel=1e-3, abs=1e-5)
    assert any(one.n_active for one in facts.values())


def test_effects_are_those_of_one_unit_more_of_the_decoder_row(
    checkpoint: tuple[Replacement, PreTrainedModel],
) -> None:
    """In the last layer nothing reads what is written, so with the final norm's denominator held it is the effect."""
    replacement, merged = checkpoint
    last = N_LAYERS - 1
    names = [(last, index) for index in range(0, 24, 5)]
    tokens = encode(replacement.loaded, "the cat feels happy and")
    decoded = replacement.loaded.tokenizer.decode
    theirs = lens_model(merged, replacement.transcoders, replacement.loaded.tokenizer)
    with replacement.opened(merged) as model, torch.no_grad():
        effects = token_effects(model, replacement.loaded.tokenizer, names)
        for layer, index in names:
            row = replacement.transcoders._get_decoder_vectors(layer, torch.tensor([index])).reshape(-1)
            change = _logit_change(theirs, tokens, layer, row)
            change -= change.mean()
            for pairs, sign in zip(effects[layer, index], (1, -1), strict=True):
                order = (sign * change).argsort(descending=True)[:N_TOKENS].tolist()
                assert [token for token, _ in pairs] == [decoded([place]) for place in order]
                assert [by for _, by in pairs] == pytest.approx(change[order].tolist(), rel=1e-3, abs=1e-4)
        base = token_effects(model, replacement.loaded.tokenizer, names[:1])
    with replacement.opened(None) as model, torch.no_grad():
        assert token_effects(model, replacement.loaded.tokenizer, names[:1]) != base  # of this checkpoint's output


def _logit_change(model: torch.nn.Module, tokens: torch.Tensor, layer: int, row: torch.Tensor) -> torch.Tensor:
    """(n_vocab,) change of the last position's logits before any cap, times the final norm's denominator."""
    scales: list[torch.Tensor] = []

    def logits(*hooks: tuple[str, object]) -> torch.Tensor:
        found: list[torch.Tensor] = []
        at = ("unembed.hook_post", lambda values, **_: found.append(values[0, -1].clone()))
        with model.hooks(fwd_hooks=[*hooks, at]):
            model(tokens)
        return found[0]

    before = logits(("ln_final.hook_scale", lambda scale, **_: scales.append(scale.clone())))
    after = logits(
        (f"blocks.{layer}.{model.original_feature_output_hook}", lambda values, **_: values + row),
        ("ln_final.hook_scale", lambda scale, **_: scales[0]),
    )
    return (after - before) * scales[0][0, -1]


def test_a_cross_layer_decoder_writes_in_every_layer_from_its_own_on(tmp_path: Path) -> None:
    loaded = load("llama", tmp_path / "base")
    replacement = Replacement(loaded, cross_layer(loaded))
    rows = replacement.transcoders.W_dec[0][7]  # (n_layers, d_model)
    assert len(rows) == N_LAYERS
    effects = (rows.sum(0) * loaded.model.model.norm.weight) @ loaded.model.lm_head.weight.T
    effects -= effects.mean()
    with replacement.opened(None) as model, torch.no_grad():
        ((promoted, _),) = token_effects(model, loaded.tokenizer, [(0, 7)]).values()
    assert promoted[0][1] == pytest.approx(float(effects.detach().max()), rel=1e-4)


@pytest.mark.parametrize(
    ("places", "values", "worked_out"), [(1, 2**26, 2**25), (12, 40, 2**25), (2048, 1, 2**25), (2048, 2**26, 12 * 48)]
)
def test_batches_and_passes_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, places: int, values: int, worked_out: int
) -> None:
    loaded = load("llama", tmp_path / "base")
    replacement = Replacement(loaded, random_transcoders(loaded))
    names = [(layer, index) for layer in range(N_LAYERS) for index in range(0, 48, 3)]
    whole = look_up(replacement, names)
    monkeypatch.setattr(features_module, "_PLACES_AT_ONCE", places)
    monkeypatch.setattr(features_module, "_VALUES_AT_ONCE", values)
    monkeypatch.setattr(features_module, "_WORKED_OUT_AT_ONCE", worked_out)
    parts = look_up(replacement, names)
    assert list(parts) == list(whole)
    for name in names:
        one, other = whole[name], parts[name]
        assert (one.n_tokens, one.n_active, one.counts.tolist()) == (
            other.n_tokens,
            other.n_active,
            other.counts.tolist(),
        )
        for a, b in ((one.promoted, other.promoted), (one.suppressed, other.suppressed)):
            assert [token for token, _ in a] == [token for token, _ in b]
            assert [by for _, by in a] == pytest.approx([by for _, by in b], rel=1e-5)
        for a, b in zip(one.texts, other.texts, strict=True):
            assert a.activation.max() == pytest.approx(b.activation.max(), rel=1e-4)


def test_progress_runs_to_the_end_and_is_canceled_between_batches(
    by_hand: Replacement, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features_module, "_PLACES_AT_ONCE", 1)  # a text a batch
    said: list[float] = []

    class Token:
        def check(self) -> None:
            if len(said) == 2:
                raise Canceled

    look_up(by_hand, [CAT], report=lambda fraction, message: said.append(fraction))
    assert said == [0.0, 0.25, 0.5, 0.75]
    said.clear()
    with pytest.raises(Canceled):
        look_up(by_hand, [CAT], report=lambda fraction, message: said.append(fraction), cancel=Token())


@pytest.mark.parametrize("feature", [(0, 8), (N_LAYERS, 0), (-1, 0), (0, -1)])
def test_a_feature_that_does_not_exist(by_hand: Replacement, feature: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=f"Feature {feature[0]}/{feature[1]} does not exist.*layers 0 to 1.*0 to 7"):
        look_up(by_hand, [CAT, feature])


def test_no_text_that_can_be_read(by_hand: Replacement) -> None:
    with pytest.raises(InputError, match="none of the 2 given can be read"):
        look_up(by_hand, [CAT], texts=("qwertz", ""))


def test_the_model_is_the_base_again(by_hand: Replacement) -> None:
    before = {name: value.clone() for name, value in by_hand.loaded.model.named_parameters()}
    look_up(by_hand, [CAT], merged=shaken(by_hand.loaded))
    assert all(torch.equal(value, before[name]) for name, value in by_hand.loaded.model.named_parameters())
    assert isinstance(by_hand.transcoders, TranscoderSet)
