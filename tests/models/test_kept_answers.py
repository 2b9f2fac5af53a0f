"""An imported checkpoint answers as it did when it was saved, or is refused."""

import copy
import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch

from engine.domain.errors import Damaged, InputError
from engine.models import kept_answers
from engine.models.as_trained import check_as_trained
from engine.models.base import LoadedModel
from engine.models.kept_answers import ANSWERS, KeptAnswers
from engine.models.sharing import checkpoint_model
from tests.attribution.parts import random_adapter
from tests.families import loaded_family


@pytest.fixture
def loaded() -> LoadedModel:
    kept_answers._looked_at.clear()
    return loaded_family("llama")


@pytest.fixture
def taken(loaded: LoadedModel, tmp_path: Path) -> Path:
    """As an import leaves it."""
    folder = random_adapter(loaded, tmp_path / "adapter")
    check_as_trained(loaded, folder)
    return folder


def with_other_weights(loaded: LoadedModel, by: float) -> LoadedModel:
    """The base with one matrix a little larger."""
    model = copy.deepcopy(loaded.model)
    model.get_parameter("model.layers.1.mlp.down_proj.weight").data.mul_(1 + by)
    return dataclasses.replace(loaded, model=model)


def test_what_is_kept_is_small_and_what_peft_said(loaded: LoadedModel, taken: Path) -> None:
    kept = KeptAnswers.model_validate_json((taken / ANSWERS).read_text(encoding="utf-8"))
    tokens = torch.tensor(kept.tokens[0])
    logits = check_as_trained(loaded, taken)(input_ids=tokens).logits[:, -1, list(kept.outputs)]
    torch.testing.assert_close(torch.tensor(kept.logits), logits)
    assert tokens.shape == (3, 8)
    assert (taken / ANSWERS).stat().st_size < 5000


def test_the_same_base_passes_and_is_asked_once(loaded: LoadedModel, taken: Path) -> None:
    checkpoint_model(loaded, taken)
    assert not kept_answers.diverged(taken)
    (looked,) = kept_answers._looked_at
    assert looked[0] == str(taken / ANSWERS)
    checkpoint_model(with_other_weights(loaded, 0.5), taken)  # not compared again


def test_a_base_that_changed_is_refused(loaded: LoadedModel, taken: Path) -> None:
    checkpoint_model(with_other_weights(loaded, 1e-7), taken)
    kept_answers._looked_at.clear()
    for _ in range(2):  # what failed is asked again
        with pytest.raises(InputError, match=r"adapter answers otherwise than when it was saved.*transformers 4\."):
            checkpoint_model(with_other_weights(loaded, 0.05), taken)
    assert not kept_answers._looked_at


def test_numbers_of_16_bits_are_held_to_less(loaded: LoadedModel, taken: Path) -> None:
    coarse = dataclasses.replace(loaded, model=copy.deepcopy(loaded.model).to(torch.bfloat16))
    checkpoint_model(coarse, taken)
    kept_answers._looked_at.clear()
    with pytest.raises(InputError, match="answers otherwise"):
        checkpoint_model(with_other_weights(coarse, 1.0), taken)


def test_a_checkpoint_of_before_loads_as_before(loaded: LoadedModel, tmp_path: Path) -> None:
    checkpoint_model(loaded, random_adapter(loaded, tmp_path))
    assert not kept_answers._looked_at


@pytest.mark.parametrize("said", [{"tokens": [[[1, 10**6]]]}, {"outputs": [10**6]}, {"logits": [[0.5]]}])
def test_answers_of_another_vocabulary_are_no_crash(said: dict[str, object], loaded: LoadedModel, taken: Path) -> None:
    path = taken / ANSWERS
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | said), encoding="utf-8")
    with pytest.raises(InputError, match="answers otherwise"):
        checkpoint_model(loaded, taken)


@pytest.mark.parametrize(
    "said", [{"dtype": 1}, {"tokens": []}, {"tokens": [[[1], [1, 2]]]}, {"tokens": [[[]]]}, {"tokens": [[[2**70]]]}]
)
def test_a_broken_file_is_damaged(said: dict[str, object], loaded: LoadedModel, taken: Path) -> None:
    path = taken / ANSWERS
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | said), encoding="utf-8")
    with pytest.raises(Damaged, match=ANSWERS):
        checkpoint_model(loaded, taken)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_checkpoint_that_diverged_is_what_was_trained(value: float, loaded: LoadedModel, tmp_path: Path) -> None:
    logits = torch.full((1, 2, loaded.n_vocab), value)
    kept_answers.keep_answers(tmp_path, loaded.model, [(torch.tensor([[1, 2]]), logits)])
    broken = copy.deepcopy(loaded.model)
    broken.get_output_embeddings().weight.data.fill_(value)
    kept_answers.check_answers(tmp_path, broken)
    assert kept_answers.diverged(tmp_path)
    kept_answers._looked_at.clear()
    with pytest.raises(InputError, match="answers otherwise"):
        kept_answers.check_answers(tmp_path, loaded.model)
