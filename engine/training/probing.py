"""Probe scores: does the model put the right answer next?"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from engine.domain.corpus import Probe
from engine.domain.errors import InputError
from engine.domain.runs import ProbeResults
from engine.models.masks import attention_mask
from engine.models.token_texts import tokens_text
from engine.training.probe_batches import LongAnswers, ProbeBatch, prepare_probes


@torch.no_grad()
def measure(model: PreTrainedModel, batch: ProbeBatch) -> ProbeResults:
    """Scores of prepared probes. The model's train and eval modes are put back; no random number is drawn.

    `logit_diff` is against the best foil, or against the best other token where a probe has no foils.

    Of an answer of several tokens each is asked for behind the prompt and the tokens before it. `p` is the product of
    their probabilities, `rank` the worst of their ranks, and `correct` says that each is the most probable one, which
    is to say that the model writes the answer; `predicted` is what it writes, up to the first token that is another.
    `logit_diff` is then the difference of summed log-probabilities (of one token the same as that of logits), or
    without foils that of logits at the token of the answer where it is least.
    """
    scores = _Scores.of(len(batch.ids))
    with evaluating(model):
        for rows, tokens in batch.groups:
            _score(scores, rows, _logits(model, tokens, 1)[:, 0], batch)
        _score_longer(scores, model, batch)
    return ProbeResults(
        probe_id=batch.ids,
        predicted=_words(batch.tokenizer, scores.written),
        p=_shortest(scores.p),
        rank=tuple(scores.rank.tolist()),
        logit_diff=_shortest(scores.diff),
        correct=tuple(scores.correct.tolist()),
    )


def run_probes(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, probes: Sequence[Probe], *, use_known: bool = False
) -> ProbeResults:
    """`prepare_probes` and `measure` in one call."""
    limit = model.config.max_position_embeddings
    return measure(model, prepare_probes(tokenizer, probes, limit=limit, use_known=use_known))


@contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Eval mode inside; afterwards every module is in the mode it was in."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@dataclass(frozen=True, eq=False)
class _Scores:
    """A place for each probe."""

    p: torch.Tensor
    rank: torch.Tensor  # int64
    diff: torch.Tensor
    correct: torch.Tensor  # bool
    written: list[tuple[int, ...]]  # tokens

    @classmethod
    def of(cls, n: int) -> Self:
        ints = torch.zeros(n, dtype=torch.int64)
        return cls(torch.zeros(n), ints, torch.zeros(n), ints.bool(), [()] * n)


def _logits(model: PreTrainedModel, tokens: torch.Tensor, n_last: int) -> torch.Tensor:
    """(n_rows, n_last, d_vocab) float32 of the last positions. Raises InputError."""
    ids = tokens.to(model.device)
    out = model(input_ids=ids, attention_mask=attention_mask(model, ids), use_cache=False, logits_to_keep=n_last)
    logits = out.logits[:, -n_last:].float().cpu()
    if not logits.isfinite().all():
        raise InputError("The model's outputs are no longer finite numbers. Use a smaller learning rate.")
    return logits


def _score(scores: _Scores, rows: torch.Tensor, logits: torch.Tensor, batch: ProbeBatch) -> None:
    """Answers and foils of one token each; `logits` (n_rows, d_vocab)."""
    answers = batch.answers[rows, None]
    right, best = logits.gather(1, answers), logits.argmax(-1)
    scores.p[rows] = logits.softmax(-1).gather(1, answers)[:, 0]
    scores.rank[rows] = 1 + (logits > right).sum(-1)
    scores.diff[rows] = right[:, 0] - _best_rival(logits, rows, batch)
    scores.correct[rows] = best == answers[:, 0]
    for row, token in zip(rows.tolist(), best.tolist(), strict=True):
        scores.written[row] = (token,)


def _score_longer(scores: _Scores, model: PreTrainedModel, batch: ProbeBatch) -> None:
    """Probes of which the answer or a foil has several tokens."""
    summed = torch.zeros(len(batch.ids))  # log-probability of the answer
    best_foil = torch.full((len(batch.ids),), -torch.inf)
    for group in batch.longer:
        logits = _logits(model, group.tokens, group.following.shape[1])  # (n, n_following, d_vocab)
        right = logits.gather(2, group.following[..., None])
        total = (right[..., 0] - logits.logsumexp(-1)).sum(-1)  # (n,)
        foils = ~group.is_answer
        best_foil.scatter_reduce_(0, group.rows[foils], total[foils], "amax")
        summed[group.rows[group.is_answer]] = total[group.is_answer]
        _score_answers(scores, group, logits, right)
    for group in batch.longer:
        for row in group.rows[group.is_answer].tolist():
            scores.p[row] = summed[row].exp()
            if batch.foils[row]:
                scores.diff[row] = summed[row] - best_foil[row]


def _score_answers(scores: _Scores, group: LongAnswers, logits: torch.Tensor, right: torch.Tensor) -> None:
    """All but what the foils are needed for; `right` (n, n_following, 1) the logits of the answers' tokens."""
    rows, best = group.rows, logits.argmax(-1)
    ranks = 1 + (logits > right).sum(-1)
    rivals = logits.scatter(2, group.following[..., None], -torch.inf).amax(-1)  # (n, n_following)
    lead = (right[..., 0] - rivals).amin(-1)
    is_best = best == group.following
    for i in group.is_answer.nonzero()[:, 0].tolist():
        row = int(rows[i])
        scores.rank[row], scores.diff[row], scores.correct[row] = ranks[i].max(), lead[i], is_best[i].all()
        n_right = int(is_best[i].long().cumprod(0).sum())
        scores.written[row] = tuple(best[i, : n_right + 1].tolist())


def _best_rival(logits: torch.Tensor, rows: torch.Tensor, batch: ProbeBatch) -> torch.Tensor:
    """(n_rows,) the highest logit among the foils of each row."""
    rival = torch.empty(len(rows))
    for i, row in enumerate(rows.tolist()):
        if batch.foils[row]:
            rival[i] = logits[i, list(batch.foils[row])].max()
        else:
            others = logits[i].clone()
            others[batch.answers[row]] = -torch.inf
            rival[i] = others.max()
    return rival


def _shortest(values: torch.Tensor) -> tuple[float, ...]:
    """float32 values by the fewest digits that give the same float32 again: half the file."""
    return tuple(float(str(value)) for value in values.numpy())


def _words(tokenizer: PreTrainedTokenizerFast, written: Sequence[tuple[int, ...]]) -> tuple[str, ...]:
    """How the tokens read: the words, without the mark of a leading space."""
    word = {ids: tokens_text(tokenizer, ids).strip() for ids in set(written)}
    return tuple(word[ids] for ids in written)
