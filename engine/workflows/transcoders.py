"""Which transcoders a comparison uses, and training a shared set where there is none."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.domain.jobs import CancelToken, Report, TrainTranscoders
from engine.domain.models import ModelSpec, TranscoderMeta, TranscoderTraining
from engine.domain.runs import Checkpoint
from engine.store import Store
from engine.workflows.loading import common_model, part, weights
from engine.workflows.texts import texts_of

if TYPE_CHECKING:
    from engine.models.base import LoadedModel

SHARED_TRAINING = TranscoderTraining()  # of a set that a comparison trains for itself
_FRACTIONS = (0.25, 0.5, 0.75, 1.0)  # of a run's last step: the checkpoints that a shared set is trained on by default


@dataclass(frozen=True)
class Chosen:
    """A transcoder set: the name that graphs carry, and where it is loaded from (a folder or a published name)."""

    name: str
    source: Path | str


def train_transcoders(store: Store, request: TrainTranscoders, report: Report, cancel: CancelToken) -> str:
    """Train a shared set on the named checkpoints and store it. Returns its name.

    Raises InputError (the name is taken), NotFound, ComparisonRefused (checkpoints of different models), Cancelled.
    """
    from engine.models.transcoder_training import train_transcoders as train
    from engine.models.transcoders import save_transcoders

    report(0.0, "Loading the model")
    checkpoints = [store.checkpoint(ref) for ref in dict.fromkeys(request.checkpoints)]
    loaded = common_model(store, checkpoints)
    different = [c for c in checkpoints if c.step] + [c for c in checkpoints if not c.step][:1]
    own, plain = texts_of(store, checkpoints, request.training.n_texts, request.training.seed)
    trained = train(
        loaded,
        [lambda c=c: weights(loaded, c) for c in different],  # type: ignore[misc]
        own,
        plain,
        request.training,
        report=part(report, 0.02, 0.99),
        cancel=cancel,
    )
    meta = TranscoderMeta(
        name=request.name,
        model=store.run(checkpoints[0].run).model,
        training=request.training,
        checkpoints=tuple(c.ref for c in checkpoints),
        n_layers=loaded.n_layers,
        d_model=loaded.d_model,
        unexplained_variance=trained.unexplained_variance,
    )
    with store.new_transcoder_set(meta) as folder:
        save_transcoders(folder, trained.transcoders)
    report(1.0, f"Transcoders {request.name} trained")
    return request.name


def choose(
    store: Store,
    checkpoints: Sequence[Checkpoint],
    loaded: "LoadedModel",
    wanted: str,
    report: Report,
    cancel: CancelToken,
) -> Chosen:
    """The set asked for; else one that has seen all the checkpoints; else the model's own; else one trained now.

    Raises NotFound (no such set), and what training raises.
    """
    spec = store.run(checkpoints[0].run).model
    refs = [checkpoint.ref for checkpoint in checkpoints]
    if wanted:
        return _named(store, wanted, spec)
    if meta := store.transcoders_for(refs):
        return Chosen(meta.name, store.transcoder_folder(meta.name))
    if spec.transcoders:
        return Chosen(spec.transcoders, spec.transcoders)
    request = shared_request(store, checkpoints, loaded)
    if request.name not in {meta.name for meta in store.transcoder_sets()}:
        train_transcoders(store, request, report, cancel)
    return Chosen(request.name, store.transcoder_folder(request.name))


def shared_request(store: Store, checkpoints: Sequence[Checkpoint], loaded: "LoadedModel") -> TrainTranscoders:
    """The training of a shared set: base, 25, 50, 75 and 100 % of every run concerned, and the checkpoints themselves.

    Its name says the runs and follows from all that decides the result: the same request is never trained twice.
    """
    from engine.models.adapters import checkpoint_hash

    runs = list(dict.fromkeys(checkpoint.run for checkpoint in checkpoints))
    found = [c for run in runs for c in _milestones(store.checkpoints(run))] + list(checkpoints)
    members = sorted({c.ref: c for c in found}.values(), key=lambda c: (c.run, c.step))
    draft = TrainTranscoders(name="draft", checkpoints=tuple(c.ref for c in members), training=SHARED_TRAINING)
    digest = hashlib.sha256(draft.to_json().encode())
    for member in members:
        digest.update(checkpoint_hash(loaded, member.adapter).encode())
    name = f"shared-{'-'.join(runs)[:40]}-{digest.hexdigest()[:8]}".replace("..", "--")
    return draft.model_copy(update={"name": name})


def _named(store: Store, wanted: str, spec: ModelSpec) -> Chosen:
    if wanted == spec.transcoders or (Path(wanted).is_absolute() and Path(wanted).is_dir()):
        return Chosen(wanted, wanted)
    return Chosen(wanted, store.transcoder_folder(wanted))


def _milestones(checkpoints: Sequence[Checkpoint]) -> list[Checkpoint]:
    """The base, and those nearest to 25, 50, 75 and 100 % of the last step."""
    last = checkpoints[-1].step
    wanted = [0.0, *(fraction * last for fraction in _FRACTIONS)]
    return [min(checkpoints, key=lambda c: abs(c.step - step)) for step in wanted]
