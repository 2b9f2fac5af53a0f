"""Rows that go down and columns that go up meet where it costs least, and the edges are those of rows alone."""

import copy
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch

from engine.attribution import batches, middle
from engine.attribution.effects import Effects
from engine.attribution.held_stream import HeldStream
from engine.attribution.recording import record
from engine.attribution.sources import Sources, sources_of
from engine.models.base import LoadedModel, encode
from engine.models.replacement import Replacement
from tests.attribution.parts import random_transcoders
from tests.families import CONFIGS, loaded_family, made

N_LAYERS, N_LOGITS, D_MODEL = 8, 3, 24
PROMPT = "the cat feels blarf and the dog feels happy"
Scene = tuple[Effects, Sources, HeldStream]


def deep(family: str) -> LoadedModel:
    config = copy.deepcopy(CONFIGS[family])
    config.num_hidden_layers = N_LAYERS
    return replace(loaded_family(family), model=made(config), n_layers=N_LAYERS)


@pytest.fixture(scope="module", params=["llama", "gpt_neox"])  # one after the other, and parallel
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    loaded = deep(request.param)
    replacement = Replacement(loaded, random_transcoders(loaded))
    with torch.no_grad(), replacement.opened(None) as model:
        recorded = record(model, encode(loaded, PROMPT)[0])
        sources = sources_of(model, recorded)
        yield Effects(model, recorded, sources), sources, HeldStream(model, recorded, sources)


def edges(scene: Scene, layer: int) -> torch.Tensor:
    effects, sources, _ = scene
    vectors = torch.randn(N_LOGITS, D_MODEL, generator=torch.Generator().manual_seed(0))
    found = torch.zeros(sources.n_columns + N_LOGITS, sources.n_columns)
    untouched = torch.ones_like(found, dtype=torch.bool)
    work = 0.0
    for parts in effects.of_all(vectors, layer):
        for block in (block for part in parts for block in part.make()):
            assert not found[block.rows, block.columns].any()  # each edge is in one block
            found[block.rows, block.columns] = block.effects
            untouched[block.rows, block.columns] = False
        work += sum(part.share for part in parts)
    layers = sources.active[:, 0]
    assert untouched[: len(layers), : len(layers)][layers[:, None] <= layers].all()  # pages that take no memory
    assert work == pytest.approx(1)
    return found


@pytest.mark.parametrize("layer", range(1, N_LAYERS))
@pytest.mark.parametrize("at_least", [3, 10_000])  # in many batches, and in one
def test_edges_are_those_of_rows_alone_wherever_they_meet(
    scene: Scene, layer: int, at_least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = edges(scene, 0)
    monkeypatch.setattr(batches, "_AT_LEAST", at_least)
    monkeypatch.setattr(batches, "_TOGETHER", {"cpu": 1})
    found = edges(scene, layer)
    assert torch.count_nonzero(wanted) > 10_000
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6 * float(wanted.abs().max()))


def counted(scene: Scene, layer: int) -> float:
    """Positions that pass an attention, one after the other, and what the product at the middle takes, in the same."""
    _, sources, stream = scene
    n_pos, attention = len(sources.tokens), stream.attention[0]
    of_one = attention.values.numel() + attention.outputs.numel()
    features = [(at, position) for at, position, _ in sources.active.tolist()]
    targets = features + [(N_LAYERS, n_pos - 1)] * N_LOGITS
    written = [(at, position) for at in range(N_LAYERS) for position in range(1, n_pos)] + features
    columns = [(at, position) for at, position in written if at < layer] + [(-1, position) for position in range(n_pos)]
    rows = [(at, position) for at, position in targets if at >= layer]
    down = sum((min(at, N_LAYERS - 1) - layer) * position for at, position in rows)
    up = sum((layer - at) * (n_pos - position) for at, position in columns)
    met = sum(max(0, place - position + 1) for _, place in rows for _, position in columns)
    return down + up + met * D_MODEL / of_one


def test_the_best_is_the_cheapest_of_all(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middle, "_WORTH", 0)
    effects, sources, _ = scene
    best = effects.middle(N_LOGITS, room=1e12)
    costs = [counted(scene, layer) for layer in range(1, N_LAYERS)]
    assert best.layer == 1 + costs.index(min(costs))
    assert 1 < best.layer < N_LAYERS - 1
    n_pos = len(sources.tokens)
    waiting = [n_pos - position for layer, position, _ in sources.active.tolist() if layer < best.layer]
    errors = best.layer * sum(range(1, n_pos))
    assert best.n_bytes == 4 * D_MODEL * (sum(waiting) + errors + sum(range(1, n_pos + 1)))


def test_without_room_or_for_a_small_graph_rows_go_alone(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    effects, _, _ = scene
    assert effects.middle(N_LOGITS, room=1e12) == middle.Middle(0, 0)
    monkeypatch.setattr(middle, "_WORTH", 0)
    best = effects.middle(N_LOGITS, room=1e12)
    less = effects.middle(N_LOGITS, room=best.n_bytes - 1)
    assert less.layer < best.layer
    assert less.n_bytes < best.n_bytes
    assert effects.middle(N_LOGITS, room=0) == middle.Middle(0, 0)
