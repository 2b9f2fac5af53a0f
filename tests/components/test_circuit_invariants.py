import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from transformers import PreTrainedModel

from engine.components import batches
from engine.components.faithfulness import faithfulness_curve
from engine.components.model import ComponentModel
from engine.components.patched import run_circuits
from engine.components.randomised import random_copy
from engine.components.scores import score_edges
from engine.domain.components import Circuit, ComponentShape, ScoreSettings
from engine.domain.errors import Canceled, InputError, ModelUnavailable
from engine.figures.component_map import head_effects
from tests.components.exact import exact_scores
from tests.components.micro import CONFIGS, made, some_pairs
from tests.figures.component_makers import key, scores_of


def test_neither_the_size_of_batches_nor_padding_nor_order_matters(model: PreTrainedModel, monkeypatch) -> None:
    pairs, settings = some_pairs(7, lengths=(5, 8, 6)), ScoreSettings(n_groups=1, n_steps=2)
    whole = score_edges(model, pairs, settings)
    monkeypatch.setattr("engine.components.scores.token_budget", lambda parts: 1)
    one_by_one = score_edges(model, pairs.part(range(6, -1, -1)), settings)
    largest = np.abs(whole.groups).max()
    np.testing.assert_allclose(one_by_one.groups, whole.groups, rtol=0, atol=1e-5 * largest)
    np.testing.assert_allclose(one_by_one.clean, whole.clean, rtol=1e-5)


def test_many_steps_are_taken_in_blocks(monkeypatch) -> None:
    model, pairs, settings = made(CONFIGS["llama"]), some_pairs(3), ScoreSettings(n_groups=1, n_steps=10)
    whole = score_edges(model, pairs, settings).groups
    monkeypatch.setattr("engine.components.scores.BLOCK", 3)
    np.testing.assert_allclose(score_edges(model, pairs, settings).groups, whole, rtol=0, atol=1e-6 * abs(whole).max())


def test_the_model_is_left_as_it_was(model: PreTrainedModel) -> None:
    before = copy.deepcopy(model.state_dict())
    groups = [getattr(layer.attention, "num_key_value_groups", None) for layer in ComponentModel(model).layers]
    score_edges(model, some_pairs(2), ScoreSettings(n_groups=1, n_steps=2))
    run_circuits(model, some_pairs(2), (), "kl")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert model.training
    after = [getattr(layer.attention, "num_key_value_groups", None) for layer in ComponentModel(model).layers]
    assert after == groups


def _linear() -> PreTrainedModel:
    """A Llama that is linear: norms that divide by a constant, heads that look everywhere alike, MLPs that are zero."""
    model = made(CONFIGS["llama"])
    with torch.no_grad():
        for layer in model.model.layers:
            for norm in (layer.input_layernorm, layer.post_attention_layernorm):
                norm.variance_epsilon = 1e8
                norm.weight *= 1e4
            layer.self_attn.q_proj.weight.zero_()
            layer.self_attn.q_proj.bias.zero_()
            layer.mlp.down_proj.weight.zero_()
        model.model.norm.variance_epsilon = 1e8
        model.model.norm.weight *= 1e4
    return model


def test_on_a_linear_model_the_scores_are_what_patching_one_edge_changes() -> None:
    model, pairs = _linear(), some_pairs(3)
    exact = exact_scores(model, pairs, "logit_diff")
    for n_steps in (1, 4):
        fast = score_edges(model, pairs, ScoreSettings(n_groups=1, n_steps=n_steps)).groups[0]
        np.testing.assert_allclose(fast, exact, rtol=0, atol=1e-4 * np.abs(exact).max())
    assert (np.abs(exact) > 1e-3 * np.abs(exact).max()).sum() > 10


def test_on_a_linear_model_a_head_s_effect_is_what_corrupting_all_that_it_writes_takes_from_the_lead() -> None:
    model, pairs = _linear(), some_pairs(3)
    shape = ComponentModel(model).shape
    scores = scores_of(score_edges(model, pairs, ScoreSettings(n_groups=1, n_steps=1)).groups[0], shape, key())
    effects = head_effects(scores, "x", 0).values.ravel()
    without = []
    for source in range(1, shape.n_sources):
        edges = shape.edge_mask()
        edges[:, source] = False
        without.append(Circuit(shape, edges))
    runs = run_circuits(model, pairs, without, "logit_diff")
    lost = runs.clean.mean() - runs.patched.mean(1)
    np.testing.assert_allclose(effects, lost, rtol=0, atol=1e-4 * np.abs(lost).max())
    assert (np.abs(lost) > 1e-3 * np.abs(lost).max()).sum() > 3


@pytest.mark.parametrize("kind", ["llama_grouped", "qwen3", "gemma2", "gpt_neox"])
def test_where_it_is_not_linear_the_ranks_agree(kind: str) -> None:
    model, pairs = random_copy(made(CONFIGS[kind]), seed=1), some_pairs(3)
    exact = exact_scores(model, pairs, "logit_diff")
    edges = ComponentModel(model).shape.edge_mask()
    fast = score_edges(model, pairs, ScoreSettings(n_groups=1, n_steps=5)).groups[0]
    assert spearmanr(np.abs(fast[edges]), np.abs(exact[edges])).statistic > 0.6
    assert not fast[~edges].any()


def test_faithfulness_is_1_with_all_edges_and_0_with_none() -> None:
    model, pairs = made(CONFIGS["llama"]), some_pairs(6)
    clean, corrupted = (torch.from_numpy(metric) for metric in run_circuits(model, pairs, (), "logit_diff")[1:])
    answers = torch.stack([pairs.answers, pairs.corrupted_answers])  # the model tells all prompts apart
    right, wrong = torch.where(clean > corrupted, answers, answers.flip(0))
    pairs = replace(pairs, answers=right, corrupted_answers=wrong)
    shape = ComponentModel(model).shape
    scores = score_edges(model, pairs, ScoreSettings(n_groups=1)).groups[0]
    told: list[float] = []
    points = faithfulness_curve(
        model, pairs, scores, shape, (0.01, 0.3, 1.0), "logit_diff", report=lambda done, _: told.append(done)
    )
    none, some, whole = points
    assert whole.faithfulness is not None
    assert whole.completeness is not None
    assert whole.faithfulness.value == pytest.approx(1, abs=1e-4)
    assert whole.completeness.value == pytest.approx(1, abs=1e-4)
    assert whole.n_edges == shape.n_edges
    assert some.n_edges <= some.n_asked == round(0.3 * shape.n_edges)
    assert none.n_asked == round(0.01 * shape.n_edges)
    assert told == sorted(told)
    assert told[-1] == 1


def test_a_job_can_be_stopped_between_batches() -> None:
    class Stopped:
        def check(self) -> None:
            raise Canceled

    model, pairs = made(CONFIGS["llama"]), some_pairs(2)
    with pytest.raises(Canceled):
        score_edges(model, pairs, ScoreSettings(), cancel=Stopped())


def test_a_family_without_hooks_and_a_circuit_of_another_model_are_refused() -> None:
    model = made(CONFIGS["llama"])
    other = ComponentShape(n_layers=3, n_heads=2)
    with pytest.raises(InputError, match="3 layers of 2 heads"):
        run_circuits(model, some_pairs(1), [Circuit(other, other.edge_mask())], "logit_diff")
    model.config = copy.deepcopy(model.config)
    model.config.model_type = "mamba"
    with pytest.raises(ModelUnavailable, match=r"“mamba”.*no attention.*Llama \(llama\).*Qwen 3.*GPT-NeoX"):
        ComponentModel(model)


def test_random_weights_are_the_seeds_and_the_model_keeps_its_own() -> None:
    model = made(CONFIGS["gemma2"])
    before = copy.deepcopy(model.state_dict())
    state = torch.random.get_rng_state()
    one, same, other = random_copy(model, 1), random_copy(model, 1), random_copy(model, 2)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(torch.equal(value, same.state_dict()[name]) for name, value in one.state_dict().items())
    assert not torch.equal(one.lm_head.weight, other.lm_head.weight)
    assert one.lm_head.weight.std() == pytest.approx(model.config.initializer_range, rel=0.1)
    assert not one.model.norm.weight.any()  # 1 + weight


def test_pairs_that_do_not_differ_have_no_scores() -> None:
    model, pairs = made(CONFIGS["llama"]), some_pairs(2)
    same = replace(pairs, corrupted=pairs.clean)
    assert not score_edges(model, same, ScoreSettings(n_groups=1)).groups.any()


def test_batches_hold_every_pair_once() -> None:
    pairs = some_pairs(23, lengths=(4, 8, 6))
    rows = np.concatenate(list(batches.micro_batches(pairs, 20)))
    assert sorted(rows.tolist()) == list(range(23))
