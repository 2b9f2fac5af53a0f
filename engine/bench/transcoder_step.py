"""A training step of a TopK transcoder beside the dense one: dense products, plain autograd and torch's default Adam.

The rows beside each say what both share: the encoder's product and the top-k, below which no step can go.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.bench.row import BenchRow, faster, not_slower, plain
from engine.bench.setting import Setting
from engine.bench.timing import medians

if TYPE_CHECKING:
    import torch
    from circuit_tracer.transcoder.single_layer_transcoder import SingleLayerTranscoder

ROUNDS = 25


@dataclass(frozen=True)
class _Size:
    d_model: int
    n_features: int
    k: int
    n_tokens: int

    def __str__(self) -> str:
        return f"{self.n_features:,} features, k = {self.k}, d_model {self.d_model}, {self.n_tokens:,} tokens"


LARGE, BUNDLED = _Size(576, 2048, 16, 1024), _Size(128, 512, 16, 256)


def measure(_setting: Setting) -> list[BenchRow]:
    """Milliseconds of a step with its optimizer, of the dense one, and of what both share; all taken in turns."""
    ours, dense, shared = _times(LARGE)
    small, small_dense, _ = _times(BUNDLED)
    return [
        faster(f"transcoder step: {LARGE}", ours, "ms", than=dense, times=2.5),
        plain("of it, encoder product and top-k", shared, "ms"),
        not_slower(f"transcoder step of a bundled set: {BUNDLED}", small, "ms", than=small_dense, times=1.0),
    ]


def _times(size: _Size) -> tuple[float, float, float]:
    """Milliseconds: ours, dense, encoder product and top-k."""
    import torch

    from engine.models.transcoder_step import adam, train_step

    generator = torch.Generator().manual_seed(0)
    x, wanted = (torch.randn(size.n_tokens, size.d_model, generator=generator) for _ in range(2))
    variance = wanted.pow(2).sum(-1).mean()
    fast = _transcoder(size)
    optimizer = adam(fast, 1e-3)

    def encoder_and_top_k() -> None:
        with torch.no_grad():
            fast.encode(x, apply_activation_function=False).topk(size.k)

    steps = (
        lambda: train_step(fast, size.k, optimizer, x, wanted, variance),
        _dense_step(_transcoder(size), x, wanted, variance),
        encoder_and_top_k,
    )
    ours, dense, shared = (1e3 * taken for taken in medians(steps, rounds=ROUNDS, warm_up=2))
    return ours, dense, shared


def _dense_step(
    transcoder: "SingleLayerTranscoder", x: "torch.Tensor", wanted: "torch.Tensor", variance: "torch.Tensor"
) -> Callable[[], None]:
    import torch

    optimizer = torch.optim.Adam(transcoder.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        ((transcoder(x) - wanted).pow(2).sum(-1).mean() / variance).backward()
        optimizer.step()

    return step


def _transcoder(size: _Size) -> "SingleLayerTranscoder":
    """Random directions, as training starts from."""
    import torch
    from circuit_tracer.transcoder.single_layer_transcoder import SingleLayerTranscoder

    from engine.models.transcoders import ReluTopK

    made = SingleLayerTranscoder(
        size.d_model, size.n_features, ReluTopK(size.k), 0, device=torch.device("cpu"), dtype=torch.float32
    )
    directions = torch.randn(made.W_enc.shape, generator=torch.Generator().manual_seed(0)) / size.d_model**0.5
    made.W_enc.data.copy_(directions)
    made.W_dec.data.copy_(0.1 * directions)
    return made
