"""Where training acted: parts add up to the logit's change, and are those of the weights' own gradients."""

import copy
import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, OlmoConfig, PreTrainedModel

from engine.attribution.acted import MOST_SEGMENTS, layer_of, stretch
from engine.attribution.weight_changes import changes
from engine.domain.acted import INVISIBLE, POINTS, Acted, ActedKey, ChangedHead, Stretch
from engine.domain.errors import ComparisonRefused, InputError
from engine.domain.explained import ExplainedLogits
from engine.models.adapters import merged_weights
from engine.models.base import LoadedModel
from engine.models.low_rank import LowRank
from engine.models.parts import Parts
from engine.models.sharing import checkpoint_model, sharing_copy
from tests.attribution.parts import random_adapter
from tests.families import CONFIGS, loaded_family, made

PROMPT = torch.tensor([1, 20, 7, 33, 45])
ANSWER = 7
OF = ExplainedLogits(answers=(ANSWER,))
EXACT = 2e-5  # what may be left: float32's precision
STEP = 0.03  # of every weight, about what a fine-tune does to these


def moved(model: PreTrainedModel, *, seed: int = 0, only: str = "") -> PreTrainedModel:
    """A copy with every weight moved at random, or those with `only` in their name."""
    own = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in own.named_parameters():
        if only in name:
            parameter.data += STEP * torch.randn(parameter.shape, generator=generator)
    return own


def between(a: PreTrainedModel, b: PreTrainedModel, allowed: float | None = EXACT) -> Stretch:
    return stretch(a, b, PROMPT, OF, allowed=allowed)


def acted(loaded: LoadedModel, *stretches: Stretch) -> Acted:
    key = ActedKey(checkpoints=("a", "b"), hashes=("", ""), prompt="", explained=OF)
    return Acted(key, ("",) * len(PROMPT), ("",), True, loaded.n_layers, None, stretches)


def logit(model: PreTrainedModel) -> float:
    """Before any soft cap."""
    with torch.no_grad():
        hidden = Parts(model).body(input_ids=PROMPT[None]).last_hidden_state[0, -1]
        logits = model.get_output_embeddings()(hidden)
    return float(logits[ANSWER] - logits.mean())


def by_weights(a: PreTrainedModel, b: PreTrainedModel, n_points: int = 24) -> dict[str, float]:
    """The slow reference: ⟨gradient of each parameter, its change⟩, the mean over midpoints of the line."""
    model, found = copy.deepcopy(a).requires_grad_(), {}
    ends = dict(a.named_parameters()), dict(b.named_parameters())
    for k in range(n_points):
        for name, parameter in model.named_parameters():
            parameter.data = ends[0][name] + (k + 0.5) / n_points * (ends[1][name] - ends[0][name])
        hidden = Parts(model).body(input_ids=PROMPT[None]).last_hidden_state[0, -1]
        logits = model.get_output_embeddings()(hidden)
        gradients = torch.autograd.grad(logits[ANSWER] - logits.mean(), list(model.parameters()), allow_unused=True)
        for (name, _), gradient in zip(model.named_parameters(), gradients, strict=True):
            if gradient is not None:
                part = float((gradient * (ends[1][name] - ends[0][name])).sum()) / n_points
                found[name] = found.get(name, 0.0) + part
    return found


def by_module(parts: Mapping[str, float]) -> dict[str, float]:
    """Of a module's weight and bias together."""
    found: dict[str, float] = {}
    for name, part in parts.items():
        module = name.rpartition(".")[0]
        found[module] = found.get(module, 0.0) + part
    return found


@pytest.fixture(scope="module", params=CONFIGS)
def loaded(request: pytest.FixtureRequest) -> LoadedModel:
    return loaded_family(request.param)


def test_every_weight_of_every_family(loaded: LoadedModel) -> None:
    """Embeddings, positions, norms, biases and output matrix among them."""
    b = moved(loaded.model)
    found = between(loaded.model, b)
    assert found.before == pytest.approx(logit(loaded.model), abs=1e-4)
    assert found.after == pytest.approx(logit(b), abs=1e-4)
    assert abs(found.after - found.before) > 0.02
    assert found.sum == pytest.approx(found.after - found.before, abs=2e-3 if loaded.family == "opt" else 1e-4)
    ours = {matrix.name: parts.sum() for matrix, parts in zip(found.matrices, found.by_matrix, strict=True)}
    theirs = by_module(by_weights(loaded.model, b))
    # Of a tied matrix there is one parameter and there are two modules.
    tied = [name for name in ours if name not in theirs]
    embedding = next(name for name in ours if isinstance(loaded.model.get_submodule(name), nn.Embedding))
    for name in tied:
        ours[embedding] += ours.pop(name)
    assert ours.keys() == theirs.keys()
    for name, part in ours.items():
        assert part == pytest.approx(theirs[name], abs=2e-3), name


def test_projections_that_are_clipped_in_place() -> None:
    """As OLMo 1's 7B does: the part is of what the projection gave, before it was clipped."""
    config = OlmoConfig(**CONFIGS["olmo"].to_diff_dict() | {"clip_qkv": 0.5})
    a = made(config)
    for only in ("", "q_proj", "v_proj"):
        found = between(a, moved(a, only=only))
        assert abs(found.after - found.before) > 0.005
        assert found.sum == pytest.approx(found.after - found.before, abs=1e-3)


def test_few_points_leave_a_hundredth_at_most(loaded: LoadedModel) -> None:
    found = between(loaded.model, moved(loaded.model), None)
    change = found.after - found.before
    assert abs(found.sum - change) <= max(0.01 * abs(change), INVISIBLE)
    assert found.n_points <= POINTS * MOST_SEGMENTS


def test_a_stretch_is_as_exact_as_the_whole_needs() -> None:
    """Of a large change, a stretch may leave more than a hundredth of its own small one; never more than it must."""
    loaded = loaded_family("opt")  # its ReLU needs many points
    a, b = moved(loaded.model, seed=3), moved(loaded.model, seed=4)
    alone = stretch(a, b, PROMPT, OF)
    part_of_more = stretch(a, b, PROMPT, OF, whole=100.0)
    assert part_of_more.n_points == POINTS
    assert part_of_more.n_points <= alone.n_points
    assert abs(part_of_more.sum - (alone.after - alone.before)) <= 1.0


@pytest.mark.parametrize("family", ["llama", "gemma2"])  # the second caps its logits
def test_a_mean_of_logits_and_a_contrast_are_sums_of_single_ones(family: str) -> None:
    """At the same points of the line: nothing is left to the integral."""
    loaded = loaded_family(family)
    a, b = loaded.model, moved(loaded.model)
    tokens = (7, 3, 11)
    single = [stretch(a, b, PROMPT, ExplainedLogits(answers=(token,)), allowed=math.inf) for token in tokens]
    for asked, weights in (
        (ExplainedLogits(answers=(7,), against=(3,)), (1.0, -1.0, 0.0)),
        (ExplainedLogits(answers=(7, 3, 11)), (1 / 3, 1 / 3, 1 / 3)),
        (ExplainedLogits(answers=(7, 3), against=(11,)), (0.5, 0.5, -1.0)),
    ):
        found = stretch(a, b, PROMPT, asked, allowed=math.inf)
        assert found.n_points == POINTS
        for name in ("before", "after", "by_matrix", "by_head"):
            wanted = sum(weight * getattr(one, name) for weight, one in zip(weights, single, strict=True))
            np.testing.assert_allclose(getattr(found, name), wanted, rtol=0, atol=1e-5)
        of_answers = sum(
            one.probability_after for token, one in zip(tokens, single, strict=True) if token in asked.answers
        )
        assert found.probability_after == pytest.approx(of_answers, abs=1e-6)
        assert found.matrices == single[0].matrices


def test_lora_is_followed_as_its_merged_copy_is(loaded: LoadedModel, tmp_path: Path) -> None:
    """Thin terms on both sides: base to one adapter, and that one to another."""
    one, other = (random_adapter(loaded, tmp_path / str(seed), seed=seed) for seed in (1, 2))
    thin = [loaded.model, *(checkpoint_model(loaded, adapter) for adapter in (one, other))]
    merged = [loaded.model, *(merged_weights(loaded, adapter) for adapter in (one, other))]
    for a, b in ((0, 1), (2, 1)):
        ours, theirs = between(thin[a], thin[b], 0.01), between(merged[a], merged[b], 0.01)
        assert ours.matrices == theirs.matrices
        assert ours.heads == theirs.heads
        scale = np.abs(theirs.by_matrix).max()
        np.testing.assert_allclose(ours.by_matrix, theirs.by_matrix, rtol=0, atol=1e-3 * scale)
        np.testing.assert_allclose(ours.by_head, theirs.by_head, rtol=0, atol=1e-3 * scale)


@pytest.mark.parametrize("shifts", [(None, 1.0), (1.0, None), (1.0, -0.5)])
def test_the_bias_of_a_term_is_part_of_what_moved(shifts: tuple[float | None, float | None]) -> None:
    base = loaded_family("llama").model
    down, up = torch.randn(2, 24), torch.randn(32, 2)
    a, b = (sharing_copy(base) for _ in range(2))
    for model, shift in zip((a, b), shifts, strict=True):
        attention = model.model.layers[1].self_attn
        bias = None if shift is None else torch.full((32,), shift)
        attention.q_proj = LowRank(base.model.layers[1].self_attn.q_proj, down, up, 0.5, bias)
    ((name, change),) = changes(a, b).items()
    x = torch.randn(3, 24)
    assert name == "model.layers.1.self_attn.q_proj"
    wanted = b.get_submodule(name)(x) - a.get_submodule(name)(x)
    torch.testing.assert_close(change.of_output(x), wanted, rtol=0, atol=1e-5)


def test_heads_add_up_to_their_matrices(loaded: LoadedModel) -> None:
    """But for the bias of the output matrix, which no head has a part in."""
    found = between(loaded.model, moved(loaded.model, only="weight"))
    wanted = {}
    for matrix, parts in zip(found.matrices, found.by_matrix, strict=True):
        if any(word in matrix.name for word in ("attn", "attention")) and "norm" not in matrix.name:
            wanted[matrix.layer] = wanted.get(matrix.layer, 0) + parts
    ours = {}
    for head, parts in zip(found.heads, found.by_head, strict=True):
        ours[head.layer] = ours.get(head.layer, 0) + parts
    assert ours.keys() == wanted.keys() == set(range(loaded.n_layers))
    for layer in ours:
        np.testing.assert_allclose(ours[layer], wanted[layer], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["query", "key", "value", "output"])
@pytest.mark.parametrize("family", ["llama", "gpt2", "gpt_neox", "phi3"])
def test_a_planted_head_is_found(family: str, kind: str) -> None:
    """Only what one head uses is changed, where the family's matrices hold it."""
    loaded = loaded_family(family)
    b = copy.deepcopy(loaded.model)
    rows = plant(b, family, kind, layer=1, head=1)
    rows += 0.4 * torch.randn(rows.shape, generator=torch.Generator().manual_seed(0))
    found = between(loaded.model, b)
    parts = dict(zip(found.heads, found.by_head.sum(1), strict=True))
    assert parts.pop(ChangedHead(1, kind, 1)) == pytest.approx(found.after - found.before, abs=1e-4)  # type: ignore[arg-type]
    assert max(abs(part) for part in parts.values()) < 1e-6
    assert abs(found.after - found.before) > 1e-3


def plant(model: PreTrainedModel, family: str, kind: str, layer: int, head: int) -> torch.Tensor:
    """A view of the weights that one head has; a Conv1D has its inputs on axis 0."""
    weights = dict(model.named_parameters())
    names = {
        "llama": ("model.layers.{}.self_attn.{}_proj.weight", "model.layers.{}.self_attn.o_proj.weight", 8),
        "phi3": ("model.layers.{}.self_attn.qkv_proj.weight", "model.layers.{}.self_attn.o_proj.weight", 6),
        "gpt2": ("transformer.h.{}.attn.c_attn.weight", "transformer.h.{}.attn.c_proj.weight", 6),
        "gpt_neox": (
            "gpt_neox.layers.{}.attention.query_key_value.weight", "gpt_neox.layers.{}.attention.dense.weight", 6,
        ),
    }  # fmt: skip
    inner, outer, size = names[family]
    place = {"query": 0, "key": 1, "value": 2}.get(kind, 0)
    weight = weights[(outer if kind == "output" else inner).format(layer, kind[0])].data
    weight = weight.T if family == "gpt2" else weight
    own = slice(head * size, (head + 1) * size)
    if kind == "output":
        return weight[:, own]
    if family == "llama":
        return weight[own]
    if family == "gpt_neox":
        return weight.unflatten(0, (4, 3, size))[head, place]
    sizes = [4 * size, 2 * size, 2 * size] if family == "phi3" else [4 * size] * 3
    return weight.split(sizes)[place][own]


def test_a_checkpoint_and_itself(loaded: LoadedModel) -> None:
    found = between(loaded.model, copy.deepcopy(loaded.model), None)
    assert found.before == found.after
    assert found.matrices == found.heads == ()
    assert found.by_matrix.shape == found.by_head.shape == (0, len(PROMPT))
    assert found.n_points == 0


def test_nothing_is_written_to(loaded: LoadedModel) -> None:
    b = moved(loaded.model)
    before = [{name: value.clone() for name, value in model.state_dict().items()} for model in (loaded.model, b)]
    between(loaded.model, b, None)
    for model, was in zip((loaded.model, b), before, strict=True):
        assert all(torch.equal(value, was[name]) for name, value in model.state_dict().items())
        assert not any(parameter.requires_grad for parameter in model.parameters())
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_one_layer_by_hand() -> None:
    """No attention (W_O is zero), an MLP that writes up · read with its gate held at silu(1): the logit is bilinear.

    d_model 2, d_mlp 1. The stream is (3, 4) · 1/RMS = (0.8485, 1.1314) behind the norm; `up` goes from (1, 0) to
    (1, 2), `down` from (0, 1) to (0, 3). What the MLP writes in direction 1 goes from 1 · 0.8485 · silu(g) to
    3 · (0.8485 + 2 · 1.1314) · silu(g). The final norm and output matrix are such that the logit reads direction 1
    divided by the final norm's denominator, which moves as well: so the parts are held to a fine sum by hand.
    """
    config = LlamaConfig(
        vocab_size=3, hidden_size=2, intermediate_size=1, num_hidden_layers=1, num_attention_heads=1,
        tie_word_embeddings=False, rms_norm_eps=0.0,
    )  # fmt: skip
    a = LlamaForCausalLM(config).eval().requires_grad_(requires_grad=False)
    layer = a.model.layers[0]
    layer.self_attn.o_proj.weight.data.zero_()
    a.model.embed_tokens.weight.data[:] = torch.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 4.0]])
    layer.mlp.gate_proj.weight.data[:] = torch.tensor([[0.0, 1.0]])
    layer.mlp.up_proj.weight.data[:] = torch.tensor([[1.0, 0.0]])
    layer.mlp.down_proj.weight.data[:] = torch.tensor([[0.0], [1.0]])
    a.lm_head.weight.data[:] = torch.tensor([[0.0, 3.0], [0.0, 0.0], [0.0, 0.0]])
    b = copy.deepcopy(a)
    b.model.layers[0].mlp.up_proj.weight.data[:] = torch.tensor([[1.0, 2.0]])
    b.model.layers[0].mlp.down_proj.weight.data[:] = torch.tensor([[0.0], [3.0]])

    x, y = np.array([3.0, 4.0]), np.array([3.0, 4.0]) / np.sqrt(12.5)
    gate = y[1] / (1 + np.exp(-y[1]))

    def value(up: float, down: float) -> float:
        stream = x + np.array([0.0, down * (y[0] + up * y[1]) * gate])
        return 2 * stream[1] / np.sqrt(np.square(stream).mean())  # 3 of one logit minus the mean of three

    n, parts = 20_000, np.zeros(2)
    for t in (np.arange(n) + 0.5) / n:
        up, down, step = 2 * t, 1 + 2 * t, 1e-5
        slope_up = (value(up + step, down) - value(up - step, down)) / (2 * step)
        slope_down = (value(up, down + step) - value(up, down - step)) / (2 * step)
        parts += np.array([2 * slope_up, 2 * slope_down]) / n
    found = stretch(a, b, torch.tensor([2]), ExplainedLogits(answers=(0,)), allowed=EXACT)
    assert found.before == pytest.approx(value(0, 1), abs=1e-5)
    assert found.after == pytest.approx(value(2, 3), abs=1e-5)
    assert [matrix.name for matrix in found.matrices] == ["model.layers.0.mlp.up_proj", "model.layers.0.mlp.down_proj"]
    np.testing.assert_allclose(found.by_matrix[:, 0], parts, atol=1e-5)


def test_a_planted_token_and_layer() -> None:
    """Only one token's embedding is changed: all of the change stands at that token, in the embeddings."""
    loaded = loaded_family("qwen2")
    b = copy.deepcopy(loaded.model)
    b.get_output_embeddings().weight = nn.Parameter(b.get_output_embeddings().weight.detach().clone())
    b.get_input_embeddings().weight.data[PROMPT[2]] += 1.0
    b.requires_grad_(requires_grad=False)
    found = acted(loaded, between(loaded.model, b))
    places = found.places()
    assert places[0, 2] == pytest.approx(found.change, abs=1e-4)
    assert np.count_nonzero(places) == 1
    assert places.sum() == found.sum
    assert found.left == pytest.approx(0, abs=1e-4)


def test_stretches_join() -> None:
    """Base → one → other: places, matrices and heads are sums over the stretches."""
    loaded = loaded_family("llama")
    corners = [loaded.model, moved(loaded.model, seed=1), moved(loaded.model, seed=2)]
    stretches = tuple(between(a, b) for a, b in pairwise(corners))
    found = acted(loaded, *stretches)
    assert found.change == pytest.approx(logit(corners[2]) - logit(corners[0]), abs=1e-4)
    assert found.left == pytest.approx(0, abs=2e-4)
    np.testing.assert_allclose(
        found.places(), found.places(stretches[:1]) + found.places(stretches[1:]), rtol=0, atol=1e-12
    )
    assert sum(parts.sum() for parts in found.by_matrix().values()) == pytest.approx(found.sum)
    one = ChangedHead(0, "value", 1)
    by_stretch = [s.by_head[s.heads.index(one)] for s in stretches]
    np.testing.assert_allclose(found.by_head()[one], sum(by_stretch))


def test_layers_of_modules(loaded: LoadedModel) -> None:
    layers = [layer_of(name, loaded.model) for name in changes(loaded.model, moved(loaded.model))]
    assert set(layers) == {-1, *range(loaded.n_layers + 1)}


def test_a_model_of_other_modules_or_shapes_is_refused() -> None:
    llama, qwen = loaded_family("llama"), loaded_family("gpt2")
    with pytest.raises(ComparisonRefused, match="different models"):
        changes(llama.model, qwen.model)
    config = copy.deepcopy(llama.model.config)
    config.intermediate_size = 44
    with pytest.raises(ComparisonRefused, match=r"mlp.*another shape"):
        changes(llama.model, LlamaForCausalLM(config))


def test_a_module_that_is_not_known_to_be_affine_is_refused() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(2))

    a, b = copy.deepcopy(loaded_family("llama").model), copy.deepcopy(loaded_family("llama").model)
    for model, value in ((a, 0.0), (b, 1.0)):
        model.model.odd = Odd()
        model.model.odd.weight.data.fill_(value)
    with pytest.raises(InputError, match=r"model\.odd, a Odd"):
        changes(a, b)
