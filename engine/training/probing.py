"""Probe scores: does the model put the right token next?"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from engine.domain.corpus import Probe
from engine.domain.errors import InputError, PromptRefused
from engine.domain.runs import ProbeResults
from engine.models.masks import attention_mask
from engine.models.prompts import PromptReader
from engine.models.token_texts import token_text

BATCH_TOKENS = 4096  # tokens of one forward pass


@dataclass(frozen=True, eq=False)
class ProbeBatch:
    """Probes as tokens, made once for a run. `groups` are rows of equal length, so that nothing is padded."""

    ids: tuple[str, ...]  # of the probes
    groups: tuple[tuple[torch.Tensor, torch.Tensor], ...]  # rows (n,) and their tokens (n, n_pos), int64
    answers: torch.Tensor  # (n_probes,) int64
    foils: tuple[tuple[int, ...], ...]  # token ids; empty where a probe has none
    tokenizer: PreTrainedTokenizerFast


def prepare_probes(
    tokenizer: PreTrainedTokenizerFast, probes: Sequence[Probe], *, limit: int, use_known: bool = False
) -> ProbeBatch:
    """Tokenise probes (their known prompts with `use_known`) for a model that takes `limit` tokens.

    Raises InputError naming the probe: a prompt that the model cannot take, an answer or foil of more than one token.
    """
    read = PromptReader(tokenizer)
    prompts, answers, foils = [], [], []
    for probe in probes:
        try:
            prompt = probe.known_text if use_known else probe.text
            prompts.append(read.prompt(prompt, limit=limit))
            answer, *others = (
                read.next_token(prompt, word, blank=probe.blank) for word in (probe.answer, *probe.foils)
            )
        except PromptRefused as error:
            raise InputError(f"Probe “{probe.id}”: {error}") from error
        answers.append(answer)
        foils.append(tuple(others))
    return ProbeBatch(
        ids=tuple(probe.id for probe in probes),
        groups=tuple(_groups(prompts)),
        answers=torch.tensor(answers, dtype=torch.int64),
        foils=tuple(foils),
        tokenizer=tokenizer,
    )


@torch.no_grad()
def measure(model: PreTrainedModel, batch: ProbeBatch) -> ProbeResults:
    """Scores of prepared probes. The model's train and eval modes are put back; no random number is drawn.

    `logit_diff` is against the best foil, or against the best other token where a probe has no foils.
    """
    p, diff = torch.zeros(len(batch.ids)), torch.zeros(len(batch.ids))
    rank, best = torch.zeros_like(batch.answers), torch.zeros_like(batch.answers)
    with evaluating(model):
        for rows, tokens in batch.groups:
            ids = tokens.to(model.device)
            out = model(input_ids=ids, attention_mask=attention_mask(model, ids), use_cache=False, logits_to_keep=1)
            logits = out.logits[:, -1].float().cpu()  # (n_rows, d_vocab)
            if not logits.isfinite().all():
                raise InputError("The model's outputs are no longer finite numbers. Use a smaller learning rate.")
            right = logits.gather(1, batch.answers[rows, None])  # (n_rows, 1)
            p[rows] = logits.softmax(-1).gather(1, batch.answers[rows, None])[:, 0]
            rank[rows] = 1 + (logits > right).sum(-1)
            best[rows] = logits.argmax(-1)
            diff[rows] = right[:, 0] - _best_rival(logits, rows, batch)
    return ProbeResults(
        probe_id=batch.ids,
        predicted=_words(batch.tokenizer, best.tolist()),
        p=_shortest(p),
        rank=tuple(rank.tolist()),
        logit_diff=_shortest(diff),
        correct=tuple((best == batch.answers).tolist()),
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


def _groups(prompts: Sequence[Sequence[int]]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    by_length: dict[int, list[int]] = defaultdict(list)
    for row, prompt in enumerate(prompts):
        by_length[len(prompt)].append(row)
    for length, rows in sorted(by_length.items()):
        size = max(1, BATCH_TOKENS // length)
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            yield torch.tensor(part), torch.tensor([prompts[row] for row in part])


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


def _words(tokenizer: PreTrainedTokenizerFast, ids: Sequence[int]) -> tuple[str, ...]:
    """How each token reads: the word, without the mark of a leading space."""
    word = {i: token_text(tokenizer, i).strip() for i in set(ids)}
    return tuple(word[i] for i in ids)
