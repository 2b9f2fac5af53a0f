"""Find where training acted between two checkpoints. Needs no transcoders, and no family that can be traced."""

import logging
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from engine.domain.acted import Acted, ActedKey, PlaceEffects, Stretch
from engine.domain.errors import Damaged, InputError, ModelUnavailable
from engine.domain.explained import ExplainedLogits
from engine.domain.jobs import AskedPrompt, CancelToken, Report, Where, WhereProbes, cancelable, part, quiet
from engine.domain.runs import Checkpoint
from engine.models.recently_used import RecentlyUsed
from engine.store import Store
from engine.workflows.courses import path_between
from engine.workflows.learned import stops
from engine.workflows.loading import common_model, weights

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from engine.attribution.effort import Effort

_log = logging.getLogger(__name__)
_ROOM_EACH = 2  # times a model's own bytes


def where(store: Store, request: Where, report: Report, cancel: CancelToken) -> str:
    """Measure and store it, unless it is stored already. Returns the hash of its key.

    Raises NotFound, ComparisonRefused (other model, tokenizer or shape), PromptRefused (the prompt; an
    answer), InputError, ModelUnavailable, Damaged, Canceled.
    """
    report(0.0, "Loading the model")
    course = _Course(store, request.a, request.b)
    report(0.0, "What B says")
    asked = store.probe_with((course.path[0].run, course.path[-1].run), request.prompt)
    blank = asked.blank if asked else None
    key = course.key(request.prompt, request.answers, request.against, blank=blank, report=cancelable(quiet, cancel))
    if store.acted(key) is None:
        store.save_acted(course.measured(key, cancelable(report, cancel)))
    report(1.0, "Measured")
    return key.hash


def where_probes(store: Store, request: WhereProbes, report: Report, cancel: CancelToken) -> str:
    """Measure and store it for each of the prompts, as `where` does for one; what is stored already is passed over.

    With `each` from checkpoint to checkpoint, as in `learned`. A prompt that the model cannot take, or whose answer it
    does not know, is left out and logged; only where no prompt is left is it refused. Raises as `where`, but not
    Damaged: what cannot be read is measured again.
    """
    ends = _stretches(store, request)
    refused: dict[AskedPrompt, str] = {}
    for number, (a, b) in enumerate(ends):
        share = 1 / len(ends)
        within = part(report, number * share, (number + 1) * share)
        refused |= _probes_between(store, _Course(store, a, b), request.asked, within, cancel)
    if len(refused) == len(set(request.asked)) > 0:
        first = next(iter(refused.values()))
        raise InputError(f"None of the {len(refused)} prompts can be measured. The first: {first}")
    report(1.0, "Measured")
    return f"{request.a} {request.b}"


def _stretches(store: Store, request: WhereProbes) -> list[tuple[str, str]]:
    """Raises NotFound, InputError."""
    a, b = store.checkpoint(request.a), store.checkpoint(request.b)
    if not request.each:
        return [(request.a, request.b)]
    if a.run != b.run:
        raise InputError(f"{a.ref} and {b.ref} are of two runs, so there are no checkpoints between them.")
    between = [one for one in store.checkpoints(a.run) if a.step <= one.step <= b.step]
    if len(between) < 2:
        raise InputError(f"{b.ref} does not come after {a.ref}, so there is nothing between them to follow.")
    return [(one.ref, other.ref) for one, other in pairwise(stops(between))]


def _probes_between(
    store: Store, course: "_Course", prompts: Sequence[AskedPrompt], report: Report, cancel: CancelToken
) -> dict[AskedPrompt, str]:
    """By prompt that was left out, why."""
    refused: dict[AskedPrompt, str] = {}
    for number, asked in enumerate(prompts):
        share, prefix = 1 / len(prompts), f"“{asked.prompt}”: "
        inner = part(cancelable(report, cancel), number * share, (number + 1) * share, prefix)
        inner(0.0, "what is asked")
        try:
            key = course.key(asked.prompt, (asked.answer,), blank=asked.blank)
            if not _is_stored(store, key):
                store.save_acted(course.measured(key, inner))
        except InputError as error:
            _log.info("“%s” is left out: %s", asked.prompt, error)
            refused[asked] = str(error)
    return refused


class _Course:
    """From A over the checkpoints between them to B."""

    def __init__(self, store: Store, a: str, b: str) -> None:
        """Raises NotFound, ComparisonRefused, ModelUnavailable, Damaged."""
        from engine.models.adapters import checkpoint_hash

        self._store = store
        self.path = path_between(store, store.checkpoint(a), store.checkpoint(b))
        self.loaded = common_model(store, [self.path[0], self.path[-1]])
        self._hashes = tuple(checkpoint_hash(self.loaded, corner.adapter) for corner in self.path)

    def key(
        self, prompt: str, answers: Sequence[str] = (), against: Sequence[str] = (), *, blank: bool | None = None,
        report: Report = quiet,
    ) -> ActedKey:  # fmt: skip
        """What is asked; without answers of what B says. `blank` as in `continued`.

        Raises PromptRefused, InputError, what the report raises.
        """
        from engine.attribution.acted import said
        from engine.attribution.effort import Effort
        from engine.models.prompts import PromptReader
        from engine.models.token_texts import token_text

        ids = self._ids(prompt)
        read = PromptReader(self.loaded.tokenizer)
        first, second = ([read.next_token(prompt, word, blank=blank) for word in named] for named in (answers, against))
        if not first:
            self._refuse_too_long(len(ids))  # a pass of a very long prompt takes half a minute
            first = [said(self._model(self.path[-1]), ids, Effort(report))]
        named = [*first, *second]
        if len(set(named)) < len(named):
            outputs = ", ".join(token_text(self.loaded.tokenizer, token).strip() for token in named)
            raise InputError(f"Of the outputs {outputs} one is named twice. Name each once, for or against.")
        return ActedKey(
            checkpoints=tuple(corner.ref for corner in self.path),
            hashes=self._hashes,
            prompt=prompt,
            explained=ExplainedLogits(answers=tuple(named[: len(named) - len(second)]), against=tuple(second)),
        )

    def measured(self, key: ActedKey, report: Report) -> Acted:
        """Raises what the report raises, ComparisonRefused, PromptRefused, InputError, Damaged."""
        from engine.attribution.acted import said
        from engine.models.token_texts import token_text

        prompt, words, effort = self._ids(key.prompt), self.loaded.tokenizer, self._effort(report)
        self._refuse_too_long(len(prompt))
        effects = self._effects(prompt, key.explained, effort)
        stretches = self._stretches(prompt, key, effort)
        return Acted(
            key=key,
            tokens=tuple(token_text(words, token) for token in prompt.tolist()),
            words=tuple(token_text(words, token) for token in key.explained.tokens),
            is_said=key.explained.answers == (said(self._model(self.path[-1]), prompt, effort),),
            n_layers=self.loaded.n_layers,
            effects=effects,
            stretches=stretches,
        )

    def _refuse_too_long(self, n_pos: int) -> None:
        """Before any work, as what is done with a prompt last takes most. Raises PromptRefused, as `changes`."""
        from engine.attribution.acted import refuse_too_long

        refuse_too_long(self._model(self.path[0]), self._model(self.path[-1]), n_pos)

    def _effort(self, report: Report) -> "Effort":
        from engine.attribution.acted import STRETCH
        from engine.attribution.effort import FORWARD, Effort
        from engine.attribution.places import PLACES

        n = len(self.path) - 1
        return Effort(report, PLACES + (2 * FORWARD if n > 1 else 0.0) + n * STRETCH + FORWARD)

    def _stretches(self, prompt: "torch.Tensor", key: ActedKey, effort: "Effort") -> tuple[Stretch, ...]:
        """One that is stored by itself was measured at least as exactly as one of several is."""
        from engine.attribution.acted import STRETCH, logit_of, stretch
        from engine.attribution.effort import FORWARD

        of, n, whole = key.explained, len(self.path) - 1, 0.0
        known = [_stored(self._store, part) if n > 1 else None for part in key.stretches]
        effort.expect(-STRETCH * sum(one is not None for one in known))
        if n > 1 and None in known:
            before, after = (logit_of(self._model(end), prompt, of, effort)[0] for end in (self.path[0], self.path[-1]))
            whole = (after - before) / n
        elif n > 1:
            effort.expect(-2 * FORWARD)
        found = []
        for (a, b), stored in zip(pairwise(self.path), known, strict=True):
            effort.say(f"{a.label} to {b.label}")
            found.append(
                stored.stretches[0]
                if stored
                else stretch(self._model(a), self._model(b), prompt, of, whole=whole, effort=effort)
            )
        return tuple(found)

    def _effects(self, prompt: "torch.Tensor", of: ExplainedLogits, effort: "Effort") -> PlaceEffects | None:
        from engine.attribution.places import PLACES, place_effects

        effort.say("which heads and MLPs matter")
        try:
            return place_effects(self._model(self.path[0]), self._model(self.path[-1]), prompt, of, effort=effort)
        except ModelUnavailable:  # the rest needs no row in the table of families
            effort.expect(-PLACES)
            return None

    def _ids(self, prompt: str) -> "torch.Tensor":
        """(n_pos,)"""
        from engine.models.base import encode

        return encode(self.loaded, prompt)[0]

    def _model(self, checkpoint: Checkpoint) -> "PreTrainedModel":
        return self._models.get(checkpoint.ref, lambda: self._opened(checkpoint))

    @cached_property
    def _models(self) -> RecentlyUsed["PreTrainedModel"]:
        """All that the course passes where they fit well, as the next prompt needs them again; at least two, between
        which is measured. Opened when they are needed."""
        from engine.models.memory import free_memory
        from engine.models.sharing import own_bytes

        latest = max(self.path, key=lambda one: one.step)  # which is one of the ends, and needed first
        model = self._opened(latest)
        fit = free_memory(model.device) // (_ROOM_EACH * max(1, own_bytes(model, self.loaded)))
        found = RecentlyUsed["PreTrainedModel"](max(2, min(len(self.path), fit)))
        found.get(latest.ref, lambda: model)
        return found

    def _opened(self, checkpoint: Checkpoint) -> "PreTrainedModel":
        return weights(self.loaded, checkpoint) or self.loaded.model


def _is_stored(store: Store, key: ActedKey) -> bool:
    """As a whole, or each of its stretches by itself."""
    return _stored(store, key) is not None or all(_stored(store, part) for part in key.stretches)


def _stored(store: Store, key: ActedKey) -> Acted | None:
    try:
        return store.acted(key)
    except Damaged:  # measuring it again puts a whole file in its place
        return None
