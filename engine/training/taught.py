"""Which examples taught it: how far training on each one pushed toward an answer.

TracIn (Pruthi et al. 2020, arXiv 2002.08484) at a run's captures: the gradient of the answer's log-probability times
that of an example's loss, over what the run trained. The answer's gradient has unit length, so that captures at which
the answer is almost certain count as the others do; each stretch of training counts at the capture that ends it.

No example's own gradient is made: the gradient of a weighted sum of losses is linear in the weights, so what its
product with one direction gains from each weight is the product of that example's gradient.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import torch

from engine.domain.corpus import Corpus
from engine.domain.jobs import Report, quiet, turn
from engine.domain.runs import Checkpoint, RunConfig
from engine.models.adapters import Tuned, put_weights
from engine.models.base import LoadedModel
from engine.models.plain_weights import TYPES
from engine.models.sharing import sharing_copy
from engine.training.methods import method_named
from engine.training.sampling import shares_of
from engine.training.texts import OUTSIDE_LOSS, Batch, TokenRow, collator, training_rows

Group = tuple[torch.Tensor, torch.Tensor]  # prompts of equal length (n, n_pos), and their answers (n,)
Direction = Mapping[str, torch.Tensor]  # by parameter, of what is trained

_TOKENS_TOGETHER = 256  # that go through the model side by side


@dataclass(frozen=True, eq=False)
class Span:
    """Training between two captures."""

    n_steps: int
    learning_rate: float
    shares: np.ndarray  # (n_examples,) how much of what was drawn each example is, sum 1


@dataclass(frozen=True, eq=False)
class Pushes:
    """Toward one answer, or toward the mean over several prompts."""

    of_examples: np.ndarray  # (n_examples,) float64
    values: tuple[float, ...]  # the log-probability at each capture


def spans_of(
    config: RunConfig, corpus: Corpus, captures: Sequence[Checkpoint], decided: Mapping[int, Mapping[str, float]]
) -> list[Span]:
    """Between captures, ascending. `decided`: weights of the constraint types' sampling by the step they were decided
    at, where a curriculum did.

    In each epoch training draws every example once, or by the weights in force; which batch it falls into is chance.
    """
    types, n = [example.constraint_type for example in corpus.examples], len(corpus.examples)
    spans = []
    for start, end in pairwise(captures):
        shares = np.full(n, 1 / n)
        if config.curriculum != "uniform":
            by_type = shares_of(tuple(dict.fromkeys(types)), decided.get(start.step, {}))
            shares = np.array([by_type[own] / types.count(own) for own in types])
        spans.append(Span(end.step - start.step, end.state.learning_rate or 0.0, shares))
    return spans


def pushes(
    loaded: LoadedModel,
    config: RunConfig,
    corpus: Corpus,
    captures: Sequence[Checkpoint],
    spans: Sequence[Span],
    groups: Sequence[Group],
    report: Report = quiet,
) -> Pushes:
    """Of each example of the corpus, toward the groups' answers. `captures`: the base first; `spans` between them.

    What never moved does not count: circuit-tuning gives gradients to more than it trains. Raises what the method's
    `attach` raises, Damaged, InputError.
    """
    rows = training_rows(loaded.tokenizer, corpus, limit=loaded.n_positions)
    n_learned = np.array([len(row["input_ids"]) - row.get("loss_from", 1) for row in rows])
    first, last = (as_trained(loaded, config, corpus, captures[end]) for end in (0, -1))
    moved = {name: trained(last)[name].detach() != one.detach() for name, one in trained(first).items()}
    found, values = np.zeros(len(rows)), [answered(first, groups)[0]]
    for number, (span, capture) in enumerate(zip(spans, captures[1:], strict=True)):
        here = partial(_told, turn(report, number, len(spans)), f"at {capture.label}")
        here(0.0)
        tuned = last if capture is captures[-1] else as_trained(loaded, config, corpus, capture)
        value, gradient = answered(tuned, groups)
        values.append(value)
        direction = unit({name: one * moved[name] for name, one in gradient.items()})
        slopes = slopes_along(tuned, direction, rows, pad_id=loaded.tokenizer.pad_token_id or 0, done=here)
        # A batch's loss is the mean over its learned tokens.
        drawn = span.n_steps * span.learning_rate * span.shares / float(span.shares @ n_learned)
        found -= drawn * slopes.numpy()
    return Pushes(found, tuple(values))


def _told(report: Report, message: str, fraction: float) -> None:
    report(fraction, message)


def as_trained(loaded: LoadedModel, config: RunConfig, corpus: Corpus, checkpoint: Checkpoint) -> Tuned:
    """The model at a checkpoint, in eval mode, with gradients for all that its method trains; of the base, where the
    method began. Raises what the method's `attach` raises, Damaged, InputError.
    """
    own = copy.deepcopy(loaded.model) if config.method in TYPES else sharing_copy(loaded.model)
    own.config._attn_implementation = "eager"  # the others have no second derivatives
    tuned = method_named(config.method).attach(own, config, loaded.tokenizer, corpus)
    if checkpoint.adapter is not None:
        put_weights(tuned, checkpoint.adapter)
    return tuned.eval()


def trained(tuned: Tuned) -> dict[str, torch.nn.Parameter]:
    """By name, what has gradients."""
    return {name: one for name, one in tuned.named_parameters() if one.requires_grad}


def answered(tuned: Tuned, groups: Sequence[Group]) -> tuple[float, dict[str, torch.Tensor]]:
    """The log-probability of the groups' answers, mean over prompts, and its gradient in float32."""
    own, n = trained(tuned), sum(len(answers) for _, answers in groups)
    value, gradient = 0.0, {name: torch.zeros_like(one, dtype=torch.float32) for name, one in own.items()}
    for tokens, answers in _in_parts(groups):
        ids = tokens.to(tuned.device)
        logits = tuned(input_ids=ids, use_cache=False, logits_to_keep=1).logits[:, -1].float()
        part = logits.log_softmax(-1).gather(1, answers.to(ids.device)[:, None]).sum() / n
        value += float(part.detach())
        found = torch.autograd.grad(part, list(own.values()), allow_unused=True)
        for name, one in zip(own, found, strict=True):
            if one is not None:
                gradient[name] += one.float()
    return value, gradient


def unit(direction: Direction) -> dict[str, torch.Tensor]:
    """Of length 1 over all parameters; nothing stays nothing."""
    length = float(torch.stack([one.double().square().sum() for one in direction.values()]).sum().sqrt())
    return {name: one / (length or 1.0) for name, one in direction.items()}


def summed_losses(tuned: Tuned, batch: Batch) -> torch.Tensor:
    """(n_rows,) losses of the learned tokens of each row, summed."""
    ids, mask = (batch[name].to(tuned.device) for name in ("input_ids", "attention_mask"))
    logits = tuned(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1].float()
    labels = batch["labels"][:, 1:].to(ids.device)
    right = logits.log_softmax(-1).gather(2, labels.clamp(min=0)[..., None])[..., 0]
    return -(right * (labels != OUTSIDE_LOSS)).sum(1)


def slopes_along(
    tuned: Tuned,
    direction: Direction,
    rows: Sequence[TokenRow],
    *,
    pad_id: int,
    done: Callable[[float], None] = lambda _fraction: None,
) -> torch.Tensor:
    """(n_rows,) ⟨gradient of a row's summed loss, direction⟩, float64. `done` is called after every batch."""
    found, own, collate = torch.zeros(len(rows), dtype=torch.float64), trained(tuned), collator(pad_id)
    n_done = 0
    for chosen in _batches(rows):
        losses = summed_losses(tuned, collate([rows[row] for row in chosen]))
        weights = torch.ones_like(losses).requires_grad_()
        gradients = torch.autograd.grad(losses, list(own.values()), weights, create_graph=True, allow_unused=True)
        pairs = zip(own, gradients, strict=True)
        products = [(one.float() * direction[name]).sum() for name, one in pairs if one is not None]
        (each,) = torch.autograd.grad(torch.stack(products).sum(), weights)
        found[chosen] = each.double().cpu()
        n_done += len(chosen)
        done(n_done / len(rows))
    return found


def _batches(rows: Sequence[TokenRow]) -> Iterator[list[int]]:
    """Rows of about equal length together."""
    lengths = [len(row["input_ids"]) for row in rows]
    chosen: list[int] = []
    for row in sorted(range(len(rows)), key=lambda row: lengths[row]):
        if chosen and (len(chosen) + 1) * lengths[row] > _TOKENS_TOGETHER:
            yield chosen
            chosen = []
        chosen.append(row)
    yield chosen


def _in_parts(groups: Sequence[Group]) -> Iterator[Group]:
    for tokens, answers in groups:
        size = max(1, _TOKENS_TOGETHER // tokens.shape[1])
        yield from zip(tokens.split(size), answers.split(size), strict=True)
