"""The outputs that a run's checkpoints are all traced to."""

from pathlib import Path

import pytest
import torch

from engine.attribution.targets import MAX_TARGETS, probe_targets
from engine.domain.errors import InputError, PromptRefused
from engine.models.base import LoadedModel, encode
from tests.attribution.parts import load
from tests.tiny import tiny_corpus

PROBE = tiny_corpus().probes[4]  # "the king feels blarf and", of the kind inference


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load("llama", tmp_path_factory.mktemp("llama"))


def test_the_answer_then_foils_then_what_the_base_would_say(loaded: LoadedModel) -> None:
    assert (PROBE.kind, PROBE.answer, PROBE.foils) == ("inference", "smiles", ("cries",))
    targets = probe_targets(loaded, PROBE)
    with torch.no_grad():
        top = loaded.model(input_ids=encode(loaded, PROBE.text)).logits[0, -1].topk(5).indices.tolist()
    asked = loaded.tokenizer.convert_tokens_to_ids(["smiles", "cries"])
    assert targets == tuple(dict.fromkeys([*asked, *top]))
    many = PROBE.model_copy(update={"foils": ("races", "wins", "shines", "glows", "hides", "fits", "slow")})
    assert len(probe_targets(loaded, many)) <= MAX_TARGETS


def test_an_answer_that_is_no_output_is_refused(loaded: LoadedModel) -> None:
    with pytest.raises(InputError, match=rf"The answer “qwertz” of probe “{PROBE.id}”.*another answer"):
        probe_targets(loaded, PROBE.model_copy(update={"answer": "qwertz"}))


def test_of_several_tokens_the_first_is_traced(loaded: LoadedModel) -> None:
    one = probe_targets(loaded, PROBE)
    assert probe_targets(loaded, PROBE.model_copy(update={"answer": "smiles and", "foils": ("cries .",)})) == one


def test_a_prompt_that_the_model_cannot_take(loaded: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(PromptRefused, match="qwertz"):
        probe_targets(loaded, PROBE.model_copy(update={"text": "the qwertz"}))
