"""Whether a checkpoint as it is used here answers as PEFT or transformers runs it: merged, shared and swapped against
what they make of the person's own files."""

from collections.abc import Sequence
from pathlib import Path

import torch
from peft import PeftModel
from transformers import PreTrainedModel

from engine.domain.errors import InputError
from engine.models.adapters import Tuned, peft_config
from engine.models.base import LoadedModel
from engine.models.full_weights import keep_difference, whole_model
from engine.models.kept_answers import TOLERANCE, close, keep_answers, span
from engine.models.plain_weights import is_plain
from engine.models.sharing import checkpoint_model, saved_model

_LENGTH, _SEQUENCES, _MOST_NEW = 8, 3, 16


def check_as_trained(loaded: LoadedModel, adapter: Path) -> Tuned:
    """PEFT's own model of the adapter (`saved_model`); its logits are held to those of `checkpoint_model`.

    They are kept beside the adapter, and `checkpoint_model` is held to them from then on. Raises InputError where they
    differ by more than 1e-4 of the logits' range, and what `with_adapter` raises.
    """
    reference = saved_model(loaded, adapter)
    held = checkpoint_model(loaded, adapter)
    expected = answers_of(reference, n_rows=_n_rows(loaded))
    if not _agree(held, expected):
        raise InputError(
            f"{adapter} cannot be used: put into the model’s weights it answers differently than PEFT runs it"
            f"{_cause(adapter)}. Merge it with PEFT where it was trained, and import the merged model’s weights."
        )
    keep_answers(adapter, loaded.model, expected)
    return reference


def take_full(loaded: LoadedModel, source: Path, folder: Path, *, files: Sequence[str], most: float) -> PreTrainedModel:
    """`keep_difference` of the full fine-tune in `source`; the model of what was kept, as it is used from now on.

    Its logits are held to those of transformers' own model of `source`, which is gone before it is made: gigabytes.
    Raises InputError where they differ by more than 1e-4 of their range, and what `whole_model` raises.
    """
    whole = whole_model(loaded, source)
    expected = answers_of(whole, n_rows=_n_rows(loaded))
    keep_difference(loaded, whole, source, folder, files=files, most=most)
    del whole
    held = checkpoint_model(loaded, folder)
    if not _agree(held, expected):
        raise InputError(
            f"{source} cannot be used: as weights of “{loaded.spec.name}” it answers differently than transformers "
            "runs it. Load it with transformers and save it again."
        )
    keep_answers(folder, loaded.model, expected)
    return held


def answers_of(model: Tuned, *, n_rows: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Fixed sequences of tokens (n, n_pos), below `n_rows`, and the model's logits (n, n_pos, n_vocab) for them."""
    return [(tokens, _logits(model, tokens)) for tokens in _sequences(model, n_rows)]


def _n_rows(loaded: LoadedModel) -> int:
    return int(loaded.model.get_input_embeddings().weight.shape[0])


def _agree(model: Tuned, expected: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> bool:
    """`expected`: tokens, and the logits that something else gave for them."""
    return all(close(logits, _logits(model, tokens), TOLERANCE * span(logits)) for tokens, logits in expected)


def _sequences(reference: Tuned, n_rows: int) -> list[torch.Tensor]:
    """(n, n_pos) each: the same for every adapter of a base, and the tokens whose embeddings this one has trained."""
    made = torch.Generator().manual_seed(0)
    sequences = torch.randint(0, n_rows, (_SEQUENCES, _LENGTH), generator=made)
    config = reference.peft_config[reference.active_adapter] if isinstance(reference, PeftModel) else None
    new = [token for token in _trained_tokens(config) if 0 <= token < n_rows][:_MOST_NEW]
    return [sequences, *([torch.tensor([new])] if new else [])]


def _trained_tokens(config: object) -> list[int]:
    given = getattr(config, "trainable_token_indices", None) or getattr(config, "token_indices", None) or []
    return [token for one in given.values() for token in one] if isinstance(given, dict) else list(given)


@torch.no_grad()
def _logits(model: Tuned, tokens: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = model(input_ids=tokens.to(model.device)).logits
    return found.float()


def _cause(adapter: Path) -> str:
    if is_plain(adapter):
        return ""
    config = peft_config(adapter)
    named = [
        name
        for name in ("lora_bias", "modules_to_save", "target_parameters", "use_dora")
        if getattr(config, name, None)
    ]
    return f" (its configuration says {', '.join(named)})" if named else ""
