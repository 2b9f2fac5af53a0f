"""The training step that skips zeros, against autograd through the dense transcoder."""

from collections.abc import Iterator

import pytest
import torch
from circuit_tracer.transcoder.single_layer_transcoder import SingleLayerTranscoder

from engine.domain.models import TranscoderTraining
from engine.models.transcoder_step import adam, reconstruction, train_step
from engine.models.transcoder_training import _fit
from engine.models.transcoders import ReluTopK

NAMES = ("W_enc", "b_enc", "W_dec", "b_dec")
# n_tokens, d_model, n_features, k
SHAPES = {
    "as the demo": (256, 128, 512, 16),
    "one feature a token": (40, 24, 64, 1),
    "all features": (40, 24, 64, 64),
    "one token": (1, 24, 64, 8),
    "more features than entries": (3, 24, 512, 4),
    "wide": (300, 96, 2048, 16),
}


def transcoder_of(d_model: int, n_features: int, k: int, *, bias: float = 0.0) -> SingleLayerTranscoder:
    made = SingleLayerTranscoder(d_model, n_features, ReluTopK(k), 0, dtype=torch.float32, device=torch.device("cpu"))
    generator = torch.Generator().manual_seed(n_features + k)
    for name in NAMES:
        parameter = getattr(made, name)
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator) / d_model**0.5)
    made.b_enc.data += bias
    return made


def tokens(n_tokens: int, d_model: int, *, seed: int = 0) -> torch.Tensor:
    return torch.randn(n_tokens, d_model, generator=torch.Generator().manual_seed(seed))


def gradients(transcoder: SingleLayerTranscoder, output: torch.Tensor, wanted: torch.Tensor) -> list[torch.Tensor]:
    loss = (output - wanted).pow(2).sum(-1).mean()
    return list(torch.autograd.grad(loss, [getattr(transcoder, name) for name in NAMES]))


def assert_as_dense(transcoder: SingleLayerTranscoder, k: int, x: torch.Tensor, wanted: torch.Tensor) -> None:
    ours, dense = reconstruction(transcoder, k, x), transcoder(x)
    torch.testing.assert_close(ours, dense, rtol=1e-6, atol=1e-6 * float(dense.detach().abs().max()))
    pairs = zip(gradients(transcoder, ours, wanted), gradients(transcoder, dense, wanted), strict=True)
    for name, (found, expected) in zip(NAMES, pairs, strict=True):
        assert float((found - expected).abs().max()) <= 1e-6 * float(expected.abs().max()), name
        assert found.shape == expected.shape


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_output_and_gradients_are_the_dense_ones(shape: tuple[int, int, int, int]) -> None:
    n_tokens, d_model, n_features, k = shape
    transcoder = transcoder_of(d_model, n_features, k)
    assert_as_dense(transcoder, k, tokens(n_tokens, d_model), tokens(n_tokens, d_model, seed=1))


def test_a_selected_feature_that_is_negative_is_off_and_gets_no_gradient() -> None:
    k = 16
    transcoder = transcoder_of(24, 64, k, bias=-1.5)
    x, wanted = tokens(40, 24), tokens(40, 24, seed=1)
    selected = transcoder.encode(x, apply_activation_function=False).topk(k).values
    assert 0.05 < float((selected > 0).float().mean()) < 0.95  # both are among them
    assert_as_dense(transcoder, k, x, wanted)
    transcoder.b_enc.data -= 100
    encoder = gradients(transcoder, reconstruction(transcoder, k, x), wanted)[:3]
    assert not any(gradient.any() for gradient in encoder)


def test_by_hand() -> None:
    """Two features, k = 1. The first token is read by feature 1 (3 > 1), the second by feature 0 (2 > -1)."""
    transcoder = transcoder_of(2, 2, 1)
    with torch.no_grad():
        transcoder.W_enc.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        transcoder.W_dec.copy_(torch.tensor([[1.0, 1.0], [2.0, 0.0]]))
        transcoder.b_enc.zero_()
        transcoder.b_dec.copy_(torch.tensor([0.5, 0.0]))
    x = torch.tensor([[1.0, 3.0], [2.0, -1.0]])
    output = reconstruction(transcoder, 1, x)
    assert output.tolist() == [[6.5, 0.0], [2.5, 2.0]]
    output.backward(torch.tensor([[1.0, 0.0], [0.0, 10.0]]))
    assert transcoder.W_dec.grad.tolist() == [[0.0, 20.0], [3.0, 0.0]]
    assert transcoder.W_enc.grad.tolist() == [[20.0, -10.0], [2.0, 6.0]]
    assert transcoder.b_enc.grad.tolist() == [10.0, 2.0]
    assert transcoder.b_dec.grad.tolist() == [1.0, 10.0]


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_the_same_bits_every_time_with_two_threads() -> None:
    """Few features for many tokens: each row of a gradient is a sum of hundreds, so another order would show."""
    x, wanted = tokens(1024, 64), tokens(1024, 64, seed=1)
    transcoder = transcoder_of(64, 128, 16)
    first = gradients(transcoder, reconstruction(transcoder, 16, x), wanted)
    for _ in range(5):
        again = gradients(transcoder, reconstruction(transcoder, 16, x), wanted)
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_the_optimizer_is_adam_also_for_features_without_a_gradient() -> None:
    """Against plain Adam on the same gradients: of 64 features 4 are active on a batch, so most rows only decay."""
    ours, plain = transcoder_of(24, 64, 4), transcoder_of(24, 64, 4)
    optimizer = adam(ours, 1e-2)
    reference = torch.optim.Adam(plain.parameters(), lr=1e-2, foreach=False, fused=False)
    moved_without_gradient = 0
    for step in range(30):
        before = ours.W_enc.detach().clone()
        train_step(ours, 4, optimizer, tokens(1, 24, seed=step), tokens(1, 24, seed=99), torch.tensor(2.0))
        silent = ~ours.W_enc.grad.any(1)
        moved_without_gradient += int((ours.W_enc != before).any(1)[silent].sum())
        for name in NAMES:
            getattr(plain, name).grad = getattr(ours, name).grad.clone()
        reference.step()
    assert moved_without_gradient
    for name in NAMES:
        torch.testing.assert_close(getattr(ours, name), getattr(plain, name), rtol=1e-5, atol=1e-6)


def test_a_short_training_ends_where_the_dense_one_does() -> None:
    training = TranscoderTraining(n_features=64, top_k=8, n_steps=8, batch_tokens=64, learning_rate=1e-3)
    x, y = tokens(200, 24), tokens(200, 24, seed=1)
    ours, dense = transcoder_of(24, 64, 8), transcoder_of(24, 64, 8)
    start = dense.W_dec.detach().clone()
    _fit(ours, x, y, training, torch.Generator().manual_seed(0), lambda _: None)
    variance = (y - y.mean(0)).pow(2).sum(-1).mean()
    optimizer = torch.optim.Adam(dense.parameters())
    generator = torch.Generator().manual_seed(0)
    for step in range(8):
        optimizer.param_groups[0]["lr"] = 1e-3 * min(1, (1 - step / 8) / 0.9)
        rows = torch.randint(0, 200, (64,), generator=generator)
        optimizer.zero_grad()
        ((dense(x[rows]) - y[rows]).pow(2).sum(-1).mean() / variance).backward()
        optimizer.step()
    moved = float((dense.W_dec.detach() - start).abs().max())
    for name in NAMES:
        apart = float((getattr(ours, name) - getattr(dense, name)).detach().abs().max())
        assert apart < 1e-3 * moved, name


def test_a_half_precision_transcoder_is_trained_in_float32_and_stays_what_it_was() -> None:
    training = TranscoderTraining(n_features=64, top_k=8, n_steps=5, batch_tokens=64)
    x, y = tokens(200, 24), tokens(200, 24, seed=1)
    half, full = transcoder_of(24, 64, 8).bfloat16(), transcoder_of(24, 64, 8).bfloat16().float()
    for transcoder in (half, full):
        _fit(transcoder, x, y, training, torch.Generator().manual_seed(0), lambda _: None)
    assert half.W_enc.dtype == torch.bfloat16
    assert all(torch.equal(getattr(half, name), getattr(full, name).bfloat16()) for name in NAMES)
