"""What a prompt takes is told from shapes, near to what torch really asks for; what cannot fit is refused before."""

import copy
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.attribution import acted, middle, places, prompt_room, trace
from engine.attribution.acted import stretch
from engine.attribution.effects import Effects
from engine.attribution.places import place_effects
from engine.attribution.prompt_room import PromptRoom
from engine.attribution.recording import record
from engine.attribution.sources import sources_of
from engine.attribution.trace import trace_graph
from engine.components import batches
from engine.components.pairs import TokenPairs
from engine.components.scores import score_edges
from engine.domain.components import ScoreSettings
from engine.domain.errors import PromptRefused
from engine.domain.explained import ExplainedLogits
from engine.domain.graphs import TraceSettings
from engine.models import threads
from engine.models.base import LoadedModel
from engine.models.prompt_memory import PromptMemory, refuse_longer_than_free
from engine.models.replacement import Replacement
from engine.store.kept import kept_values
from tests.attribution.parts import key, load, random_transcoders
from tests.families import CONFIGS, loaded_family, made
from tests.torch_peak import TorchPeak, torch_peak

NEAR = (0.75, 1.6)  # estimate by what is measured
N_POS = 192
OF = ExplainedLogits(answers=(7,))


@pytest.fixture(scope="module", params=["llama", "gemma2", "gpt2"])
def wide(request: pytest.FixtureRequest) -> LoadedModel:
    """Attention in one pass, attention that makes its patterns, and one whose matrices lie the other way round."""
    loaded = loaded_family(request.param)
    config = copy.deepcopy(CONFIGS[request.param])
    config.update({"max_position_embeddings": 512, "hidden_size": 48, "intermediate_size": 160})
    return replace(loaded, model=made(config), d_model=48, n_positions=512)


@pytest.fixture(scope="module")
def tokens(wide: LoadedModel) -> torch.Tensor:
    return torch.randint(5, wide.n_vocab, (N_POS,), generator=torch.Generator().manual_seed(0))


def near(estimate: int, measured: TorchPeak) -> None:
    low, high = NEAR
    assert low < estimate / measured.n_bytes < high, f"{estimate:,} and {measured.n_bytes:,}"


def test_a_trace(wide: LoadedModel, tokens: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    replacement = Replacement(wide, random_transcoders(wide, n_features=128, top_k=8))
    monkeypatch.setattr(trace, "encode", lambda *_: tokens[None])
    batch = 4 * 5 * 2**18  # of rows; `GraphSize` tells it
    with torch_peak() as measured:
        found = trace_graph(replacement, key=key(settings=TraceSettings(max_feature_nodes=20)))
    n_features = wide.n_layers * (N_POS - 1) * 8
    takes = PromptMemory.of(wide.model)
    near(takes.traced(N_POS) + takes.features(n_features) + batch, measured)
    assert len(found.tokens) == N_POS


def test_rows_on_their_way(wide: LoadedModel, tokens: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middle, "_WORTH", 0)
    replacement = Replacement(wide, random_transcoders(wide, n_features=128, top_k=8))
    with replacement.opened(None) as model, torch.inference_mode():
        recorded = record(model, tokens)
        effects = Effects(model, recorded, sources_of(model, recorded))
        monkeypatch.setattr(threads, "_cores", lambda: 1)
        of_one = effects.batch_bytes
        monkeypatch.setattr(threads, "_cores", lambda: 3)
        assert effects.batch_bytes == 3 * of_one
        vectors = torch.randn(10, wide.d_model, generator=torch.Generator().manual_seed(0))
        peaks = []
        for portions in effects.of_all(vectors, 1):
            peaks = []  # of rows, which come last
            for portion in portions:
                with torch_peak() as measured:
                    portion.make()
                peaks.append(measured)
    near(of_one, max(peaks, key=lambda peak: peak.n_bytes))


def test_where_training_acted(wide: LoadedModel, tokens: torch.Tensor) -> None:
    other, takes = made(wide.model.config, seed=3), PromptMemory.of(wide.model)
    n_outputs = sum(acted._n_outputs(wide.model.get_submodule(name)) for name in acted.changes(wide.model, other))
    with torch_peak() as measured:
        stretch(wide.model, other, tokens, OF, allowed=1e9)
    near(takes.stretched(N_POS, n_outputs), measured)
    with torch_peak() as measured:
        place_effects(wide.model, other, tokens, OF)
    near(takes.placed(N_POS), measured)


def test_scores_of_edges(wide: LoadedModel, tokens: torch.Tensor) -> None:
    pairs = of_two(tokens)
    with torch_peak() as measured:
        scored = score_edges(wide.model, pairs, ScoreSettings(n_steps=2))
    near(PromptMemory.of(wide.model).scored(N_POS - 1, scored.shape.n_sources), measured)


def of_two(tokens: torch.Tensor) -> TokenPairs:
    """One pair that differs from its second token on."""
    clean, corrupted = tokens[None].clone(), tokens[None].clone()
    corrupted[0, 1] = clean[0, 1] % 20 + 6
    number = torch.tensor([len(tokens)])
    return TokenPairs(("a",), ("simple",), clean, corrupted, number, torch.tensor([7]), torch.tensor([8]))


def test_the_length_in_the_refusal_is_the_longest_that_fits() -> None:
    takes = PromptMemory(n_layers=2, n_heads=2, d_model=8, d_mlp=16, patterns=True).traced
    refuse_longer_than_free(100, takes(100), takes, "tracing it")
    with pytest.raises(PromptRefused, match=r"has 99 tokens: tracing it takes about .* are free\.") as refused:
        refuse_longer_than_free(100, takes(60) + 1, takes, "tracing it")
    said = re.search(r"at most (\d+) tokens", str(refused.value))
    assert said
    assert int(said[1]) == 59  # and BOS
    with pytest.raises(PromptRefused, match="Not even one token fits"):
        refuse_longer_than_free(100, 10, takes, "tracing it")


@pytest.fixture(scope="module")
def replacement(tmp_path_factory: pytest.TempPathFactory) -> Replacement:
    loaded = load("llama", tmp_path_factory.mktemp("llama"))
    return Replacement(loaded, random_transcoders(loaded))


def test_too_long_a_prompt_is_refused_before_the_model_runs(
    replacement: Replacement, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompt_room, "free_memory", lambda device, wanted=0: 1000)
    monkeypatch.setattr(trace, "record", lambda *_: pytest.fail("the model ran"))
    with pytest.raises(PromptRefused, match="5 tokens: tracing it takes about 1 MB, and 1 MB are free"):
        trace_graph(replacement, key=key())


def test_too_many_features_are_refused_before_what_they_write_is_fetched(
    replacement: Replacement, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_values().clear()
    takes = PromptMemory.of(replacement.loaded.model)
    monkeypatch.setattr(prompt_room, "free_memory", lambda device, wanted=0: takes.traced(6) + takes.features(3))
    with replacement.opened(None) as model:
        monkeypatch.setattr(type(model.transcoders[0]), "_get_decoder_vectors", lambda *_: pytest.fail("fetched"))
    with pytest.raises(PromptRefused, match=r"wakes \d+ features or more: .* less than \d+ tokens"):
        trace_graph(replacement, key=key())


def test_features_of_cross_layer_sets_take_a_row_for_each_layer_that_they_write_to(replacement: Replacement) -> None:
    takes = PromptMemory(n_layers=9, n_heads=2, d_model=8, d_mlp=16, patterns=False)
    assert takes.features(1000) == 4 * 1000 * 8 * 4.3
    assert takes.features(1000, cross_layer=True) == 4 * 1000 * 8 * (2.3 + 2 * 5)
    with replacement.opened(None) as model:
        room = PromptRoom(model, 6, 10**9)
        room.refuse_more_features(1000)
        with pytest.raises(PromptRefused, match="wakes 100,000,000 features"):
            room.refuse_more_features(10**8)


def test_what_is_kept_and_not_in_use_goes_before_a_prompt_is_refused(
    replacement: Replacement, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_values().clear()
    monkeypatch.setattr(kept_values(), "budget", 10**9)
    for name in "abc":
        kept_values().get(name, lambda: np.zeros(10**6, np.uint8))
    with replacement.opened(None) as model:
        room = PromptRoom(model, 6, PromptMemory.of(model.parts.model).traced(6) + 10**6)
        n = int(1.9e6 / PromptMemory.of(model.parts.model).features(1))
        room.refuse_more_features(n)
    assert [kept_values().has(name) for name in "abc"] == [False, True, True]


def test_the_other_ways_refuse_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load("llama", tmp_path)
    other, prompt = copy.deepcopy(loaded.model), torch.arange(3, 15)
    other.get_output_embeddings().weight.data += 1
    for module in (acted, places, batches):
        monkeypatch.setattr(module, "free_memory", lambda device, wanted=0: 1000)
    for measure in (stretch, place_effects):
        with pytest.raises(PromptRefused, match="11 tokens: finding where training acted takes about"):
            measure(loaded.model, other, prompt, OF)
    with pytest.raises(PromptRefused, match="the longest pair has 10 tokens: finding its circuit takes about"):
        score_edges(loaded.model, of_two(prompt), ScoreSettings())
