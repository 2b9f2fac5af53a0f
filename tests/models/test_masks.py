"""The mask that is made here is transformers' own."""

import pytest
import torch

from engine.models.masks import attention_mask
from tests.families import CONFIGS, VARIANTS, loaded_family

TOKENS = torch.tensor([[1, 20, 7, 33, 45], [1, 9, 12, 0, 0], [1, 4, 8, 15, 0]])
PADDED = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0]])
WITHOUT_WINDOWS = ("llama", "qwen2", "qwen3", "olmo", "olmo2", "gemma", "gpt2", "gpt_neox", "phi3")


@torch.no_grad()
@pytest.mark.parametrize("family", [*CONFIGS, *VARIANTS])
@pytest.mark.parametrize("padding", [None, PADDED, torch.ones_like(PADDED)], ids=["none", "some", "all ones"])
def test_the_same_bits(family: str, padding: torch.Tensor | None) -> None:
    model = loaded_family(family).model
    theirs = model(input_ids=TOKENS, attention_mask=padding, use_cache=False).logits
    ours = model(input_ids=TOKENS, attention_mask=attention_mask(model, TOKENS, padding), use_cache=False).logits
    shown = torch.ones_like(PADDED).bool() if padding is None else padding.bool()
    assert torch.equal(ours[shown], theirs[shown])


@pytest.mark.parametrize("family", WITHOUT_WINDOWS)
def test_it_is_made_here_where_that_is_known_to_be_right(family: str) -> None:
    mask = attention_mask(loaded_family(family).model, TOKENS, PADDED)
    assert mask is not None
    assert mask.shape == (3, 1, 5, 5)
    assert mask[1, 0].tolist() == [[q >= k and k < 3 for k in range(5)] for q in range(5)]


@pytest.mark.parametrize("family", ["mistral", "gemma2", "gemma3_text", "gpt_neo", "opt"])
def test_windows_and_other_ways_of_attention_are_left_to_transformers(family: str) -> None:
    model = loaded_family(family).model
    assert attention_mask(model, TOKENS, PADDED) is PADDED
    assert attention_mask(model, TOKENS) is None
