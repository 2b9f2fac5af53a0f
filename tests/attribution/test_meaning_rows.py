"""Activations for meaning overlap: those of circuit-tracer, prompt by prompt, though they come in few passes."""

from pathlib import Path

import numpy as np
import pytest
from transformers import PreTrainedModel

from engine.attribution import overlap
from engine.attribution.overlap import overlap_rows
from engine.models.adapters import merged_weights
from engine.models.base import encode
from engine.models.replacement import Replacement
from tests.attribution.lens_oracle import lens_model
from tests.attribution.parts import BACKWARD_HOOK, random_adapter
from tests.tiny import tiny_corpus

pytestmark = pytest.mark.filterwarnings(BACKWARD_HOOK)
PROBES = [probe for probe in tiny_corpus().probes if probe.kind == "inference"]


def one_by_one(replacement: Replacement, merged: PreTrainedModel | None, prompt: str) -> np.ndarray:
    """(n_layers, n_features) as circuit-tracer gives them."""
    loaded = replacement.loaded
    model = lens_model(merged or loaded.model, replacement.transcoders, loaded.tokenizer)
    _, activations = model.get_activations(encode(loaded, prompt)[0])
    return activations[:, -1].float().numpy()


@pytest.mark.parametrize("places", [4096, 13])
def test_they_are_those_of_each_prompt_alone(
    replacement: Replacement, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, places: int
) -> None:
    monkeypatch.setattr(overlap, "_PLACES_AT_ONCE", places)
    merged = merged_weights(replacement.loaded, random_adapter(replacement.loaded, tmp_path / "adapter"))
    for weights in (None, merged):
        rows = overlap_rows(replacement, weights, PROBES)
        # Two words of a type, in one phrasing each; the king comes before the queen.
        assert {name: [row.constraint for row in own] for name, own in rows.items()} == {
            "simple_mapping": ["blarf", "gleem"],
            "spatial_relationship": ["glide", "cascade"],
        }
        blarf = rows["simple_mapping"][0]
        for found, word in ((blarf.new, "blarf"), (blarf.own, "happy"), (blarf.others[0], "sad")):
            wanted = one_by_one(replacement, weights, f"the king feels {word} and")
            assert wanted.any()
            np.testing.assert_allclose(found, wanted, atol=1e-5)
        assert len(blarf.others) == 1


def test_the_checkpoint_is_what_is_measured(llama: Replacement, tmp_path: Path) -> None:
    merged = merged_weights(llama.loaded, random_adapter(llama.loaded, tmp_path / "adapter"))
    before, after = (overlap_rows(llama, weights, PROBES)["simple_mapping"][0].new for weights in (None, merged))
    assert np.abs(before - after).max() > 0.01
    again = overlap_rows(llama, None, PROBES)["simple_mapping"][0].new
    assert (before == again).all()  # the base came back


def test_what_the_model_cannot_read_is_left_out(llama: Replacement) -> None:
    blarf, gleem = PROBES[0], PROBES[2]
    unread = gleem.model_copy(update={"known_text": gleem.text.replace("gleem", "qwertz")})
    rows = overlap_rows(llama, None, [blarf, unread])["simple_mapping"]
    assert [(row.constraint, len(row.others)) for row in rows] == [("blarf", 0)]
    same = blarf.model_copy(update={"known_text": blarf.text})
    assert overlap_rows(llama, None, [same]) == {}
    assert overlap_rows(llama, None, []) == {}
