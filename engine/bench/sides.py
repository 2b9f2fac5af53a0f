"""Our replacement model and circuit-tracer's own, for the same checkpoint and the same transcoders.

circuit-tracer's loader takes a folder by path on its nnsight backend only (its TransformerLens backend knows published
names), so the checkpoint is merged and saved once, untimed, and that folder is what its loader is given.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.bench.setting import RUN_A, TRANSCODERS, Setting
from engine.domain.models import DEMO_MODEL
from engine.models.adapters import merged_weights
from engine.models.base import load_base
from engine.models.replacement import Replacement
from engine.models.transcoders import load_transcoders

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CHECKPOINT = f"{RUN_A}@100%"


@dataclass(frozen=True, eq=False)
class Sides:
    """The checkpoint in both forms."""

    ours: Replacement
    adapter: Path  # the checkpoint as it is saved
    merged: "PreTrainedModel"  # all of its weights
    folder: Path  # the merged model, saved
    theirs: Any  # transcoders of their own: a loader moves and wraps what it is given

    def lens(self) -> Any:
        """circuit-tracer's model on its TransformerLens backend, which the demo was traced with before."""
        from engine.bench.lens import lens_llama

        return lens_llama(self.merged, self.theirs, self.ours.loaded.tokenizer)

    def load_anew(self) -> Any:
        """circuit-tracer's own loader. The transcoders are in memory already, which favours it."""
        import torch
        from circuit_tracer import ReplacementModel

        return ReplacementModel.from_pretrained_and_transcoders(
            str(self.folder), self.theirs, backend="nnsight", device=torch.device("cpu")
        )


def open_sides(setting: Setting) -> Sides:
    """Loads both, for the last checkpoint of the bundled LoRA run."""
    store, folder = setting.store, setting.folder / "merged"
    loaded = load_base(DEMO_MODEL, store.base_folder(DEMO_MODEL))
    transcoders = store.transcoder_folder(TRANSCODERS)
    adapter = store.checkpoint(CHECKPOINT).adapter
    assert adapter is not None
    merged = merged_weights(loaded, adapter)
    merged.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
    ours = Replacement(loaded, load_transcoders(transcoders, loaded))
    return Sides(ours=ours, adapter=adapter, merged=merged, folder=folder, theirs=load_transcoders(transcoders, loaded))
