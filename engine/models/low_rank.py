"""A linear layer and a term of low rank beside its weight."""

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D


class LowRank(nn.Module):
    """x W^T + b + scale (x down^T) up^T + shift, with W and b those of `linear`, which is shared and stays as it is.

    Its parameters are those of `linear`, in whose place it stands, by the same names.
    """

    linear: nn.Linear | Conv1D  # not a module of the model: nothing but this one runs it
    scale: float
    down: torch.Tensor  # (rank, n_in)
    up: torch.Tensor  # (n_out, rank)
    shift: torch.Tensor | None  # (n_out,)

    def __init__(
        self,
        linear: nn.Linear | Conv1D,
        down: torch.Tensor,
        up: torch.Tensor,
        scale: float,
        shift: torch.Tensor | None = None,
    ) -> None:
        super().__init__()
        # Past nn.Module's checks of every name, which would be most of what opening a checkpoint takes.
        vars(self).update(training=False, scale=scale, linear=linear)
        self._parameters.update(linear._parameters)
        self._buffers.update(down=down.detach(), up=up.detach(), shift=None if shift is None else shift.detach())
        self._non_persistent_buffers_set.update(self._buffers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        term = x.to(self.down.dtype) @ self.down.T @ self.up.T * self.scale
        if self.shift is not None:
            term = term + self.shift
        output: torch.Tensor = self.linear(x)
        return output + term.to(output.dtype)

    @property
    def bias(self) -> torch.Tensor | None:
        """(n_out,)"""
        own: torch.Tensor | None = self.linear.bias
        if self.shift is None:
            return own
        return self.shift if own is None else own + self.shift.to(own.dtype)

    @property
    def merged(self) -> torch.Tensor:
        """(n_out, n_in) W with the term in it: made anew each time."""
        whole = stored(self.linear)
        return whole + (self.up @ self.down * self.scale).to(whole.dtype)


def matrix(module: nn.Module) -> torch.Tensor:
    """(n_out, n_in) of a linear layer, however it is stored; a view where that is possible."""
    return module.merged if isinstance(module, LowRank) else stored(module)


def stored(module: nn.Module) -> torch.Tensor:
    """(n_out, n_in), a view: a Conv1D has its weight the other way round."""
    weight: torch.Tensor = module.weight  # type: ignore[assignment]
    return weight.T if isinstance(module, Conv1D) else weight
