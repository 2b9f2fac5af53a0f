"""Every edge by autograd on the Hugging Face model, one row after the other: slow, and without any table of norms.

What attention's softmax gives and what norms divide by are cut out of the gradient; MLPs are replaced by what they
wrote (and a skip connection). Shares no code with what it checks.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from operator import attrgetter
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from circuit_tracer.transcoder.cross_layer_transcoder import CrossLayerTranscoder
from transformers import PreTrainedModel

# layers; the modules whose input transcoders of ours read and whose output they stand for
_LLAMA = ("model.layers", "mlp", "mlp")
_NORMED = ("model.layers", "mlp", "post_feedforward_layernorm")
PLACES = {
    "llama": _LLAMA, "mistral": _LLAMA, "olmo": _LLAMA, "qwen2": _LLAMA, "qwen3": _LLAMA, "phi3": _LLAMA,
    "gemma": _LLAMA, "smollm3": _LLAMA, "ministral": _LLAMA, "ernie4_5": _LLAMA, "seed_oss": _LLAMA, "helium": _LLAMA,
    "arcee": _LLAMA, "starcoder2": _LLAMA, "glm": _LLAMA,
    "glm4": ("model.layers", "mlp", "post_mlp_layernorm"),
    "olmo2": _NORMED, "olmo3": _NORMED, "exaone4": _NORMED,
    "gemma2": ("model.layers", "pre_feedforward_layernorm", "post_feedforward_layernorm"),
    "gemma3_text": _NORMED,
    "gpt2": ("transformer.h", "mlp", "mlp"),
    "gpt_neo": ("transformer.h", "mlp", "mlp"),
    "gpt_neox": ("gpt_neox.layers", "mlp", "mlp"),
    "opt": ("model.decoder.layers", "fc1", "fc2"),
}  # fmt: skip


@contextmanager
def _held() -> Iterator[None]:
    softmax, rsqrt = F.softmax, torch.rsqrt

    def layer_norm(x, shape, weight=None, bias=None, eps=1e-5):
        x = x - x.mean(-1, keepdim=True)
        y = x / (x.square().mean(-1, keepdim=True) + eps).sqrt().detach()
        y = y if weight is None else y * weight
        return y if bias is None else y + bias

    with (
        patch.object(F, "softmax", lambda *args, **named: softmax(*args, **named).detach()),
        patch.object(torch, "rsqrt", lambda x: rsqrt(x).detach()),
        patch.object(F, "layer_norm", layer_norm),
    ):
        yield


def edges(
    model: PreTrainedModel, tokens: torch.Tensor, transcoders: Any, targets: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """(n_features, 3) layer, position, index; and (n_features + n_targets, n_features + n_errors + n_tokens) edges.

    `model` attends eagerly.
    """
    layers_at, reader, writer = PLACES[model.config.model_type]
    layers = attrgetter(layers_at)(model)
    reads: list[torch.Tensor] = []
    leaves: list[torch.Tensor] = []
    embedded: list[torch.Tensor] = []
    behind: list[torch.Tensor] = []
    gemma2 = model.config.model_type == "gemma2"

    def read(module, args):
        x = args[0].reshape(len(tokens), -1)
        reads.append(module._norm(x) if gemma2 else x)

    def write(module, args, output):
        leaves.append(output.detach().reshape(len(tokens), -1).clone().requires_grad_())
        found = leaves[-1]
        if transcoders.skip_connection:
            skip = transcoders.compute_skip(len(leaves) - 1, reads[-1])
            found = skip + found - skip.detach()
        return found.view_as(output)

    def embed(module, args, output):
        embedded.append(output.detach().clone().requires_grad_())
        return embedded[0]

    with ExitStack() as hooks, torch.enable_grad(), _held():
        for layer in layers:
            hooks.callback(attrgetter(reader)(layer).register_forward_pre_hook(read).remove)
            hooks.callback(attrgetter(writer)(layer).register_forward_hook(write).remove)
        hooks.callback(model.get_input_embeddings().register_forward_hook(embed).remove)
        hooks.callback(
            model.get_output_embeddings()
            .register_forward_pre_hook(lambda _, args: behind.append(args[0][0, -1]))
            .remove
        )
        model(input_ids=tokens[None], use_cache=False)
    return _matrix(transcoders, reads, [*leaves, embedded[0]], behind[0], _unembedding(model)[targets])


def _unembedding(model: PreTrainedModel) -> torch.Tensor:
    weight = model.get_output_embeddings().weight.detach()
    return weight - weight.mean(0)


def _matrix(transcoders, reads, leaves, behind, unembedding) -> tuple[np.ndarray, np.ndarray]:
    n_layers = len(reads)
    active = torch.stack([transcoders.encode_layer(x.detach(), layer) for layer, x in enumerate(reads)]).detach()
    active[:, 0] = 0
    features = active.nonzero()
    errors = torch.stack(leaves[:-1]).detach() - _decoded(transcoders, active, reads)
    errors[:, 0] = 0
    rows = [
        reads[layer][position] @ _encoder(transcoders, layer, index) for layer, position, index in features.tolist()
    ]
    rows += [vector @ behind for vector in unembedding]
    found = []
    for row in rows:
        gradients = torch.autograd.grad(row, leaves, retain_graph=True, allow_unused=True, materialize_grads=True)
        *written, token = (gradient.reshape(reads[0].shape) for gradient in gradients)
        into = torch.stack(written)  # (n_layers, n_pos, d_model)
        by_feature = [
            active[layer, position, index]
            * sum(into[layer + n, position] @ vector for n, vector in enumerate(_decoders(transcoders, layer, index)))
            for layer, position, index in features.tolist()
        ]
        by_token = (token * leaves[-1].reshape(token.shape)).sum(-1)
        found.append(torch.cat([torch.stack(by_feature), (into * errors).sum(-1).flatten(), by_token]).detach())
    assert n_layers == len(leaves) - 1
    return features.numpy(), torch.stack(found).numpy()


def _encoder(transcoders, layer, index):
    return (
        transcoders.W_enc[layer, index]
        if isinstance(transcoders, CrossLayerTranscoder)
        else transcoders[layer].W_enc[index]
    )


def _decoders(transcoders, layer, index):
    if isinstance(transcoders, CrossLayerTranscoder):
        return transcoders.W_dec[layer][index]
    return transcoders[layer].W_dec[index][None]


def _decoded(transcoders, active, reads):
    found = torch.zeros(len(reads), *reads[0].shape)
    for layer, position, index in active.nonzero().tolist():
        for n, vector in enumerate(_decoders(transcoders, layer, index)):
            found[layer + n, position] += active[layer, position, index] * vector
    for layer, x in enumerate(reads):
        found[layer] += (
            transcoders.b_dec[layer] if isinstance(transcoders, CrossLayerTranscoder) else transcoders[layer].b_dec
        )
        if transcoders.skip_connection:
            found[layer] += transcoders.compute_skip(layer, x)
    return found.detach()
