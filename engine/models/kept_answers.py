"""What a checkpoint answered when it was saved or imported, kept beside its weights: every process compares once.

The base's files, transformers and PEFT may be others by then, and so may the way in which weights are put together.
"""

import math
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

import torch
from pydantic import Field
from transformers import PreTrainedModel

from engine.domain.errors import Damaged, InputError
from engine.domain.foreign import translated
from engine.domain.record import MaybeNumber, Record
from engine.store.files import read_json, write_text

ANSWERS: Final = "answers.json"
TOLERANCE: Final = 1e-4  # of the range of the logits
# Numbers of 16 bits: with another number of threads, or on another device, the last of them differ.
_COARSE: Final = 0.03
_N_OUTPUTS = 16
_PACKAGES = ("torch", "transformers", "peft")
_looked_at: set[tuple[str, int, str]] = set()


class KeptAnswers(Record):
    """`answers.json`: logits of some outputs at the last position of each sequence."""

    dtype: str  # of the base
    tokens: tuple[tuple[tuple[int, ...], ...], ...] = Field(min_length=1)  # batches of sequences of one length
    outputs: tuple[int, ...]  # token ids
    logits: tuple[tuple[MaybeNumber, ...], ...]  # a sequence an entry: (n_outputs,)
    span: float = Field(ge=0)  # range of all finite logits
    versions: dict[str, str]


def keep_answers(folder: Path, model: torch.nn.Module, expected: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> None:
    """`expected`: tokens (n, n_pos) and the logits (n, n_pos, n_vocab) that PEFT or transformers gave for them.

    `model` is of the base's dtype. Raises StorageFailed.
    """
    n_vocab = expected[0][1].shape[-1]
    outputs = torch.linspace(0, n_vocab - 1, min(_N_OUTPUTS, n_vocab)).long()
    answers = KeptAnswers(
        dtype=_dtype(model),
        tokens=tuple(tuple(map(tuple, tokens.tolist())) for tokens, _ in expected),
        outputs=tuple(outputs.tolist()),
        logits=tuple(tuple(row) for _, logits in expected for row in logits[:, -1, outputs].tolist()),
        span=max(span(logits) for _, logits in expected),
        versions={name: version(name) for name in _PACKAGES},
    )
    write_text(folder / ANSWERS, answers.to_json())


def check_answers(folder: Path, held: PreTrainedModel) -> None:
    """Holds the model of a checkpoint's folder to what is kept there; of one without it nothing is known.

    Costs a forward pass of two dozen tokens, once a process. Raises InputError where it answers otherwise, Damaged.
    """
    path = folder / ANSWERS
    if not path.is_file():
        return
    looked = (str(path), path.stat().st_mtime_ns, f"{_dtype(held)} {held.device}")
    if looked in _looked_at:
        return
    answers = read_json(path, KeptAnswers)
    with translated(lambda reason: Damaged(path, f"it is no table of answers ({reason})")):
        agrees = _agrees(answers, held)
    if not agrees:
        then = ", ".join(f"{name} {number}" for name, number in answers.versions.items())
        now = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
        raise InputError(
            f"{folder} answers otherwise than when it was saved, so it is not what was trained. The base model’s files "
            f"may be others now, or the packages ({then} then; {now} now). Put those back, or train or import it again."
        )
    _looked_at.add(looked)


def diverged(folder: Path) -> bool:
    """Whether a checkpoint answered with what is no number when it was saved or imported. Raises Damaged."""
    path = folder / ANSWERS
    if not path.is_file():
        return False
    return not all(math.isfinite(logit) for row in read_json(path, KeptAnswers).logits for logit in row)


def close(expected: torch.Tensor, found: torch.Tensor, limit: float) -> bool:
    """NaN where both have it is equal: a run that diverged is what was trained, too."""
    return expected.shape == found.shape and torch.allclose(expected, found, rtol=0, atol=limit, equal_nan=True)


def span(logits: torch.Tensor) -> float:
    """From the smallest finite one to the largest."""
    finite = logits[logits.isfinite()]
    return float(finite.max() - finite.min()) if len(finite) else 0.0


@torch.no_grad()
def _agrees(answers: KeptAnswers, held: PreTrainedModel) -> bool:
    n_rows, outputs = held.get_input_embeddings().num_embeddings, torch.tensor(answers.outputs)
    found: list[torch.Tensor] = []
    for batch in answers.tokens:
        tokens = torch.tensor(batch)
        if not 0 <= int(tokens.min()) <= int(tokens.max()) < n_rows:
            return False
        logits = held(input_ids=tokens.to(held.device)).logits[:, -1].float().cpu()
        if not 0 <= int(outputs.min()) <= int(outputs.max()) < logits.shape[1]:
            return False
        found += logits[:, outputs]
    fine = answers.dtype == _dtype(held) == "float32"
    told = torch.stack(found)
    told[~told.isfinite()] = torch.nan  # JSON has no infinity
    return close(torch.tensor(answers.logits), told, (TOLERANCE if fine else _COARSE) * answers.span)


def _dtype(model: torch.nn.Module) -> str:
    return str(model.dtype).removeprefix("torch.")
