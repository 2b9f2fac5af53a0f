"""Where training acted: the change of a logit along the line of weights between two checkpoints, split exactly.

At a point of the line let x be what a changed module gets, and g the gradient of the logit at its output. There the
logit moves by the sum over tokens of ⟨g, change of the output for this x⟩ (loss change allocation, Lan et al. 2019,
taken at outputs instead of weights, so that it splits over tokens and heads as well).

The integral is Gauss and Legendre's over segments of the line. Of each segment the true change is known from the logits
at its ends, so the one that is furthest off is halved until the sum is right: where a model changes its ways, such as
where an attention sink moves, a line may need many points in one place and four for all the rest.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from engine.attribution.effort import BACKWARD, FORWARD, Effort
from engine.attribution.weight_changes import LinearChange, WeightChange, changes, units
from engine.domain.acted import EMBEDDING_LAYER, POINTS, ChangedHead, ChangedMatrix, HeadKind, Stretch, may_be_left
from engine.domain.errors import ModelUnavailable
from engine.domain.explained import ExplainedLogits
from engine.models.last_logits import last_logits
from engine.models.low_rank import LowRank
from engine.models.masks import attention_mask
from engine.models.memory import free_memory
from engine.models.parts import Layer, Parts
from engine.models.prompt_memory import PromptMemory, refuse_longer_than_free
from engine.models.sharing import sharing_copy

_SEGMENT = POINTS * (FORWARD + BACKWARD)  # what it takes
STRETCH = 2 * FORWARD + _SEGMENT  # at least
MOST_SEGMENTS = 16
_TOKENS_TOGETHER = 256  # of all points that go through the model side by side
_KINDS: tuple[HeadKind, HeadKind, HeadKind] = ("query", "key", "value")


def stretch(
    a: PreTrainedModel,
    b: PreTrainedModel,
    prompt: torch.Tensor,
    of: ExplainedLogits,
    *,
    whole: float = 0.0,
    allowed: float | None = None,
    effort: Effort | None = None,
) -> Stretch:
    """How what is explained behind prompt (n_pos,), BOS first, changes from one checkpoint to the other.

    `whole`: what it changes by on average over the stretches that this one is of. Where that is more than this
    one's own change, it decides how exact the sum must be. `allowed`: what may be left instead. `effort`: expects
    STRETCH of this; it is told where that is not all. Neither model is written to. Raises ComparisonRefused,
    InputError as `changes`; PromptRefused for a prompt that is too long for the memory that is free.
    """
    effort = effort or Effort(expected=STRETCH)
    (before, p_before), (after, p_after) = (logit_of(model, prompt, of, effort) for model in (a, b))
    if allowed is None:
        allowed = may_be_left(after - before, whole)
    changed = changes(a, b)
    _refuse_longer(a, len(prompt), changed)
    line = _Line(sharing_copy(a), changed, prompt, of, effort)
    segments = _integrated(line, before, after, allowed) if changed else []
    parts = _Integral.sum_of([segment.parts for segment in segments])
    return Stretch(
        before=before,
        after=after,
        probability_before=p_before,
        probability_after=p_after,
        matrices=tuple(ChangedMatrix(name, layer_of(name, a)) for name in changed),
        by_matrix=_rows([parts.modules[name] for name in changed], len(prompt)),
        heads=tuple(parts.heads),
        by_head=_rows(list(parts.heads.values()), len(prompt)),
        n_points=POINTS * len(segments),
    )


def refuse_too_long(a: PreTrainedModel, b: PreTrainedModel, n_pos: int) -> None:
    """As `stretch` does, before any work: a prompt of so many tokens, BOS among them, for which the memory that is free
    is not enough. Weights are compared only where it depends on how many changed.

    Raises PromptRefused, and ComparisonRefused, InputError as `changes`.
    """
    most = sum(_n_outputs(module) for _, module in units(a))
    if PromptMemory.of(a).stretched(n_pos, most) > free_memory(a.device):
        _refuse_longer(a, n_pos, changes(a, b))


def _refuse_longer(a: PreTrainedModel, n_pos: int, changed: Collection[str]) -> None:
    n_outputs = sum(_n_outputs(a.get_submodule(name)) for name in changed)
    takes = PromptMemory.of(a)
    free = free_memory(a.device, takes.stretched(n_pos, n_outputs))
    refuse_longer_than_free(n_pos, free, lambda n: takes.stretched(n, n_outputs), "finding where training acted")


@dataclass(frozen=True, eq=False)
class _Segment:
    """A part of the line, from 0 to 1, with the logits at its ends."""

    start: float
    end: float
    before: float
    after: float
    parts: "_Integral"

    @property
    def left(self) -> float:
        return self.after - self.before - self.parts.total


def _integrated(line: "_Line", before: float, after: float, allowed: float) -> list[_Segment]:
    """Segments whose sums leave no more than `allowed` of their changes, unless there are MOST_SEGMENTS."""
    segments = [_Segment(0.0, 1.0, before, after, line.integral(0.0, 1.0))]
    while sum(abs(segment.left) for segment in segments) > allowed and len(segments) < MOST_SEGMENTS:
        worst = max(segments, key=lambda segment: abs(segment.left))
        middle = (worst.start + worst.end) / 2
        line.expect_halves()
        logit, place = line.logit(middle), segments.index(worst)
        segments[place : place + 1] = [
            _Segment(worst.start, middle, worst.before, logit, line.integral(worst.start, middle)),
            _Segment(middle, worst.end, logit, worst.after, line.integral(middle, worst.end)),
        ]
    return segments


def _n_outputs(module: nn.Module) -> int:
    """Numbers a token that a module with weights gives."""
    kind = module.linear if isinstance(module, LowRank) else module
    return int(next(kind.parameters(recurse=False)).shape[0 if isinstance(kind, nn.Linear) else -1])


def layer_of(name: str, model: PreTrainedModel) -> int:
    """Of a module: EMBEDDING_LAYER, 0 …, or n_layers for what stands behind the last layer."""
    if number := re.search(r"\.(\d+)\.", name):
        return int(number[1])
    is_embedding = isinstance(model.get_submodule(name), nn.Embedding)
    return EMBEDDING_LAYER if is_embedding else int(model.config.num_hidden_layers)


@torch.no_grad()
def logit_of(
    model: PreTrainedModel, prompt: torch.Tensor, of: ExplainedLogits, effort: Effort | None = None
) -> tuple[float, float]:
    """What is explained, before any soft cap, and the probability of its answers together."""
    own = sharing_copy(model)
    with (effort or Effort()).passing(own):
        raw, capped = at_last(own, prompt[None])
    return float(explained(raw, of)), float(capped[0].softmax(-1)[list(of.answers)].sum())


@torch.no_grad()
def said(model: PreTrainedModel, prompt: torch.Tensor, effort: Effort | None = None) -> int:
    """The most probable token behind prompt (n_pos,)."""
    own = sharing_copy(model)
    with (effort or Effort()).passing(own):
        return int(at_last(own, prompt[None])[1].argmax())


def at_last(model: PreTrainedModel, prompts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of prompts (n, n_pos), logits (n, n_vocab) at the last position, before any soft cap and behind it, float32.

    `model` gets hooks while it runs: a copy of one's own.
    """
    with last_logits(model) as raw:
        mask = attention_mask(model, prompts)
        capped = model(input_ids=prompts, attention_mask=mask, use_cache=False).logits[:, -1]
    return raw[0], capped.float()


def explained(logits: torch.Tensor, of: ExplainedLogits) -> torch.Tensor:
    """(n,) of logits (n, n_vocab)."""
    weights = torch.as_tensor(of.weights(of.tokens), dtype=logits.dtype, device=logits.device)
    found = logits[:, list(of.tokens)] @ weights
    return found if of.against else found - logits.mean(1)


def _rows(parts: Sequence[np.ndarray], n_pos: int) -> np.ndarray:
    return np.array(parts, np.float32).reshape(len(parts), n_pos)


@dataclass(frozen=True, eq=False)
class _Integral:
    """(n_pos,) float64 each."""

    modules: Mapping[str, np.ndarray]
    heads: Mapping[ChangedHead, np.ndarray]

    @classmethod
    def sum_of(cls, several: Sequence["_Integral"]) -> "_Integral":
        modules: dict[str, np.ndarray] = {}
        heads: dict[ChangedHead, np.ndarray] = {}
        for one in several:
            modules |= {name: modules.get(name, 0.0) + part for name, part in one.modules.items()}
            heads |= {head: heads.get(head, 0.0) + part for head, part in one.heads.items()}
        return cls(modules, heads)

    @property
    def total(self) -> float:
        return float(sum(part.sum() for part in self.modules.values()))


@dataclass(frozen=True, eq=False)
class _Seen:
    """Of a changed module in one pass, each with axes as the module has them."""

    x: torch.Tensor
    change: torch.Tensor  # of the output, float32
    output: torch.Tensor
    n_points: int
    axis: int  # of positions; 0 where they share one with the points

    def by_position(self, values: torch.Tensor) -> torch.Tensor:
        """(n_points, n_pos, numbers); an axis has one entry where all share it, or where only the last position is."""
        if self.axis == 0:
            return values.unflatten(0, (self.n_points, -1))
        return values.movedim(self.axis, 1).flatten(2)


class _Line:
    """The models between two checkpoints, several of them at once: the prompt stands in a batch, once a point."""

    def __init__(
        self, model: PreTrainedModel, changed: Mapping[str, WeightChange], prompt: torch.Tensor, of: ExplainedLogits,
        effort: Effort,
    ) -> None:  # fmt: skip
        """`model`: of the first checkpoint, with hooks that nobody else sees."""
        self._model, self._changed, self._prompt, self._of = model, changed, prompt, of
        self._heads, self._effort = _Heads(model), effort

    def expect_halves(self) -> None:
        """A segment is halved: so much more is to be done than was known."""
        self._effort.expect(FORWARD + 2 * _SEGMENT)

    def integral(self, start: float, end: float) -> _Integral:
        nodes, weights = np.polynomial.legendre.leggauss(POINTS)  # from -1 to 1
        total = _Sums(self._heads.outputs)
        self._add_all(total, start + (nodes + 1) / 2 * (end - start), weights / 2 * (end - start))
        return self._integral(total)

    def logit(self, place: float) -> float:
        with torch.no_grad(), self._effort.passing(self._model):
            return float(self._pass(self._prompt.new_tensor([place], dtype=torch.float32))[1])

    def _integral(self, total: "_Sums") -> _Integral:
        n_pos = len(self._prompt)
        modules = dict.fromkeys(self._changed, np.zeros(n_pos))  # of one that never runs
        modules |= {name: _placed(numbers.sum(1), n_pos) for name, numbers in total.by_output.items()}
        return _Integral(modules, {head: _placed(part, n_pos) for head, part in self._heads.split(total).items()})

    def _add_all(self, total: "_Sums", places: np.ndarray, weights: np.ndarray) -> None:
        """The parts at places (n,) of the line, each times its weight, go into `total`."""
        together = max(1, _TOKENS_TOGETHER // len(self._prompt))
        for first in range(0, len(places), together):
            some = slice(first, first + together)
            at, of = (
                torch.tensor(one[some], dtype=torch.float32, device=self._prompt.device) for one in (places, weights)
            )
            self._add(total, at, of)

    def _add(self, total: "_Sums", at: torch.Tensor, weights: torch.Tensor) -> None:
        with self._effort.passing(self._model, n=len(at), back=True):
            with torch.enable_grad():
                seen, value = self._pass(at)
            gradients = torch.autograd.grad(value.sum(), [one.output for one in seen.values()], allow_unused=True)
        for (name, one), gradient in zip(seen.items(), gradients, strict=True):
            if gradient is not None:
                weighted = one.by_position(gradient.float()) * weights[:, None, None]
                total.add(name, self._changed[name], one, weighted)

    def _pass(self, at: torch.Tensor) -> tuple[dict[str, _Seen], torch.Tensor]:
        """What changed modules have seen and given, and (n,) what is explained, with the graph between them."""
        seen: dict[str, _Seen] = {}
        with ExitStack() as stack:
            for name, change in self._changed.items():
                module = self._model.get_submodule(name)
                hook = _moving(name, change, at, len(self._prompt), seen)
                stack.callback(module.register_forward_hook(hook, with_kwargs=True).remove)
            # The last hooks: they see what those above have made of the logits.
            logits, _ = at_last(self._model, self._prompt.expand(len(at), -1))
        return seen, explained(logits, self._of)


def _moving(
    name: str, change: WeightChange, at: torch.Tensor, n_pos: int, seen: dict[str, _Seen]
) -> Callable[..., torch.Tensor]:
    """A hook that moves a module's output to each point's place on the line."""

    def hook(_: nn.Module, args: tuple[Any, ...], named: dict[str, Any], output: torch.Tensor) -> torch.Tensor:
        of_output = change.of_output(*args, **named)
        axis = _position_axis(output, n_pos)
        share = at.repeat_interleave(n_pos)[:, None] if axis == 0 else at.view(-1, *[1] * (output.ndim - 1))
        moved = output + (share * of_output).to(output.dtype)
        if not moved.requires_grad:  # nothing below has changed
            moved.requires_grad_()
        seen[name] = _Seen(args[0].detach(), of_output.detach(), moved, len(at), axis)
        return moved.clone()  # OLMo 1, MPT and others clip what a projection gives in place

    return hook


def _position_axis(output: torch.Tensor, n_pos: int) -> int:
    """Norms of queries and keys have positions before heads or behind them."""
    if output.ndim == 2:  # some MLPs see the positions of all prompts on one axis
        return 0
    if output.ndim == 4 and output.shape[2] == n_pos:
        behind = output.shape[1] != n_pos or output.stride(2) > output.stride(1)
        return 2 if behind else 1
    return 1


class _Sums:
    """Gradients times changes, over points; float64."""

    def __init__(self, by_input: Sequence[str]) -> None:
        self.by_output: dict[str, torch.Tensor] = {}  # name -> (n_pos, n_out)
        self.by_input: dict[str, torch.Tensor] = {}  # of what leaves the heads, (n_pos, n_in)
        self._wanted = set(by_input)

    def add(self, name: str, change: WeightChange, seen: _Seen, gradient: torch.Tensor) -> None:
        found = (gradient * seen.by_position(seen.change)).double().sum(0)
        self.by_output[name] = self.by_output.get(name, 0) + found
        if name in self._wanted and isinstance(change, LinearChange):
            found = change.by_input(gradient, seen.by_position(seen.x)).double().sum(0)
            self.by_input[name] = self.by_input.get(name, 0) + found


class _Heads:
    """Which numbers of a layer's projections belong to which head; of a family without a row nothing is known."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._names = {module: name for name, module in model.named_modules()}
        try:
            self._parts: Parts | None = Parts(model)
        except ModelUnavailable:
            self._parts = None

    @property
    def outputs(self) -> list[str]:
        """Of the projections that leave the heads."""
        return [self._names[layer.output] for layer in self._parts.layers] if self._parts else []

    def split(self, total: _Sums) -> dict[ChangedHead, torch.Tensor]:
        """(n_pos,) each."""
        found: dict[ChangedHead, torch.Tensor] = {}
        for number, layer in enumerate(self._parts.layers if self._parts else ()):
            for kind, numbers in self._of_layer(layer, total).items():
                assert self._parts
                heads = numbers.unflatten(0, (-1, self._parts.d_head)).sum(1)
                found |= {ChangedHead(number, kind, head): part for head, part in enumerate(heads)}
        return found

    def _of_layer(self, layer: Layer, total: _Sums) -> dict[HeadKind, torch.Tensor]:
        """(numbers of all heads, n_pos)"""
        assert self._parts
        found: dict[HeadKind, torch.Tensor] = {}
        names = [self._names[projection] for projection in layer.projections]
        if self._parts.family.fused == "no":
            found = {
                kind: total.by_output[name].T
                for kind, name in zip(_KINDS, names, strict=True)
                if name in total.by_output
            }
        elif names[0] in total.by_output:
            found = dict(zip(_KINDS, self._parts.split_rows([total.by_output[names[0]].T]), strict=True))
        if (output := self._names[layer.output]) in total.by_input:
            found["output"] = total.by_input[output].T
        return found


def _placed(parts: torch.Tensor, n_pos: int) -> np.ndarray:
    """(n_pos,) of parts at the last positions."""
    found = np.zeros(n_pos)
    found[n_pos - len(parts) :] = parts.cpu().numpy()
    return found
