"""Texts that models write themselves."""

from pathlib import Path

import pytest
import torch

from engine.domain.errors import Canceled
from engine.models.adapters import merged_weights
from engine.models.base import LoadedModel
from engine.models.written_texts import LENGTH, _drawn, write_texts
from tests.attribution.parts import Never, load, random_adapter, silent


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load("llama", tmp_path_factory.mktemp("llama"))


def write(loaded: LoadedModel, *models: object, n: int = 20, seed: int = 0) -> tuple[str, ...]:
    given = [lambda model=model: model for model in models or (None,)]
    return write_texts(loaded, given, n, seed=seed, report=silent, cancel=Never())  # type: ignore[arg-type]


def test_the_same_seed_writes_the_same_texts_and_another_others(llama: LoadedModel) -> None:
    torch.manual_seed(1)
    first = write(llama)
    torch.manual_seed(2)
    assert write(llama) == first
    assert write(llama, seed=1) != first
    assert len(first) == len(set(first)) > 10
    assert all(len(llama.tokenizer(text).input_ids) <= LENGTH + 1 for text in first)
    assert not any(token in text for text in first for token in llama.tokenizer.all_special_tokens)


def test_they_are_drawn_from_the_models_own_probabilities(llama: LoadedModel) -> None:
    """The first tokens of many texts, against the probabilities behind BOS."""
    n = 2000
    texts = _drawn(llama, llama.model, n, torch.Generator().manual_seed(3))
    with torch.no_grad():
        logits = llama.model(input_ids=torch.tensor([[llama.tokenizer.bos_token_id]])).logits[0, -1]
    p = logits[: len(llama.tokenizer)].softmax(-1)
    found = torch.bincount(torch.tensor([text[0] for text in texts if text]), minlength=len(p)) / n
    special = torch.tensor(sorted(set(llama.tokenizer.all_special_ids)))
    assert found[special].sum() == 0  # such texts are empty
    p[special] = 0
    assert ((found - p).abs() < 5 * (p * (1 - p) / n).sqrt() + 1e-9).all()


def test_every_model_writes_and_one_that_diverged_writes_nothing(llama: LoadedModel, tmp_path: Path) -> None:
    tuned = merged_weights(llama, random_adapter(llama, tmp_path))
    both = write(llama, None, tuned)
    assert set(both) & set(write(llama, n=10))
    broken = merged_weights(llama, random_adapter(llama, tmp_path))
    with torch.no_grad():
        broken.get_output_embeddings().weight.fill_(torch.nan)
    assert write(llama, broken) == ()


def test_it_can_be_canceled(llama: LoadedModel) -> None:
    class Now:
        def check(self) -> None:
            raise Canceled

    with pytest.raises(Canceled):
        write_texts(llama, [lambda: None], 5, seed=0, report=silent, cancel=Now())
