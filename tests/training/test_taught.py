"""Which examples taught it: pushes by hand, against each example's own gradient, for every method and family."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from engine.domain.corpus import SIMPLE, SPATIAL
from engine.domain.methods import MethodSettings
from engine.domain.models import ModelSpec
from engine.domain.runs import Checkpoint, RunConfig
from engine.models.adapters import Tuned
from engine.models.base import LoadedModel, load_base
from engine.training.methods import METHODS
from engine.training.taught import answered, as_trained, slopes_along, spans_of, summed_losses, trained, unit
from engine.training.texts import TokenRow, collator, training_rows
from tests.families import CONFIGS, loaded_family
from tests.store.artefacts import state
from tests.tiny import tiny_corpus


def base(run: str = "run") -> Checkpoint:
    return Checkpoint(run, state(0), None)  # type: ignore[arg-type]


def slow(tuned: Tuned, direction: dict[str, torch.Tensor], rows: list[TokenRow]) -> np.ndarray:
    """Each example's own gradient, times the direction."""
    own, found = trained(tuned), []
    for row in rows:
        loss = summed_losses(tuned, collator(0)([row])).sum()
        gradients = torch.autograd.grad(loss, list(own.values()), allow_unused=True)
        pairs = zip(own, gradients, strict=True)
        found.append(sum(float((one.double() * direction[name]).sum()) for name, one in pairs if one is not None))
    return np.array(found)


def agree(tuned: Tuned, rows: list[TokenRow]) -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for one in trained(tuned).values():  # where a method begins, half of LoRA's gradients are zero
            one.add_(torch.randn(one.shape, generator=generator), alpha=0.05)
    direction = unit({name: torch.randn(one.shape, generator=generator) for name, one in trained(tuned).items()})
    fast, exact = slopes_along(tuned, direction, rows, pad_id=0).numpy(), slow(tuned, direction, rows)
    assert np.abs(exact).max() > 0.01
    np.testing.assert_allclose(fast, exact, rtol=0, atol=1e-5 * max(1.0, np.abs(exact).max()))


@pytest.fixture(scope="module")
def loaded(llama: ModelSpec) -> LoadedModel:
    return load_base(llama)


@pytest.mark.parametrize("method", METHODS)
def test_of_every_method_as_by_each_example_s_own_gradient(loaded: LoadedModel, config: Any, method: str) -> None:
    settings = MethodSettings(critical_layers=(1,))
    before = {name: value.clone() for name, value in loaded.model.state_dict().items()}
    tuned = as_trained(loaded, config(method=method, method_settings=settings), tiny_corpus(), base())
    agree(tuned, training_rows(loaded.tokenizer, tiny_corpus(), limit=64)[::3])
    assert all(torch.equal(value, before[name]) for name, value in loaded.model.state_dict().items())
    assert not any(one.requires_grad for one in loaded.model.parameters())


@pytest.mark.parametrize("family", CONFIGS)
def test_of_every_family_as_by_each_example_s_own_gradient(family: str) -> None:
    """All weights: whatever a family is made of has second derivatives."""
    own = loaded_family(family)
    config = RunConfig(name="run", model=own.spec, corpus="tiny", method="full")
    tuned = as_trained(own, config, tiny_corpus(), base())
    agree(tuned, [{"input_ids": [1, 20, 7, 33, 2]}, {"input_ids": [1, 9, 45, 2], "loss_from": 2}])


def bigrams() -> LlamaForCausalLM:
    """The stream is the token's embedding, and the output matrix, which alone is trained, is zero: 1/4 for each token.

    Tokens 2 and 3 have embeddings (1, 0) and (0, 1), which the norm makes √2 times as long.
    """
    config = LlamaConfig(
        vocab_size=4, hidden_size=2, intermediate_size=1, num_hidden_layers=1, num_attention_heads=1,
        tie_word_embeddings=False, rms_norm_eps=0.0, attn_implementation="eager",
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval().requires_grad_(requires_grad=False)
    model.model.layers[0].self_attn.o_proj.weight.data.zero_()
    model.model.layers[0].mlp.down_proj.weight.data.zero_()
    model.model.embed_tokens.weight.data[:] = torch.tensor([[1.0, 1.0], [1.0, -1.0], [1.0, 0.0], [0.0, 1.0]])
    model.lm_head.weight.data.zero_()
    model.lm_head.weight.requires_grad_()
    return model


def test_by_hand() -> None:
    """The answer 0 behind 2 has the gradient (e0 - 1/4) y, with y = (√2, 0); the loss of 2 → a has (1/4 - ea) y.

    Their product is 2 (1/4 - 1) = -3/2 for a = 0, and 2 (1/4) = 1/2 for another a; behind 3, whose y is (0, √2), it is
    zero. The answer's gradient is √(3/4 · 2) = √(3/2) long.
    """
    model = bigrams()
    value, gradient = answered(model, [(torch.tensor([[2]]), torch.tensor([0]))])
    assert value == pytest.approx(np.log(1 / 4))
    np.testing.assert_allclose(
        gradient["lm_head.weight"], np.outer([3 / 4, -1 / 4, -1 / 4, -1 / 4], [np.sqrt(2), 0]), atol=1e-6
    )
    rows: list[TokenRow] = [{"input_ids": [2, a]} for a in (0, 1)] + [{"input_ids": [3, 0]}]
    slopes = slopes_along(model, unit(gradient), rows, pad_id=0)
    np.testing.assert_allclose(slopes, np.array([-3 / 2, 1 / 2, 0]) / np.sqrt(3 / 2), atol=1e-6)
    twice = slopes_along(model, unit(gradient), [{"input_ids": [2, 0, 2, 0], "loss_from": 3}], pad_id=0)
    np.testing.assert_allclose(twice, slopes[:1], atol=1e-6)  # what the loss leaves out does not count


def test_the_mean_over_prompts_of_several_lengths() -> None:
    model = bigrams()
    both = answered(
        model, [(torch.tensor([[2], [3]]), torch.tensor([0, 1])), (torch.tensor([[2, 2]]), torch.tensor([0]))]
    )
    alone = [answered(model, [(torch.tensor([[a]]), torch.tensor([b]))]) for a, b in ((2, 0), (3, 1), (2, 0))]
    assert both[0] == pytest.approx(np.mean([value for value, _ in alone]))
    mean = torch.stack([gradient["lm_head.weight"] for _, gradient in alone]).mean(0)
    torch.testing.assert_close(both[1]["lm_head.weight"], mean)
    assert float(unit({"a": torch.zeros(2)})["a"].abs().sum()) == 0


def test_what_is_drawn_how_often(config: Any) -> None:
    """Every example alike; with a curriculum as its weights say, even shares of the types before the first."""
    corpus = tiny_corpus()
    corpus = replace(corpus, examples=corpus.examples[:15])  # ten of one type, five of the other
    captures = [Checkpoint("run", state(step, n_steps=14), None) for step in (0, 7, 14)]  # type: ignore[arg-type]
    first, second = spans_of(config(), corpus, captures, {})
    assert (first.n_steps, second.n_steps, first.learning_rate) == (7, 7, 1e-3)
    np.testing.assert_allclose(first.shares, 1 / 15)
    weighed = config(curriculum="under_learned")
    first, second = spans_of(weighed, corpus, captures, {7: {SIMPLE: 0.2, SPATIAL: 0.8}})
    np.testing.assert_allclose(first.shares, [0.05] * 10 + [0.1] * 5)
    np.testing.assert_allclose(second.shares, [0.02] * 10 + [0.16] * 5)
