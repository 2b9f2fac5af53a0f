"""What two checkpoints of one model have different weights in, and what that makes of a module's output.

Every module that has weights here is affine in them: with its input held, its output moves on a straight line while its
weights do, by the same amount at every point.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from engine.domain.errors import ComparisonRefused, InputError
from engine.models.low_rank import LowRank, stored


class WeightChange(ABC):
    """From module `a` to module `b`, which stands in the same place of another checkpoint."""

    @abstractmethod
    def of_output(self, *args: Any, **named: Any) -> torch.Tensor:
        """b's output minus a's, of the same input; float32, without gradients into weights."""


class _ByDifference(torch.autograd.Function):
    """x (b - a)^T of two dense weights (n_out, n_in), whose difference is made anew on the way back: autograd would
    keep those of all layers until then, which together are as large as the model."""

    @staticmethod
    def forward(context: Any, x: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        context.save_for_backward(a, b)
        return x @ _difference(a, b).T

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return gradients[0] @ _difference(*context.saved_tensors), None, None


def _difference(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return b.float() - a.float()


class LinearChange(WeightChange):
    """Of a linear layer. Terms of low rank stay thin; a dense difference is made anew wherever it is asked for."""

    def __init__(self, a: nn.Module, b: nn.Module) -> None:
        self._terms = [  # up and down, with the sign of its checkpoint
            (one.up * (sign * one.scale), one.down) for one, sign in ((a, -1), (b, 1)) if isinstance(one, LowRank)
        ]
        own_a, own_b = _without_term(a), _without_term(b)
        self._dense = None if torch.equal(stored(own_a), stored(own_b)) else (stored(own_a), stored(own_b))
        self._biases = (_bias(a, stored(own_a)), _bias(b, stored(own_b)))

    def of_output(self, *args: Any, **named: Any) -> torch.Tensor:
        x: torch.Tensor = args[0].float()
        change = (self._biases[1] - self._biases[0]).expand(*x.shape[:-1], -1)
        for up, down in self._terms:
            change = change + x @ down.float().T @ up.float().T
        if self._dense is not None:
            product: torch.Tensor = _ByDifference.apply(x, *self._dense)
            change = change + product
        return change

    def by_input(self, gradient: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """(…, n_in): what each number of the input x (…, n_in) has of the gradient (…, n_out) times the change.

        The bias, which belongs to none, is left out.
        """
        found = torch.zeros_like(x, dtype=torch.float32)
        for up, down in self._terms:
            found += gradient.float() @ up.float() @ down.float()
        if self._dense is not None:
            found += gradient.float() @ _difference(*self._dense)
        return found * x.float()


class _LayerNormChange(WeightChange):
    def __init__(self, a: nn.LayerNorm, b: nn.LayerNorm) -> None:
        self._a, self._b = a, b

    def of_output(self, *args: Any, **named: Any) -> torch.Tensor:
        weight, bias = (
            None if new is None else new.float() - old.float()
            for old, new in ((self._a.weight, self._b.weight), (self._a.bias, self._b.bias))
        )
        shape = self._a.normalized_shape
        change: torch.Tensor = functional.layer_norm(args[0].float(), shape, weight, bias, self._a.eps)
        return change


class _RunBoth(WeightChange):
    """Of embeddings and of norms that take any dtype."""

    def __init__(self, a: nn.Module, b: nn.Module) -> None:
        self._a, self._b = a, b

    def of_output(self, *args: Any, **named: Any) -> torch.Tensor:
        args = tuple(one.float() if torch.is_tensor(one) and one.is_floating_point() else one for one in args)
        change: torch.Tensor = self._b.forward(*args, **named).float() - self._a.forward(*args, **named).float()
        return change


def changes(a: PreTrainedModel, b: PreTrainedModel) -> dict[str, WeightChange]:
    """By the name of the module, those whose own weights differ, in the model's order.

    Raises ComparisonRefused for models of other modules or shapes, InputError where weights differ in a kind of module
    whose output is not known to follow them on a line.
    """
    ours, theirs = dict(units(a)), dict(units(b))
    if ours.keys() != theirs.keys():
        name = min(ours.keys() ^ theirs.keys())
        raise ComparisonRefused(f"Only one of the checkpoints has {name}: they belong to different models.")
    found = {}
    for name, one in ours.items():
        other = theirs[name]
        if not _same(name, one, other):
            found[name] = _change(name, one, other)
    return found


def units(model: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Modules with weights of their own; a layer with a term of low rank is one."""
    for name, child in model.named_children():
        whole = f"{prefix}{name}"
        if isinstance(child, LowRank):
            yield whole, child
            continue
        if next(child.parameters(recurse=False), None) is not None:
            yield whole, child
        yield from units(child, f"{whole}.")


def _same(name: str, a: nn.Module, b: nn.Module) -> bool:
    if isinstance(a, LowRank) or isinstance(b, LowRank):
        terms = [one for one in (a, b) if isinstance(one, LowRank)]
        if len(terms) == 1 or not _same_term(*terms):
            return False
    own_a, own_b = (
        dict(_without_term(a).named_parameters(recurse=False)),
        dict(_without_term(b).named_parameters(recurse=False)),
    )
    for key in own_a.keys() | own_b.keys():
        if key not in own_a or key not in own_b or own_a[key].shape != own_b[key].shape:
            raise ComparisonRefused(
                f"{name}.{key} has another shape in one of the checkpoints: they belong to different models."
            )
    return all(own_a[key] is own_b[key] or torch.equal(own_a[key], own_b[key]) for key in own_a)


def _same_term(a: LowRank, b: LowRank) -> bool:
    pairs = ((a.down, b.down), (a.up, b.up), (a.shift, b.shift))
    return a.scale == b.scale and all(
        torch.equal(one, other) if one is not None and other is not None else one is other for one, other in pairs
    )


def _change(name: str, a: nn.Module, b: nn.Module) -> WeightChange:
    kind = _without_term(a)
    if isinstance(kind, nn.Linear | Conv1D):
        return LinearChange(a, b)
    if isinstance(kind, nn.LayerNorm) and isinstance(b, nn.LayerNorm):
        return _LayerNormChange(kind, b)
    if isinstance(kind, nn.Embedding) or type(kind).__name__.endswith("Norm"):
        return _RunBoth(a, b)
    raise InputError(
        f"Training changed {name}, a {type(kind).__name__}, whose effect cannot be told part by part. Supported are "
        "linear layers, embeddings and norms."
    )


def _without_term(module: nn.Module) -> nn.Module:
    return module.linear if isinstance(module, LowRank) else module


def _bias(module: nn.Module, weight: torch.Tensor) -> torch.Tensor:
    bias: torch.Tensor | None = getattr(module, "bias", None)
    return weight.new_zeros(len(weight), dtype=torch.float32) if bias is None else bias.float()
