"""A Hugging Face model seen as heads and MLPs that read from and write to one stream."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from operator import attrgetter

import torch
from torch import nn
from transformers import Cache, PreTrainedModel

from engine.components.families import Layer, family_of, layers_of
from engine.domain.components import ComponentShape


class ComponentModel:
    """Uniform access to the parts of a model of any family in `FAMILIES`; nothing of the model is changed.

    What a node adds to the stream: a head z_h W_O[h] (through the norm behind the attention, where there is one), an
    MLP its output (through the norm behind it), `input` the hidden states that enter layer 0. With constant biases they
    add up to the stream. Raises ModelUnavailable for a family without a row.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.family = family_of(model)
        config = model.config
        self.layers: tuple[Layer, ...] = layers_of(model, self.family)
        self.first: nn.Module = attrgetter(self.family.layers)(model)[0]
        self.final_norm: nn.Module = attrgetter(self.family.final_norm)(model)
        self.d_model: int = config.hidden_size
        self.n_heads: int = config.num_attention_heads
        self.d_head: int = self.layers[0].output.in_features // self.n_heads
        self.groups: int = self.n_heads // (getattr(config, "num_key_value_heads", None) or self.n_heads)
        self.shape = ComponentShape(
            n_layers=len(self.layers), n_heads=self.n_heads, parallel=self.family.parallel(config)
        )

    @property
    def device(self) -> torch.device:
        return self.final_norm.weight.device  # type: ignore[return-value]

    @contextmanager
    def prepared(self) -> Iterator[None]:
        """Eval mode, no gradients for weights, a k and a v for every query head (`per_head`); all put back after."""
        training = [module for module in self.model.modules() if module.training]
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        attentions = [layer.attention for layer in self.layers] if self.groups > 1 else []
        self.model.eval()
        try:
            for parameter in trained:
                parameter.requires_grad_(False)
            for attention in attentions:
                attention.num_key_value_groups = 1  # type: ignore[assignment]
            yield
        finally:
            for module in training:
                module.training = True
            for parameter in trained:
                parameter.requires_grad_(True)
            for attention in attentions:
                attention.num_key_value_groups = self.groups  # type: ignore[assignment]

    def logits(
        self, ids: torch.Tensor, mask: torch.Tensor | None = None, *, cache: Cache | None = None
    ) -> torch.Tensor:
        """(n, n_pos, d_vocab), or fewer positions where a hook lets only some through.

        mask: (n, n_pos) int64, 1 for tokens; None: padding, if any, is on the right, where nothing that matters sees
        it. cache: keys and values of the positions before.
        """
        n_before = 0 if cache is None else cache.get_seq_length()
        if mask is None:
            mask = self._causal(len(ids), ids.shape[1], n_before)
        logits: torch.Tensor = self.model(
            input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=False
        ).logits
        return logits

    def _causal(self, n: int, n_pos: int, n_before: int) -> torch.Tensor:
        """A mask for `model`: made here where all layers see everything before, as transformers' own takes its time."""
        if any(getattr(layer.attention, "sliding_window", None) is not None for layer in self.layers):
            return torch.ones(n, n_before + n_pos, dtype=torch.int64, device=self.device)
        dtype = self.model.dtype
        lowest = torch.full((n_pos, n_before + n_pos), torch.finfo(dtype).min, dtype=dtype, device=self.device)
        return lowest.triu(n_before + 1)[None, None]

    def per_head(self, which: int, output: torch.Tensor) -> torch.Tensor:
        """A projection's output (n, n_pos, …) with a k and v of its own for each query head that shares one."""
        if self.groups == 1 or which == 0:
            return output
        heads = output.unflatten(-1, (-1, self.d_head))  # (n, n_pos, n_kv, d_head)
        return heads.repeat_interleave(self.groups, dim=2).flatten(-2)

    def split(self, outputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Outputs of a layer's projections (or gradients there) as q, k, v, each (n, n_pos, n_heads, d_head), views."""
        if len(outputs) == 1:
            q, k, v = outputs[0].unflatten(-1, (self.n_heads, 3, self.d_head)).unbind(-2)
        else:
            q, k, v = (output.unflatten(-1, (self.n_heads, self.d_head)) for output in outputs)
        return q, k, v

    def input_weights(self, layer: int) -> torch.Tensor:
        """W (3 n_heads, d_head, d_model): a head's projection of the stream is W x̂ plus `input_offsets`.

        x̂ is what `standardised` makes of the stream: the norm's own weight is folded in, and so is, for a LayerNorm,
        the subtraction of the mean. All q, then all k, all v.
        """
        parts = self.layers[layer]
        weight = self._projection_weights(layer) * self._scale(parts.before_attention)
        return weight - weight.mean(-1, keepdim=True) if self._centred(parts.before_attention) else weight

    @cached_property
    def input_offsets(self) -> tuple[torch.Tensor | None, ...]:
        """A layer an entry, (3 n_heads, d_head): what the biases of norm and projection put out; None: no bias."""
        return tuple(self._offset(number) for number in range(len(self.layers)))

    def _offset(self, layer: int) -> torch.Tensor | None:
        parts = self.layers[layer]
        bias = getattr(parts.before_attention, "bias", None)
        offset = None if bias is None else self._projection_weights(layer) @ bias.float()
        if parts.projections[0].bias is None:
            return offset
        own = self._by_head([projection.bias[:, None] for projection in parts.projections], 1)[..., 0]
        return own if offset is None else offset + own

    def _projection_weights(self, layer: int) -> torch.Tensor:
        return self._by_head([projection.weight for projection in self.layers[layer].projections], self.d_model)

    def output_weights(self, layer: int) -> torch.Tensor:
        """(n_heads, d_head, d_model): z_h times this is what head h adds (see `Tape.heads` where a norm follows)."""
        parts = self.layers[layer]
        weight = parts.output.weight.float().T.unflatten(0, (self.n_heads, self.d_head))
        return weight if parts.after_attention is None else weight * self._scale(parts.after_attention)

    def standardised(self, norm: nn.Module, stream: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """x̂ (…, d_model), float32, and the scale s (…, 1) that the stream was divided by."""
        stream = stream.float()
        if self._centred(norm):
            stream = stream - stream.mean(-1, keepdim=True)
        scale = (stream.square().mean(-1, keepdim=True) + _epsilon(norm)).sqrt()
        return stream / scale, scale

    def _scale(self, norm: nn.Module) -> torch.Tensor:
        assert isinstance(norm.weight, torch.Tensor)
        return norm.weight.float() + self.family.weight_offset

    @staticmethod
    def _centred(norm: nn.Module) -> bool:
        return isinstance(norm, nn.LayerNorm)

    def _by_head(self, weights: list[torch.Tensor], width: int) -> torch.Tensor:
        """(3 n_heads, d_head, width) of the projections' weights."""
        if len(weights) == 1:
            whole = weights[0].float().view(self.n_heads, 3, self.d_head, width).transpose(0, 1)
            return whole.reshape(-1, self.d_head, width)
        heads = [weight.float().view(-1, self.d_head, width) for weight in weights]
        return torch.cat([head.repeat_interleave(self.n_heads // len(head), dim=0) for head in heads])


def _epsilon(norm: nn.Module) -> float:
    return float(getattr(norm, "variance_epsilon", None) or norm.eps)  # type: ignore[arg-type]
