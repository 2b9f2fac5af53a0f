"""Find which of its examples taught a run an answer, or a constraint type. Needs no transcoders."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.domain.corpus import PROBE_KINDS, Corpus, Example
from engine.domain.errors import InputError
from engine.domain.jobs import CancelToken, FindExamples, Report, cancelable
from engine.domain.runs import Checkpoint
from engine.domain.taught import Taught, TaughtKey, TaughtSentence
from engine.store import Store
from engine.workflows.loading import base_model, weights
from engine.workflows.queries import known_examples

if TYPE_CHECKING:
    from engine.models.base import LoadedModel
    from engine.training.taught import Group, Pushes

MOST_CAPTURES = 25  # with the base; the bundled runs have 17, and fewer of them rank examples worse


def find_examples(store: Store, request: FindExamples, report: Report, cancel: CancelToken) -> str:
    """Measure and store it, unless it is stored already. Returns the hash of its key.

    Raises NotFound, PromptRefused (the prompt; the answer), InputError (the base; a run whose
    examples are not known; a type without probes), ModelUnavailable, Damaged, Canceled.
    """
    from engine.models.adapters import checkpoint_hash
    from engine.models.token_texts import token_text

    checkpoint = store.checkpoint(request.checkpoint)
    if not checkpoint.step:
        raise InputError(f"{checkpoint.ref} is the model before training: no example has taught it anything yet.")
    if bool(request.prompt) == bool(request.constraint_type):
        raise InputError("Ask about one prompt, or about one constraint type.")
    corpus = known_examples(store, checkpoint.run)
    report(0.0, "Loading the model")
    loaded = base_model(store, store.run(checkpoint.run).model)
    asked = _of_prompt(store, loaded, checkpoint, request) if request.prompt else _of_type(loaded, corpus, request)
    captures = _captures(store, checkpoint)
    key = TaughtKey(
        checkpoints=tuple(one.ref for one in captures),
        hashes=tuple(checkpoint_hash(loaded, one.adapter) for one in captures),
        corpus_hash=corpus.hash,
        prompt=request.prompt,
        answer=asked.answer,
        constraint_type=request.constraint_type,
    )
    if store.taught(key) is None:
        found = _pushes(store, loaded, corpus, captures, asked.groups, cancelable(report, cancel))
        taught = Taught(
            key=key,
            answer="" if asked.answer is None else token_text(loaded.tokenizer, asked.answer),
            is_said=asked.is_said,
            n_prompts=sum(len(answers) for _, answers in asked.groups),
            before=found.values[0],
            after=found.values[-1],
            sentences=tuple(map(_sentence, corpus.examples, found.of_examples.tolist())),
        )
        store.save_taught(taught)
    report(1.0, "Measured")
    return key.hash


@dataclass(frozen=True, eq=False)
class _Asked:
    """Prompts with their answers, as tokens."""

    groups: "list[Group]"
    answer: int | None = None  # of the one prompt
    is_said: bool = False


def _of_prompt(store: Store, loaded: "LoadedModel", checkpoint: Checkpoint, request: FindExamples) -> _Asked:
    from engine.attribution.acted import said
    from engine.models.base import encode
    from engine.models.prompts import PromptReader

    prompt = encode(loaded, request.prompt)
    of_checkpoint = said(weights(loaded, checkpoint) or loaded.model, prompt[0])
    answer = of_checkpoint
    if request.answer:
        probe = store.probe_with((checkpoint.run,), request.prompt)
        blank = probe.blank if probe else None
        answer = PromptReader(loaded.tokenizer).next_token(request.prompt, request.answer, blank=blank)
    return _Asked([(prompt, prompt.new_tensor([answer]))], answer, answer == of_checkpoint)


def _captures(store: Store, last: Checkpoint) -> list[Checkpoint]:
    """From the base to `last`; of very many some are passed over."""
    there = [one for one in store.checkpoints(last.run) if one.step <= last.step]
    n = min(len(there), MOST_CAPTURES)
    return [there[round(number * (len(there) - 1) / (n - 1))] for number in range(n)]


def _of_type(loaded: "LoadedModel", corpus: Corpus, request: FindExamples) -> _Asked:
    """Probes of all kinds that ask about new words; of an answer of several tokens the first."""
    from engine.training.probe_batches import first_tokens

    asking = [probe for probe in corpus.probes if not PROBE_KINDS[probe.kind].known_words]
    probes = [probe for probe in asking if probe.constraint_type == request.constraint_type]
    if not probes:
        there = ", ".join(dict.fromkeys(probe.constraint_type for probe in asking)) or "none"
        raise InputError(
            f"The corpus “{corpus.name}” has no probes of the type “{request.constraint_type[:80]}” that ask "
            f"about new words. Types with such probes: {there}."
        )
    return _Asked(first_tokens(loaded.tokenizer, probes, limit=loaded.n_positions))


def _sentence(example: Example, push: float) -> TaughtSentence:
    return TaughtSentence(
        id=example.id,
        text=example.text,
        constraint_type=example.constraint_type,
        constraint=example.constraint,
        push=push,
    )


def _pushes(
    store: Store,
    loaded: "LoadedModel",
    corpus: Corpus,
    captures: Sequence[Checkpoint],
    groups: Sequence["Group"],
    report: Report,
) -> "Pushes":
    from engine.training.taught import pushes, spans_of

    run = captures[0].run
    config = store.run(run)
    decided = {one.step: one.weights for one in store.decisions(run).decisions}
    spans = spans_of(config, corpus, captures, decided)
    return pushes(loaded, config, corpus, captures, spans, groups, report)
