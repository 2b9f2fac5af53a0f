"""Norms and attention as the linear maps that they are while denominators and patterns are held."""

from dataclasses import dataclass

import torch

from engine.models.parts import Norm


@dataclass(frozen=True, eq=False)
class HeldNorm:
    """y = (x, less its mean where `centred`) · weight · scale."""

    scale: torch.Tensor  # (n_pos, 1)
    weight: torch.Tensor | None  # (d_model,); None: it multiplies by nothing
    centred: bool

    @classmethod
    def of(cls, norm: Norm | None, scale: torch.Tensor | None, *, weighted: bool = True) -> "HeldNorm | None":
        """None: there is no norm. weighted: its weight is multiplied in."""
        if norm is None or scale is None:
            return None
        return cls(scale, norm.weight if weighted else None, norm.centred)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (…, d_model), without the scale."""
        x = x - x.mean(-1, keepdim=True) if self.centred else x
        return x if self.weight is None else x * self.weight

    def back(self, gradient: torch.Tensor) -> torch.Tensor:
        """(…, d_model) at y -> at x, without the scale."""
        gradient = gradient if self.weight is None else gradient * self.weight
        return gradient - gradient.mean(-1, keepdim=True) if self.centred else gradient


@dataclass(frozen=True, eq=False)
class HeldAttention:
    """What a layer's attention, with the norms before and behind it, adds to the stream.

    The norms' weights are multiplied into the matrices and their scales into the patterns, so that a gradient passes
    two products and the mix of positions between them, and nothing else.
    """

    mix: torch.Tensor  # (n_kv_heads, n_pos, groups, n_pos): from, query head of the group, to
    values: torch.Tensor  # (n_kv_heads d_head, d_model)
    outputs: torch.Tensor  # (d_model, n_heads d_head)

    @classmethod
    def of(
        cls,
        patterns: torch.Tensor,
        values: torch.Tensor,
        outputs: torch.Tensor,
        n_kv_heads: int,
        before: HeldNorm | None,
        after: HeldNorm | None,
    ) -> "HeldAttention":
        """patterns (n_heads, n_pos, n_pos): to, from; W_V and W_O as they are."""
        if before is not None:
            values = before.back(values)
            patterns = patterns * before.scale[:, 0]
        if after is not None:
            outputs = after.forward(outputs.T).T
            patterns = patterns * after.scale
        return cls(patterns.unflatten(0, (n_kv_heads, -1)).permute(0, 3, 1, 2), values, outputs)

    def to_values(self, gradient: torch.Tensor, n_spread: int, own: torch.Tensor) -> torch.Tensor:
        """Gradient at the values, (n_kv_heads, 1 + n_places, n, d_head), of one behind what is added to the stream.

        gradient: (n, n_places, d_model) at positions 1, 2, …; rows from `n_spread` on are zero but at their own place
        (n,). At the values position 0 is there, too.
        """
        n, n_places, _ = gradient.shape
        n_kv, _, groups, _ = self.mix.shape
        z = self._to_heads(gradient, n_spread, own).view(n, n_places, n_kv, groups, -1)
        z = z.permute(2, 3, 1, 0, 4).reshape(n_kv, groups * n_places, -1)  # heads that share a value side by side
        mix = self.mix[:, : n_places + 1, :, 1 : n_places + 1].flatten(2)
        return torch.bmm(mix, z).unflatten(2, (n, -1))

    def _to_heads(self, gradient: torch.Tensor, n_spread: int, own: torch.Tensor) -> torch.Tensor:
        n, n_places, _ = gradient.shape
        z = gradient.new_empty(n, n_places, self.outputs.shape[1])
        torch.mm(gradient[:n_spread].flatten(0, 1), self.outputs, out=z[:n_spread].flatten(0, 1))
        if n_spread < n:
            alone, at = torch.arange(n_spread, n, device=gradient.device), own[n_spread:]
            z[n_spread:] = 0
            z[alone, at] = gradient[alone, at] @ self.outputs
        return z

    def add_down(self, gradient: torch.Tensor, at_values: torch.Tensor) -> None:
        """Add to a gradient (n, n_places, d_model) at the stream what comes from the values, as `to_values` has it."""
        at_values = at_values[:, 1:].permute(2, 1, 0, 3).flatten(2)
        gradient.flatten(0, 1).addmm_(at_values.flatten(0, 1), self.values)

    def add_up(self, x: torch.Tensor, first: int) -> None:
        """Add to a stream (n, n_places, d_model) at positions from `first` on, zero before, what attention adds."""
        n, n_places, _ = x.shape
        n_kv = len(self.mix)
        values = (x.flatten(0, 1) @ self.values.T).view(n, n_places, n_kv, -1)
        values = values.permute(2, 1, 0, 3).reshape(n_kv, n_places, -1)
        mix = self.mix[:, first : first + n_places, :, first : first + n_places].flatten(2).transpose(1, 2)
        z = torch.bmm(mix, values).view(n_kv, -1, n_places, n, self.values.shape[0] // n_kv)
        x.flatten(0, 1).addmm_(z.permute(3, 2, 0, 1, 4).reshape(n * n_places, -1), self.outputs.T)

    def valued(self, x: torch.Tensor) -> torch.Tensor:
        """What x (n, d_model) in the stream gives the values, (n_kv_heads, n, d_head)."""
        return (x @ self.values.T).unflatten(1, (len(self.mix), -1)).transpose(0, 1)

    def at_first(self, value: torch.Tensor) -> torch.Tensor:
        """(d_model,) that position 0 adds to itself, of its own value (n_kv_heads, 1, d_head)."""
        return self.outputs @ (self.mix[:, 0, :, :1] * value).flatten()
