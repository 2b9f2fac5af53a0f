"""Whether a checkpoint as it is used here answers as PEFT runs it: merged, shared and swapped against unmerged."""

import copy
from pathlib import Path
from typing import Final

import torch
from peft import PeftModel
from transformers import PreTrainedModel

from engine.domain.errors import InputError
from engine.models.adapters import Tuned, peft_config, with_adapter
from engine.models.base import BUILDING, LoadedModel
from engine.models.plain_weights import is_plain
from engine.models.sharing import checkpoint_model

TOLERANCE: Final = 1e-4  # of the range of the logits
_LENGTH, _SEQUENCES, _MOST_NEW = 8, 3, 16


def check_as_trained(loaded: LoadedModel, adapter: Path) -> Tuned:
    """PEFT's own model of the adapter, on a copy of the base; its logits are held to those of `checkpoint_model`.

    Raises InputError where they differ by more than 1e-4 of the logits' range, and what `with_adapter` raises.
    """
    with BUILDING:
        reference = with_adapter(copy.deepcopy(loaded.model), adapter)
    reference.eval()
    held = checkpoint_model(loaded, adapter)
    for tokens in _sequences(loaded, reference):
        expected, found = (_logits(model, tokens) for model in (reference, held))
        if expected.shape != found.shape or not _close(expected, found):
            raise InputError(
                f"{adapter} cannot be used: put into the model’s weights it answers differently than PEFT runs it"
                f"{_cause(adapter)}. Merge it with PEFT where it was trained, and import the merged model’s weights."
            )
    return reference


def _close(expected: torch.Tensor, found: torch.Tensor) -> bool:
    """NaN where both have it is equal: a run that diverged is what was trained, too."""
    span = expected[expected.isfinite()]
    limit = TOLERANCE * float(span.max() - span.min()) if len(span) else 0.0
    return torch.allclose(expected, found, rtol=0, atol=limit, equal_nan=True)


def _sequences(loaded: LoadedModel, reference: Tuned) -> list[torch.Tensor]:
    """(1, n_pos) each: the same for every adapter of a base, and the tokens whose embeddings this one has trained."""
    n_rows = int(loaded.model.get_input_embeddings().weight.shape[0])
    made = torch.Generator().manual_seed(0)
    sequences = torch.randint(0, n_rows, (_SEQUENCES, _LENGTH), generator=made).split(1)
    config = reference.peft_config[reference.active_adapter] if isinstance(reference, PeftModel) else None
    new = [token for token in _trained_tokens(config) if 0 <= token < n_rows][:_MOST_NEW]
    return [*sequences, *([torch.tensor([new])] if new else [])]


def _trained_tokens(config: object) -> list[int]:
    given = getattr(config, "trainable_token_indices", None) or getattr(config, "token_indices", None) or []
    return [token for one in given.values() for token in one] if isinstance(given, dict) else list(given)


@torch.no_grad()
def _logits(model: Tuned | PreTrainedModel, tokens: torch.Tensor) -> torch.Tensor:
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
