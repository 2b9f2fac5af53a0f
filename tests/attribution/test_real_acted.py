"""Where training acted, on a real language model of thirty layers."""

from pathlib import Path

import pytest
import torch

from engine.attribution.acted import POINTS, said, stretch
from engine.attribution.places import place_effects
from engine.domain.explained import ExplainedLogits
from engine.domain.models import ModelSpec
from engine.models.base import encode, load_base
from engine.models.sharing import checkpoint_model
from tests.attribution.parts import random_adapter

pytestmark = pytest.mark.real
PROMPT = "Emma is feeling blarf today. In other words, Emma is feeling very"


def test_the_parts_of_a_lora_change_add_up(real_folder: Path, tmp_path: Path) -> None:
    """Its terms are a third of what the other tests use."""
    loaded = load_base(ModelSpec(name="smollm2", source="folder", location=str(real_folder)))
    tuned = checkpoint_model(loaded, random_adapter(loaded, tmp_path))
    for module in tuned.modules():
        if hasattr(module, "down"):
            module.down.mul_(0.3)
    prompt = encode(loaded, PROMPT)[0]
    of = ExplainedLogits(answers=(said(loaded.model, prompt),))
    found = stretch(loaded.model, tuned, prompt, of)
    change = found.after - found.before
    assert abs(change) > 0.05
    assert abs(found.sum - change) <= max(0.01 * abs(change), 0.002)
    assert found.n_points <= 8 * POINTS
    assert {matrix.layer for matrix in found.matrices} == set(range(30))
    assert found.by_matrix.shape == (7 * 30, len(prompt))
    assert {(head.layer, head.kind) for head in found.heads} == {
        (layer, kind) for layer in range(30) for kind in ("query", "key", "value", "output")
    }
    effects = place_effects(loaded.model, tuned, prompt, of)
    assert effects.mlp.shape == (30, len(prompt))
    assert effects.head.shape == (30, 9, len(prompt))
    assert torch.isfinite(torch.from_numpy(effects.head)).all()
