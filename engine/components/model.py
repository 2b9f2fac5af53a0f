"""A Hugging Face model seen as heads and MLPs that read from and write to one stream."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property

import torch
from torch import nn
from transformers import Cache, PreTrainedModel

from engine.domain.components import ComponentShape
from engine.domain.errors import ModelUnavailable
from engine.models.low_rank import matrix
from engine.models.parts import Norm, Parts


class ComponentModel(Parts):
    """The parts of a model as nodes that read from and write to the stream; nothing of the model is changed.

    What a node adds to the stream: a head z_h W_O[h] (through the norm behind the attention, where there is one), an
    MLP its output (through the norm behind it), `input` the hidden states that enter layer 0. With constant biases they
    add up to the stream. Raises ModelUnavailable for a family without a row, and where heads cannot be told apart.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__(model)
        self._refuse_mixed_heads()
        self.shape = ComponentShape(n_layers=len(self.layers), n_heads=self.n_heads, parallel=self.parallel)

    @property
    def first(self) -> nn.Module:
        """Layer 0."""
        return self.layers[0].module

    def _refuse_mixed_heads(self) -> None:
        why = ""
        if any(layer.after_attention is not None and layer.output.bias is not None for layer in self.layers):
            why = "the bias of its attention output passes a norm, so that the heads' outputs do not add up"
        elif self.groups > 1 and self.family.joint_qk_norm:
            why = "one norm takes the keys of all heads together, and heads share keys"
        if why:
            raise ModelUnavailable(
                f"Component circuits cannot be found in this {self.family.title} model: {why}. Take another model."
            )

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """Eval mode, no gradients for weights, a k and a v for every query head (`per_head`); all put back after."""
        training = [module for module in self.model.modules() if module.training]
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.model.eval()
        try:
            for parameter in trained:
                parameter.requires_grad_(False)
            with self._heads_apart():
                yield
        finally:
            for module in training:
                module.training = True
            for parameter in trained:
                parameter.requires_grad_(True)

    @contextmanager
    def _heads_apart(self) -> Iterator[None]:
        """Attention takes as many keys and values as there are query heads."""
        wanted = {"num_key_value_groups": 1, "num_key_value_heads": self.n_heads} if self.groups > 1 else {}
        with ExitStack() as put_back:
            for layer in self.layers:
                for name, value in wanted.items():
                    if hasattr(layer.attention, name):
                        put_back.callback(setattr, layer.attention, name, getattr(layer.attention, name))
                        setattr(layer.attention, name, value)
            yield

    def logits(
        self, ids: torch.Tensor, mask: torch.Tensor | None = None, *, cache: Cache | None = None
    ) -> torch.Tensor:
        """(n, n_pos, d_vocab), or fewer positions where a hook lets only some through.

        mask: (n, n_pos) int64, 1 for tokens; None: padding, if any, is on the right, where nothing that matters sees
        it. cache: keys and values of the positions before.
        """
        n_before = 0 if cache is None else cache.get_seq_length()
        if mask is None:
            mask = self.causal_mask(len(ids), ids.shape[1], n_before)
        logits: torch.Tensor = self.model(
            input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=False
        ).logits
        return logits

    def per_head(self, which: int, output: torch.Tensor) -> torch.Tensor:
        """A projection's output (n, n_pos, …) with a k and v of its own for each query head that shares one."""
        if self.groups == 1 or (which == 0 and self.family.fused == "no"):
            return output
        if self.family.fused == "no":
            return self._repeated(output)
        width = self.n_kv_heads * self.d_head
        q, k, v = output.split([self.n_heads * self.d_head, width, width], dim=-1)
        return torch.cat([q, self._repeated(k), self._repeated(v)], dim=-1)

    def _repeated(self, output: torch.Tensor) -> torch.Tensor:
        heads = output.unflatten(-1, (-1, self.d_head))  # (n, n_pos, n_kv, d_head)
        return heads.repeat_interleave(self.groups, dim=2).flatten(-2)

    def split(self, outputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Outputs of a layer's projections (or gradients there) as q, k, v, each (n, n_pos, n_heads, d_head), views."""
        if self.family.fused == "by_head":
            q, k, v = outputs[0].unflatten(-1, (self.n_heads, 3, self.d_head)).unbind(-2)
        elif self.family.fused == "by_kind":
            q, k, v = outputs[0].unflatten(-1, (3, self.n_heads, self.d_head)).unbind(-3)
        else:
            q, k, v = (output.unflatten(-1, (self.n_heads, self.d_head)) for output in outputs)
        return q, k, v

    def joined(self, heads: torch.Tensor) -> torch.Tensor:
        """(n, n_pos, …) what a projection gives, of (n, n_pos, n_heads, d_head) or 3 n_heads: q, then k, then v."""
        if self.family.fused == "by_head":  # q, k and v of a head lie together
            heads = heads.unflatten(2, (3, -1)).transpose(2, 3).flatten(2, 3)
        return heads.flatten(2)

    def input_weights(self, layer: int) -> torch.Tensor:
        """W (3 n_heads, d_head, d_model): a head's projection of the stream is W x̂ plus `input_offsets`.

        x̂ is what `standardised` makes of the stream: the norm's own weight is folded in, and so is, for a LayerNorm,
        the subtraction of the mean. All q, then all k, all v.
        """
        norm, weight = self.layers[layer].before_attention, self._projection_weights(layer)
        if norm is None:
            return weight
        weight = norm.weighted(weight)
        return weight - weight.mean(-1, keepdim=True) if norm.centred else weight

    @cached_property
    def input_offsets(self) -> tuple[torch.Tensor | None, ...]:
        """A layer an entry, (3 n_heads, d_head): what the biases of norm and projection put out; None: no bias."""
        return tuple(self._offset(number) for number in range(len(self.layers)))

    def _offset(self, layer: int) -> torch.Tensor | None:
        parts = self.layers[layer]
        bias = None if parts.before_attention is None else parts.before_attention.bias
        offset = None if bias is None else self._projection_weights(layer) @ bias
        if parts.projections[0].bias is None:
            return offset
        own = self._by_head(self.split_rows([projection.bias for projection in parts.projections]))  # type: ignore[misc]
        return own if offset is None else offset + own

    def _projection_weights(self, layer: int) -> torch.Tensor:
        return self._by_head(self.by_kind(layer))

    def _by_head(self, rows: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """(3 n_heads, d_head, …) float32, of rows for q, k and v, (n_heads or n_kv_heads d_head, …) each."""
        heads = [row.float().unflatten(0, (-1, self.d_head)) for row in rows]
        return torch.cat([head.repeat_interleave(self.n_heads // len(head), dim=0) for head in heads])

    def output_weights(self, layer: int) -> torch.Tensor:
        """(n_heads, d_head, d_model): z_h times this is what head h adds (see `Tape.heads` where a norm follows)."""
        parts = self.layers[layer]
        weight = matrix(parts.output).float().T.unflatten(0, (self.n_heads, self.d_head))
        return weight if parts.after_attention is None else parts.after_attention.weighted(weight)

    @staticmethod
    def standardised(norm: Norm | None, stream: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """x̂ (…, d_model), float32, and the scale s (…, 1) that the stream was divided by: 1 without a norm."""
        if norm is None:
            return stream.float(), stream.new_ones(*stream.shape[:-1], 1, dtype=torch.float32)
        return norm.standardised(stream)
