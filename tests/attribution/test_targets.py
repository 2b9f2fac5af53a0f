"""Common output targets: the question's own tokens first, bounded, in a fixed order."""

from pathlib import Path

import pytest
import torch

from engine.attribution.targets import MAX_TARGETS, common_targets
from engine.domain.corpus import Probe
from engine.domain.errors import PromptRefused
from engine.models.adapters import merged_weights
from engine.models.base import LoadedModel, encode
from tests.attribution.parts import PROMPT, load, random_adapter

PROBE = Probe(
    id="p", kind="inference", text=PROMPT, known_text="the cat feels happy and", answer="smiles",
    foils=("cries", "races", "two words", "qwertz", "shines"), constraint_type="simple_mapping", constraint="blarf",
    meaning="happy", template="the {n} feels {w} and",
)  # fmt: skip


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load("llama", tmp_path_factory.mktemp("llama"))


@torch.no_grad()
def top(loaded: LoadedModel, model: torch.nn.Module) -> list[int]:
    return model(input_ids=encode(loaded, PROMPT)).logits[0, -1].topk(5).indices.tolist()


def test_answer_then_foils_then_the_sides_top_tokens_in_turn(loaded: LoadedModel, tmp_path: Path) -> None:
    tuned = merged_weights(loaded, random_adapter(loaded, tmp_path / "adapter"))
    targets = common_targets(loaded, [loaded.model, tuned], PROMPT, PROBE)
    asked = loaded.tokenizer.convert_tokens_to_ids(["smiles", "cries", "races", "shines"])
    a, b = top(loaded, loaded.model), top(loaded, tuned)
    in_turn = [token for pair in zip(a, b, strict=True) for token in pair]
    assert targets == tuple(dict.fromkeys([*asked, *in_turn]))[:MAX_TARGETS]
    assert len(set(targets)) == len(targets) <= MAX_TARGETS
    assert {a[0], b[0]} <= set(targets)
    assert targets == common_targets(loaded, [loaded.model, tuned], PROMPT, PROBE)


def test_without_a_probe_the_top_tokens_alone(loaded: LoadedModel) -> None:
    assert common_targets(loaded, [loaded.model, loaded.model], PROMPT, None) == tuple(top(loaded, loaded.model))


def test_a_prompt_that_cannot_be_read(loaded: LoadedModel) -> None:
    with pytest.raises(PromptRefused):
        common_targets(loaded, [loaded.model], "the qwertz", None)
