"""Which transcoders a comparison uses, and training a shared set where there is none."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.domain.errors import InputError
from engine.domain.jobs import CancelToken, Report, TrainTranscoders, part
from engine.domain.models import ModelSpec, TranscoderMeta, TranscoderTraining
from engine.domain.runs import Checkpoint
from engine.store import Store
from engine.workflows.loading import common_model, weights
from engine.workflows.texts import let_models_write, needs_written_texts, texts_of, tokens_to_write

if TYPE_CHECKING:
    from engine.models.base import LoadedModel

SHARED_TRAINING = TranscoderTraining()  # of a set that a comparison trains for itself from random features
# Of one that goes on from a set of the same model: what differs from that set's own training.
REFRESH: dict[str, float] = {"n_steps": 400, "n_texts": 5000, "learning_rate": 3e-3}
_WELL = 0.1  # largest share of variance, in any layer, that a set to go on from may leave unexplained
_MORE = "-more"  # at the end of the name of a set that was trained anew
_TRAINED = 0.99  # of the time that a set takes, until it is only to be stored
GRAPH = 0.005  # of what training a shared set takes, tracing a graph takes: on the demo's model, 0.008 on SmolLM2-135M
_MOST = 16  # checkpoints of a run that a shared set is trained on by default, besides the base


@dataclass(frozen=True)
class ChosenSet:
    """A transcoder set: the name that graphs carry, and where it is loaded from (a folder or a published name)."""

    name: str
    source: Path | str


def train_transcoders(store: Store, request: TrainTranscoders, report: Report, cancel: CancelToken) -> str:
    """Train a shared set on the named checkpoints and store it. Returns its name. An equal one is not trained again.

    Raises InputError (another set has the name; a start of another size), NotFound, ComparisonRefused (checkpoints of
    different models), Canceled.
    """
    from engine.models.transcoder_training import train_transcoders as train
    from engine.models.transcoders import load_transcoders, save_transcoders

    report(0.0, "Loading the model")
    checkpoints = [store.checkpoint(ref) for ref in dict.fromkeys(request.checkpoints)]
    loaded = common_model(store, checkpoints)
    meta = TranscoderMeta(
        name=request.name,
        model=store.run(checkpoints[0].run).model,
        training=request.training,
        checkpoints=tuple(c.ref for c in checkpoints),
        n_layers=loaded.n_layers,
        d_model=loaded.d_model,
        unexplained_variance=(),
        start=request.start,
    )
    if _is_stored(store, meta):
        return request.name
    tuned, base = [c for c in checkpoints if c.step], [c for c in checkpoints if not c.step][:1]
    # A set that goes on from another must not forget the base meanwhile: it reads a fifth of the texts.
    different = tuned + base * (max(1, len(tuned) // 4) if request.start else 1)
    writing = _share_of_writing(store, loaded, checkpoints, request.training)
    let_models_write(store, loaded, checkpoints, part(report, 0.0, writing), cancel)
    own, plain = texts_of(store, checkpoints, request.training.n_texts, request.training.seed)
    trained = train(
        loaded,
        [lambda c=c: weights(loaded, c) for c in different],  # type: ignore[misc]
        own,
        plain,
        request.training,
        report=part(report, writing, _TRAINED),
        cancel=cancel,
        start=load_transcoders(store.transcoder_folder(request.start), loaded) if request.start else None,
    )
    meta = meta.model_copy(update={"unexplained_variance": trained.unexplained_variance, "n_texts": trained.n_texts})
    with store.new_transcoder_set(meta) as folder:
        save_transcoders(folder, trained.transcoders)
    report(1.0, f"Transcoders {request.name} trained on {meta.texts_read} texts")
    return request.name


def _share_of_writing(
    store: Store, loaded: "LoadedModel", checkpoints: Sequence[Checkpoint], training: TranscoderTraining
) -> float:
    """Of the time that a set takes, by multiplications: for the texts that models write first."""
    from engine.models.transcoder_training import multiplications

    writing, learning = multiplications(loaded, tokens_to_write(store, checkpoints), training)
    return _TRAINED * writing / (writing + learning)


def choose(
    store: Store,
    checkpoints: Sequence[Checkpoint],
    loaded: "LoadedModel",
    wanted: str,
    report: Report,
    cancel: CancelToken,
) -> ChosenSet:
    """The set asked for; else one that has seen all the checkpoints; else the model's own; else one trained now.

    Raises NotFound (no such set), and what training raises.
    """
    spec = store.run(checkpoints[0].run).model
    refs = [checkpoint.ref for checkpoint in checkpoints]
    if wanted:
        return _named(store, wanted, own_set(store, spec))
    if meta := set_for(store, refs):
        return ChosenSet(meta.name, store.transcoder_folder(meta.name))
    if own := own_set(store, spec):
        return ChosenSet(own, own)
    request = shared_request(store, checkpoints, loaded)
    if any(meta.name == request.name and outgrown(store, meta) for meta in store.transcoder_sets()):
        request = request.model_copy(update={"name": f"{request.name}{_MORE}"})
    if request.name not in {meta.name for meta in store.transcoder_sets()}:
        train_transcoders(store, request, report, cancel)
    return ChosenSet(request.name, store.transcoder_folder(request.name))


def share_of_choosing(store: Store, checkpoints: Sequence[Checkpoint], wanted: str, rest: float) -> float:
    """Of a job's time, for `choose`, which only takes long where it trains a set. `rest`: what all else takes beside
    that training.

    Raises NotFound, InputError, Damaged.
    """
    refs = [checkpoint.ref for checkpoint in checkpoints]
    if wanted or set_for(store, refs) or own_set(store, store.run(checkpoints[0].run).model):
        return 0.0
    return 1 / (1 + rest)


def set_for(store: Store, refs: Sequence[str]) -> TranscoderMeta | None:
    """The newest set that has seen all of these checkpoints, unless it is outgrown.

    Raises NotFound, InputError, Damaged.
    """
    meta = store.transcoders_for(refs)
    return None if meta is None or outgrown(store, meta) else meta


def outgrown(store: Store, meta: TranscoderMeta) -> bool:
    """Whether the set has read few texts, and there are twice as many now, or will be: it is then trained anew, once.

    Raises NotFound, Damaged.
    """
    if meta.n_few is None or meta.scan or meta.name.endswith(_MORE):
        return False
    checkpoints = [store.checkpoint(ref) for ref in meta.checkpoints]
    if any(needs_written_texts(store, run) for run in {checkpoint.run for checkpoint in checkpoints}):
        return True
    return len(texts_of(store, checkpoints, 0, 0)[0]) >= 2 * max(1, meta.n_few)


def own_set(store: Store, spec: ModelSpec) -> str:
    """The published set that a run's model was added with, or that the model was given since; empty: none."""
    if spec.transcoders:
        return spec.transcoders
    same = (one for one in store.models() if (one.source, one.location) == (spec.source, spec.location))
    return next((one.transcoders for one in same if one.name == spec.name), "")


def shared_request(store: Store, checkpoints: Sequence[Checkpoint], loaded: "LoadedModel") -> TrainTranscoders:
    """The training of a shared set: the base and up to 16 checkpoints of every run concerned, and these themselves.

    Where a set of the same model explains the base well, it goes on from that one's features, which keep what they
    stand for, in less than half the time. Its name says the runs and follows from all that decides the result: the same
    request is never trained twice.
    """
    from engine.models.adapters import checkpoint_hash
    from engine.models.transcoders import transcoders_hash

    runs = list(dict.fromkeys(checkpoint.run for checkpoint in checkpoints))
    found = [c for run in runs for c in _spread(store.checkpoints(run))] + list(checkpoints)
    members = sorted({c.ref: c for c in found}.values(), key=lambda c: (c.run, c.step))
    refs = tuple(c.ref for c in members)
    draft = TrainTranscoders(name="draft", checkpoints=refs, training=SHARED_TRAINING)
    start = _start(store, store.run(runs[0]).model, refs)
    if start:
        training = start.training.model_copy(update=REFRESH)
        draft = draft.model_copy(update={"training": training, "start": start.name})
    digest = hashlib.sha256(draft.to_json().encode())
    for member in members:
        digest.update(checkpoint_hash(loaded, member.adapter).encode())
    if start:
        digest.update(transcoders_hash(store.transcoder_folder(start.name)).encode())
    name = f"shared-{'-'.join(runs)[:40]}-{digest.hexdigest()[:8]}".replace("..", "--")
    return draft.model_copy(update={"name": name})


def starts(store: Store, model: ModelSpec) -> list[TranscoderMeta]:
    """The sets of this model that one may go on from, newest first: they have seen the base and explain it well."""
    return [
        meta
        for meta in store.transcoder_sets()
        if meta.model == model
        and any(ref.endswith("@base") for ref in meta.checkpoints)
        and max(meta.unexplained_variance, default=1.0) <= _WELL
        and not outgrown(store, meta)
    ]


def _start(store: Store, model: ModelSpec, refs: Sequence[str]) -> TranscoderMeta | None:
    """The set to go on from: one that has seen as many of the checkpoints as possible; of equals the best trained."""
    rank = lambda meta: (len(set(refs) & set(meta.checkpoints)), meta.training.n_steps)  # noqa: E731
    return max(starts(store, model), key=rank, default=None)


def _is_stored(store: Store, meta: TranscoderMeta) -> bool:
    """Whether an equal set is there. Raises InputError where another one has its name."""
    for stored in store.transcoder_sets():
        if stored.name == meta.name:
            if stored.model_copy(update={"unexplained_variance": (), "n_texts": None}) != meta:
                raise InputError(f"There is another transcoder set “{meta.name}” already. Choose another name.")
            return True
    return False


def _named(store: Store, wanted: str, own: str) -> ChosenSet:
    if wanted == own or (Path(wanted).is_absolute() and Path(wanted).is_dir()):
        return ChosenSet(wanted, wanted)
    return ChosenSet(wanted, store.transcoder_folder(wanted))


def _spread(checkpoints: Sequence[Checkpoint]) -> list[Checkpoint]:
    """The base and at most _MOST others, evenly over the captures, the last one among them; none that diverged."""
    from engine.models.kept_answers import diverged

    base, *others = (one for one in checkpoints if one.adapter is None or not diverged(one.adapter))
    n = min(_MOST, len(others))
    return [base, *(others[(place + 1) * len(others) // n - 1] for place in range(n))]
