"""EAP-IG as it is written down, without any factor: every input of every head is a tensor of its own."""

from contextlib import ExitStack

import numpy as np
import torch
from transformers import PreTrainedModel

from engine.components.metrics import values
from engine.components.model import ComponentModel
from engine.components.pairs import TokenPairs
from engine.domain.edge_measures import Metric
from engine.models.low_rank import matrix


class Reference:
    """One pass: what each node writes, and the stream that each input reads, as tensors in the graph."""

    def __init__(self, parts: ComponentModel, ids: torch.Tensor, start: torch.Tensor | None = None) -> None:
        self.parts = parts
        self.inputs: list[torch.Tensor] = []  # in the order of `ComponentShape.inputs`, (n_rows, n, n_pos, d_model)
        self.written: list[torch.Tensor] = []  # in the order of the sources, (n_rows, n, n_pos, d_model)
        with ExitStack() as hooks:
            for handle in self._hooks(start):
                hooks.callback(handle.remove)
            self.logits = parts.model(input_ids=ids, use_cache=False).logits

    def _hooks(self, start):
        parts = self.parts

        def enter(_, args):
            entering = (args[0] if start is None else start).detach().requires_grad_(True)
            self.written.append(entering.detach()[None])
            return (entering, *args[1:])

        yield parts.first.register_forward_pre_hook(enter)
        for layer in parts.layers:
            yield layer.module.register_forward_pre_hook(self._copy_for_heads)
            for which, projection in enumerate(layer.projections):
                yield projection.register_forward_hook(self._projecting(layer, which))
            if layer.after_attention is None:
                yield layer.output.register_forward_pre_hook(self._heads_writing(layer))
            else:
                yield layer.output.register_forward_pre_hook(self._keep_z)
                yield layer.after_attention.module.register_forward_pre_hook(self._heads_writing(layer))
            yield layer.mlp_entry.register_forward_pre_hook(self._copy)
            yield layer.mlp_exit.register_forward_hook(self._mlp_writing)
        yield parts.final_norm.module.register_forward_pre_hook(self._copy)

    def _copy_for_heads(self, _, args):
        self.inputs.append(args[0].expand(3 * self.parts.n_heads, -1, -1, -1).clone())

    def _copy(self, _, args):
        self.inputs.append(args[0].reshape(self.written[0].shape).clone())
        return (self.inputs[-1].reshape(args[0].shape),)

    def _mlp_writing(self, _, args, output):
        self.written.append(output.detach().reshape(self.written[0].shape))

    def _projecting(self, layer, which):
        parts, n_heads = self.parts, self.parts.n_heads

        def hook(projection, args, output):
            norm = layer.before_attention
            read = (
                self.inputs[-1] if norm is None else norm.module.forward(self.inputs[-1])
            )  # (3 n_heads, n, n_pos, d_model)
            if parts.family.fused == "by_head":
                blocks = [projection(read[w * n_heads + h]).unflatten(-1, (n_heads, 3, -1))[:, :, h, w]
                          for h in range(n_heads) for w in range(3)]  # fmt: skip
                return torch.cat(blocks, dim=-1)
            if parts.family.fused == "by_kind":
                kinds = [n * parts.d_head for n in (n_heads, parts.n_kv_heads, parts.n_kv_heads)]
                blocks = [projection(read[w * n_heads + h]).split(kinds, -1)[w].unflatten(-1, (-1, parts.d_head))[
                              :, :, h // (parts.groups if w else 1)]
                          for w in range(3) for h in range(n_heads)]  # fmt: skip
                return torch.cat(blocks, dim=-1)
            groups = parts.groups if which else 1
            blocks = [projection(read[which * n_heads + h]).unflatten(-1, (-1, parts.d_head))[:, :, h // groups]
                      for h in range(n_heads)]  # fmt: skip
            return torch.cat(blocks, dim=-1)

        def once(projection, args, output):
            handles = projection._forward_hooks
            projection._forward_hooks = {}  # the projection itself is what is used inside
            try:
                return hook(projection, args, output)
            finally:
                projection._forward_hooks = handles

        return once

    def _keep_z(self, _, args):
        self._z = args[0]

    def _heads_writing(self, layer):
        def hook(_, args):
            z = args[0] if layer.after_attention is None else self._z
            d_head = self.parts.d_head
            for head in range(self.parts.n_heads):
                part = slice(head * d_head, (head + 1) * d_head)
                output = z[..., part].detach() @ matrix(layer.output)[:, part].T
                if layer.after_attention is not None:
                    norm, whole = layer.after_attention, args[0].detach()
                    output = output / (whole.square().mean(-1, keepdim=True) + norm.epsilon).sqrt() * norm.weight
                self.written.append(output.detach()[None])

        return hook


def reference_scores(model: PreTrainedModel, pairs: TokenPairs, *, n_steps: int, metric: Metric) -> np.ndarray:
    """(n, n_inputs, n_sources) float64: pair by pair, without padding."""
    parts = ComponentModel(model)
    with parts.prepared():
        return np.stack([_scores(parts, pairs.part([row]), n_steps, metric) for row in range(len(pairs))])


def _scores(parts: ComponentModel, pair: TokenPairs, n_steps: int, metric: Metric) -> np.ndarray:
    clean, corrupted = Reference(parts, pair.clean), Reference(parts, pair.corrupted)
    changed = torch.cat(corrupted.written) - torch.cat(clean.written)  # (n_sources, 1, n_pos, d_model)
    total = np.zeros((parts.shape.n_inputs, parts.shape.n_sources))
    for step in range(1, n_steps + 1):
        start = torch.lerp(corrupted.written[0][0], clean.written[0][0], step / n_steps)
        run = Reference(parts, pair.clean, start)
        found = values(run.logits[:, -1], pair, metric, clean.logits[:, -1].detach())
        gradients = torch.cat(torch.autograd.grad(found.sum(), run.inputs))
        total += (gradients.flatten(1).double() @ changed.flatten(1).double().T).numpy() / n_steps
    return total * parts.shape.edge_mask()
