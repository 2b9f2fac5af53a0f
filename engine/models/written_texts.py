"""Texts that models write themselves: what is read of a run that came without a corpus."""

from collections.abc import Callable, Sequence

import torch
from transformers import PreTrainedModel

from engine.domain.jobs import CancelToken, Report
from engine.models.base import LoadedModel
from engine.models.prompts import bos_id

LENGTH = 24  # tokens
_AT_ONCE = 64  # texts


@torch.no_grad()
def write_texts(
    loaded: LoadedModel,
    models: Sequence[Callable[[], PreTrainedModel | None]],
    n: int,
    *,
    seed: int,
    report: Report,
    cancel: CancelToken,
) -> tuple[str, ...]:
    """At most `n` different texts of at most LENGTH tokens behind BOS, each drawn token by token from a model's own
    probabilities; the models (None: the base) write equally many. The same arguments give the same texts.

    A model whose probabilities are no numbers writes nothing. Raises Canceled.
    """
    generator, texts = torch.Generator().manual_seed(seed), list[str]()
    for number, model_of in enumerate(models):
        model = model_of() or loaded.model
        left = -(-n // len(models))
        while left > 0:
            cancel.check()
            report(min(1.0, len(texts) / n), f"The models write texts: model {number + 1} of {len(models)}")
            drawn = _drawn(loaded, model, min(left, _AT_ONCE), generator)
            texts += loaded.tokenizer.batch_decode(drawn, skip_special_tokens=True)
            left -= _AT_ONCE
    return tuple(dict.fromkeys(text for text in map(str.strip, texts) if text))[:n]


def _drawn(loaded: LoadedModel, model: PreTrainedModel, n: int, generator: torch.Generator) -> list[list[int]]:
    """Token ids of each text, up to its first special token."""
    given = torch.full((n, 1), bos_id(loaded.tokenizer), device=model.device)
    past, rows = None, []
    for _ in range(min(LENGTH, loaded.n_positions - 1)):
        out = model(input_ids=given, past_key_values=past, use_cache=True)
        past = out.past_key_values
        logits = out.logits[:, -1, : len(loaded.tokenizer)].float().cpu()  # rows without a token say nothing
        if not logits.isfinite().all():
            return []
        given = torch.multinomial(logits.softmax(-1), 1, generator=generator).to(model.device)
        rows.append(given[:, 0].cpu())
    special = set(loaded.tokenizer.all_special_ids)
    texts = torch.stack(rows, 1).tolist()
    return [text[: next((at for at, token in enumerate(text) if token in special), len(text))] for text in texts]
