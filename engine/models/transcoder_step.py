"""A training step of a TopK transcoder that computes with the k active features of a token and never with the zeros.

Only k rows of the decoder are read for a token, and only k rows of decoder and encoder get a gradient from it. So
after the dense encoder product and the top-k, reconstruction and gradients are sums over n_tokens x k entries. Each sum
is one `embedding_bag`: it adds those rows of a table that a bag names, in the order in which they are named, whatever
the number of threads, so the same input gives the same bits.
"""

from typing import Any

import torch
from circuit_tracer.transcoder.single_layer_transcoder import SingleLayerTranscoder


def adam(transcoder: SingleLayerTranscoder, learning_rate: float) -> torch.optim.Adam:
    """Adam on all parameters: the moments of features without a gradient decay too. Fused, it is one pass over them."""
    return torch.optim.Adam(transcoder.parameters(), lr=learning_rate, fused=True)


def train_step(
    transcoder: SingleLayerTranscoder,
    k: int,
    optimizer: torch.optim.Optimizer,
    x: torch.Tensor,
    wanted: torch.Tensor,
    variance: torch.Tensor,
) -> None:
    """One update towards `transcoder(x)` = `wanted`, both (n_tokens, d_model); the loss is in units of `variance`, ().

    `transcoder`: in float32, with `ReluTopK(k)` as activation and without a skip connection.
    """
    optimizer.zero_grad()
    loss = (reconstruction(transcoder, k, x) - wanted).pow(2).sum(-1).mean() / variance
    loss.backward()
    optimizer.step()


def reconstruction(transcoder: SingleLayerTranscoder, k: int, x: torch.Tensor) -> torch.Tensor:
    """(n_tokens, d_model): `transcoder(x)` of x (n_tokens, d_model), with gradients for the parameters, none for x."""
    found: torch.Tensor = _Reconstruction.apply(
        x, transcoder.W_enc, transcoder.b_enc, transcoder.W_dec, transcoder.b_dec, k
    )
    return found


class _Reconstruction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        encoder: torch.Tensor,
        encoder_bias: torch.Tensor,
        decoder: torch.Tensor,
        decoder_bias: torch.Tensor,
        k: int,
    ) -> torch.Tensor:
        value, feature = torch.addmm(encoder_bias, x, encoder.T).topk(k, sorted=False)  # (n_tokens, k)
        value.relu_()
        ctx.save_for_backward(x, decoder, value, feature)
        return _sums(decoder, feature, value) + decoder_bias

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, decoder, value, feature = ctx.saved_tensors
        # A selected feature that is not positive is off: ReLU passes nothing back.
        into_value = _by_entry(gradient, decoder, feature, value) * (value > 0)
        order = feature.flatten().argsort(stable=True)
        starts = torch.searchsorted(feature.flatten()[order], torch.arange(len(decoder), device=feature.device))
        token = order // feature.shape[1]  # of each entry, by feature and then by token
        value, into_value = value.flatten()[order], into_value.flatten()[order]
        return (
            None,
            _sums(x, token, into_value, starts),
            _sums(x.new_ones(len(x), 1), token, into_value, starts)[:, 0],
            _sums(gradient, token, value, starts),
            gradient.sum(0),
            None,
        )


def _by_entry(
    gradient: torch.Tensor, decoder: torch.Tensor, feature: torch.Tensor, value: torch.Tensor
) -> torch.Tensor:
    """(n_tokens, k) each entry's decoder row times its token's gradient."""
    with torch.enable_grad():
        weight = value.detach().requires_grad_()
        summed = _sums(decoder.detach(), feature, weight)
    (found,) = torch.autograd.grad(summed, weight, gradient)
    return found


def _sums(
    table: torch.Tensor, row: torch.Tensor, weight: torch.Tensor, starts: torch.Tensor | None = None
) -> torch.Tensor:
    """(n_bags, width) weighted sums of the table's rows: a bag a line of `row`, or from each start to the next."""
    return torch.nn.functional.embedding_bag(row, table, starts, mode="sum", per_sample_weights=weight)
