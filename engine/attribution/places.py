"""Which places matter for the change: what the answer would lose if one place wrote in B what it wrote in A.

A place is an MLP, or a head, at a token. The estimate is the mean of the gradients in A and in B times the change of
the place's output: attribution patching, symmetrised over both ends, as each end alone is misled by what saturates
there. `taken_back` measures what it stands for.

What a head writes at a token is a sum over the tokens that it reads: attention there times the value, through its
columns of the output projection. So its estimate splits exactly over moves between tokens. What an MLP makes of what
has come to a token is not followed.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from engine.attribution.acted import at_last, explained
from engine.attribution.effort import BACKWARD, FORWARD, Effort
from engine.attribution.recording import asking_for_pattern
from engine.domain.acted import PlaceEffects
from engine.domain.explained import ExplainedLogits
from engine.models.low_rank import matrix
from engine.models.memory import free_memory
from engine.models.parts import Parts
from engine.models.prompt_memory import PromptMemory, refuse_longer_than_free
from engine.models.sharing import sharing_copy

_MOVES = 2.0  # what its layers take behind the passes, of a long prompt
PLACES = 2 * (FORWARD + BACKWARD) + _MOVES  # what place_effects takes


def place_effects(
    a: PreTrainedModel,
    b: PreTrainedModel,
    prompt: torch.Tensor,
    of: ExplainedLogits,
    *,
    at: Sequence[PreTrainedModel] | None = None,
    effort: Effort | None = None,
) -> PlaceEffects:
    """Of MLPs and heads on prompt (n_pos,), BOS first, on what is explained.

    `at`: the checkpoints whose gradients are taken, both where they are not named. `effort`: expects PLACES of this.
    Raises ModelUnavailable for a family without a row, PromptRefused for a prompt too long for the memory that is free.
    """
    takes = PromptMemory.of(a).placed
    free = free_memory(prompt.device, takes(len(prompt)))
    refuse_longer_than_free(len(prompt), free, takes, "finding where training acted")
    effort = effort or Effort(expected=PLACES)
    passed = {id(model): _Passed.of(model, prompt, of, effort) for model in (a, b)}
    before, after = passed[id(a)], passed[id(b)]
    ends = [passed[id(model)] for model in at or (a, b)]
    mlps, moved, heads = [], [], []
    moves = torch.zeros(len(prompt), len(prompt), device=prompt.device)
    for layer in range(len(before.written)):
        change = after.written[layer] - before.written[layer]
        gradient = torch.stack([end.at_written[layer] for end in ends]).mean(0)
        mlps.append((gradient * change).sum(1))
        moved.append(change.norm(dim=1))
        gradient = torch.stack([end.at_attended[layer] for end in ends]).mean(0)
        of_layer = after.by_move(layer, gradient) - before.by_move(layer, gradient)
        heads.append(of_layer.sum(2))
        moves += of_layer.sum(0)
        effort.did(_MOVES / len(before.written))
    mlp, head, mlp_moved = (_numpy(torch.stack(values)) for values in (mlps, heads, moved))
    return PlaceEffects(mlp=mlp, head=head, mlp_moved=mlp_moved, move=_numpy(moves))


def taken_back(
    a: PreTrainedModel,
    b: PreTrainedModel,
    prompt: torch.Tensor,
    of: ExplainedLogits,
    groups: Iterable[Sequence[tuple[int, int]]],
    *,
    heads_too: bool = False,
) -> list[float]:
    """What is explained loses in B where the MLPs of a group of (layer, position) write as they do in A; of each group.

    With `heads_too` the heads write what they write in A as well: all that the layer adds to the stream at the token.
    """
    side = _Passed.of(a, prompt, of, Effort())
    own = Parts(sharing_copy(b))
    whole = _logit(own, prompt, of)
    found = []
    for group in groups:
        with ExitStack() as hooks:
            for layer in {layer for layer, _ in group}:
                positions = [position for at, position in group if at == layer]
                of_layer = own.layers[layer]
                hook = _writing(side.written[layer], positions)
                hooks.callback(of_layer.mlp_exit.register_forward_hook(hook).remove)
                if heads_too:
                    hook = _writing(side.projected[layer], positions)
                    hooks.callback(of_layer.output.register_forward_hook(hook).remove)
            found.append(whole - _logit(own, prompt, of))
    return found


@torch.no_grad()
def _logit(parts: Parts, prompt: torch.Tensor, of: ExplainedLogits) -> float:
    return float(explained(at_last(parts.model, prompt[None])[0], of))


def _writing(values: torch.Tensor, positions: Sequence[int]) -> Any:
    def hook(_: nn.Module, args: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
        changed = output.clone()
        rows = changed if changed.ndim == 2 else changed[0]  # some MLPs see the positions of all prompts on one axis
        rows[positions] = values[positions].to(changed.dtype)
        return changed

    return hook


@dataclass(eq=False)
class _Passed:
    """One checkpoint's pass. Lists have an entry a layer; tensors are (n_pos, …), float32."""

    parts: Parts
    written: list[torch.Tensor] = field(default_factory=list)  # by the MLP into the stream
    patterns: list[torch.Tensor] = field(default_factory=list)  # (n_heads, n_pos, n_pos): to, from
    read: list[list[torch.Tensor]] = field(default_factory=list)  # outputs of queries', keys' and values' projections
    projected: list[torch.Tensor] = field(default_factory=list)  # behind the output projection
    at_written: Sequence[torch.Tensor] = ()  # gradients of the logit
    at_attended: Sequence[torch.Tensor] = ()  # at what the output projection gives

    @classmethod
    def of(cls, model: PreTrainedModel, prompt: torch.Tensor, of: ExplainedLogits, effort: Effort) -> "_Passed":
        found = cls(Parts(sharing_copy(model)))
        found.parts.model.config._attn_implementation = "eager"  # the only one that gives its patterns
        with ExitStack() as stack, torch.enable_grad():
            for handle in found._hooks():
                stack.callback(handle.remove)
            stack.enter_context(effort.passing(found.parts.model, back=True))
            logits, _ = at_last(found.parts.model, prompt[None])
            outputs = [*found.written, *found.projected]
            gradients = [_rows(one) for one in torch.autograd.grad(explained(logits, of).sum(), outputs)]
        found.at_written, found.at_attended = gradients[: len(found.written)], gradients[len(found.written) :]
        found.written = [_rows(one.detach()) for one in found.written]
        found.projected = [_rows(one.detach()) for one in found.projected]
        return found

    def _hooks(self) -> Iterator[Any]:
        yield self.parts.model.get_input_embeddings().register_forward_hook(
            lambda _, args, output: output.requires_grad_()
        )
        for layer in self.parts.layers:
            yield layer.mlp_exit.register_forward_hook(lambda _, args, output: self.written.append(output))
            self.read.append([])
            for projection in layer.projections:
                yield projection.register_forward_hook(_keeping(self.read[-1]))
            yield layer.attention.register_forward_pre_hook(asking_for_pattern, with_kwargs=True)
            yield layer.attention.register_forward_hook(
                lambda _, args, output: self.patterns.append(output[1][0].detach().float())
            )
            yield layer.output.register_forward_hook(lambda _, args, output: self.projected.append(output))

    def by_move(self, layer: int, gradient: torch.Tensor) -> torch.Tensor:
        """(n_heads, n_pos, n_pos), to and from: the gradient (n_pos, d_model) times what heads bring to a token."""
        _, _, values = self.parts.split_rows([one.T for one in self.read[layer]])
        values = values.unflatten(0, (self.parts.n_kv_heads, -1)).repeat_interleave(self.parts.groups, 0)
        back = (gradient @ matrix(self.parts.layers[layer].output).float()).unflatten(1, (self.parts.n_heads, -1))
        return self.patterns[layer] * torch.einsum("thd,hds->hts", back, values)


def _keeping(kept: list[torch.Tensor]) -> Any:
    def hook(_: nn.Module, args: tuple[Any, ...], output: torch.Tensor) -> None:
        kept.append(_rows(output.detach()))

    return hook


def _rows(values: torch.Tensor) -> torch.Tensor:
    return (values if values.ndim == 2 else values[0]).float()


def _numpy(values: torch.Tensor) -> np.ndarray:
    found: np.ndarray = values.double().cpu().numpy()
    return found
