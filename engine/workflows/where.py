"""Find where training acted between two checkpoints. Needs no transcoders, and no family that can be traced."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from engine.domain.acted import Acted, ActedKey, PlaceEffects, Stretch
from engine.domain.errors import ModelUnavailable
from engine.domain.jobs import CancelToken, Report, Where, cancellable, turn
from engine.domain.runs import Checkpoint
from engine.store import Store
from engine.workflows.loading import common_model, weights

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from engine.models.base import LoadedModel

MOST_STRETCHES = 4  # of a run with more checkpoints some are passed over


def where(store: Store, request: Where, report: Report, cancel: CancelToken) -> str:
    """Measure and store it, unless it is stored already. Returns the hash of its key.

    Raises NotFound, ComparisonRefused (other model, tokenizer or shape), PromptRefused (the prompt; an answer that is
    no single token), InputError, ModelUnavailable, Damaged, Cancelled.
    """
    from engine.attribution.acted import said
    from engine.models.adapters import checkpoint_hash
    from engine.models.base import encode
    from engine.models.next_token import next_token

    report(0.0, "Loading the model")
    path = path_between(store, store.checkpoint(request.a), store.checkpoint(request.b))
    loaded = common_model(store, [path[0], path[-1]])
    prompt = encode(loaded, request.prompt)[0]
    last = weights(loaded, path[-1]) or loaded.model
    of_b = said(last, prompt)
    key = ActedKey(
        checkpoints=tuple(corner.ref for corner in path),
        hashes=tuple(checkpoint_hash(loaded, corner.adapter) for corner in path),
        prompt=request.prompt,
        answer=next_token(loaded.tokenizer, request.answer) if request.answer else of_b,
    )
    if store.acted(key) is None:
        first = weights(loaded, path[0]) or loaded.model
        stretches = _stretches(loaded, path, (first, last), prompt, key.answer, cancellable(report, cancel))
        decode = loaded.tokenizer.decode
        acted = Acted(
            key=key,
            tokens=tuple(decode([token]) for token in prompt.tolist()),
            answer=decode([key.answer]),
            is_said=key.answer == of_b,
            n_layers=loaded.n_layers,
            effects=_effects(first, last, prompt, key.answer),
            stretches=stretches,
        )
        store.save_acted(acted)
    report(1.0, "Measured")
    return key.hash


def path_between(store: Store, a: Checkpoint, b: Checkpoint) -> tuple[Checkpoint, ...]:
    """A, what lies between, B. Within a run its checkpoints, at most so many that MOST_STRETCHES lie between; from one
    run to another nothing does."""
    if a.run != b.run or a.step == b.step:
        return a, b
    low, high = sorted((a.step, b.step))
    inner = [one for one in store.checkpoints(a.run) if low <= one.step <= high]
    n = min(MOST_STRETCHES, len(inner) - 1)
    steps = [low + (high - low) * part / n for part in range(n + 1)]
    nearest = [min(inner, key=lambda one: abs(one.step - step)) for step in steps]
    chosen = list({one.step: one for one in nearest}.values())
    return tuple(chosen if a.step < b.step else reversed(chosen))


def _stretches(
    loaded: "LoadedModel",
    path: Sequence[Checkpoint],
    ends: tuple["PreTrainedModel", "PreTrainedModel"],
    prompt: "torch.Tensor",
    answer: int,
    report: Report,
) -> tuple[Stretch, ...]:
    """`ends`: the models of the first and the last checkpoint."""
    from engine.attribution.acted import logit_of, stretch

    found, a = [], ends[0]
    (before, _), (after, _) = (logit_of(one, prompt, answer) for one in ends)
    whole = (after - before) / (len(path) - 1)
    for number, (from_, to) in enumerate(pairwise(path)):
        turn(report, number, len(path) - 1)(0.0, f"{from_.label} to {to.label}")
        b = ends[1] if to is path[-1] else weights(loaded, to) or loaded.model
        found.append(stretch(a, b, prompt, answer, whole=whole))
        a = b
    return tuple(found)


def _effects(a: "PreTrainedModel", b: "PreTrainedModel", prompt: "torch.Tensor", answer: int) -> PlaceEffects | None:
    from engine.attribution.places import place_effects

    try:
        return place_effects(a, b, prompt, answer)
    except ModelUnavailable:  # the rest needs no row in the table of families
        return None
