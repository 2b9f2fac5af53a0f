"""Models that stay loaded between jobs, so that the second trace is fast."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.domain.errors import ComparisonRefused, InputError
from engine.domain.models import ModelSpec
from engine.domain.runs import Checkpoint
from engine.store import Store
from engine.store.kept import kept_values
from engine.workflows.same_base import added_rows, named, refusal, why_not_comparable

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from engine.models.base import LoadedModel
    from engine.models.replacement import Replacement


def base_model(store: Store, spec: ModelSpec) -> "LoadedModel":
    """The loaded base model, kept for the next job. Raises ModelUnavailable, Damaged."""
    from engine.models.added_tokens import load_base_of
    from engine.models.memory import expected_bytes, held_bytes
    from engine.models.threads import use_share

    folder = None if spec.source == "hub" else store.base_folder(spec)
    key = (spec.model_copy(update={"transcoders": "", "name": "any"}).to_json(), str(folder), _stamp(folder))
    loaded = kept_values().get(
        ("model", *key), lambda: load_base_of(store, spec), holder="models",
        size=lambda made: held_bytes(made.model), expected=expected_bytes(folder, spec.dtype),
    )  # fmt: skip
    use_share(loaded.model.num_parameters())
    return loaded


def common_model(store: Store, checkpoints: Sequence[Checkpoint]) -> "LoadedModel":
    """The base model of all the checkpoints. Raises ComparisonRefused where they have different ones, and as
    `refuse_diverged`."""
    refuse_diverged(checkpoints)
    specs = {checkpoint.run: store.run(checkpoint.run).model for checkpoint in checkpoints}
    (first, own), *others = specs.items()
    for run, _ in others:
        if why := why_not_comparable(store, first, run):
            raise ComparisonRefused(why)
    loaded = base_model(store, own)
    for run, spec in others:
        if named(spec) != named(own) and _identity(base_model(store, spec)) != _identity(loaded):
            raise ComparisonRefused(refusal(first, own, run, spec))
    return loaded


def refuse_diverged(checkpoints: Sequence[Checkpoint]) -> None:
    """Nothing can be said of what a model computes that has no numbers to compute with. Raises InputError."""
    from engine.models.kept_answers import diverged

    for checkpoint in checkpoints:
        if checkpoint.adapter is not None and diverged(checkpoint.adapter):
            raise InputError(
                f"{checkpoint.ref} answers with what are no numbers (NaN), as its training diverged. Choose an earlier "
                "checkpoint."
            )


def replacement_model(loaded: "LoadedModel", source: Path | str, digest: str) -> "Replacement":
    """The replacement model of a base and a transcoder set, kept for the next job. Raises what loading raises."""
    from engine.models.memory import held_bytes
    from engine.models.replacement import Replacement
    from engine.models.transcoders import load_transcoders

    # What is kept holds `loaded`, so that its id is not given to another while the key lives.
    return kept_values().get(
        ("replacement", id(loaded), str(source), digest), lambda: Replacement(loaded, load_transcoders(source, loaded)),
        holder="models", size=lambda made: held_bytes(made.transcoders),
    )  # fmt: skip


def weights(loaded: "LoadedModel", checkpoint: Checkpoint) -> "PreTrainedModel | None":
    """The checkpoint's model, which shares what it can with the base; None for the base itself.

    Raises Damaged, InputError.
    """
    from engine.models.sharing import checkpoint_model

    return None if checkpoint.adapter is None else checkpoint_model(loaded, checkpoint.adapter)


def _stamp(folder: Path | None) -> tuple[tuple[str, int, int], ...]:
    """Tells a model made again in the same place from the one before."""
    files = sorted(folder.glob("*.safetensors")) if folder else []
    return tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files)


def _identity(loaded: "LoadedModel") -> tuple[str, str, str]:
    """The base's weights, the rows added to them, and how texts are read."""
    from engine.models.adapters import base_hash
    from engine.models.added_tokens import reading

    return base_hash(loaded.folder), added_rows(loaded.spec), reading(loaded.tokenizer)
