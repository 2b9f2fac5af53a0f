"""Every figure of the demo, evaluated from its files: by the build to state them, by the check to compare."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.corpus import check_corpus, make_corpus
from engine.demo import recipe
from engine.demo.ablation import ablation_figures
from engine.demo.by_word import loss_figures, word_figures
from engine.demo.meaning import whole_overlap
from engine.demo.predicted import prediction_figures
from engine.demo.records import Figure
from engine.domain.corpus import PROBE_KINDS, Corpus, Probe
from engine.domain.graphs import GraphKey
from engine.domain.jobs import Report
from engine.domain.models import DEMO_MODEL
from engine.domain.runs import Checkpoint, ProbeResults
from engine.store import Store
from engine.workflows.queries import timelapse_keys

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from engine.models.base import LoadedModel
    from engine.models.replacement import Replacement

# Floating point differs from machine to machine; a probe or two may tip over.
PROBE_TOLERANCE, SCORE_TOLERANCE, LOSS_TOLERANCE = 0.06, 0.02, 0.05
# Written after measuring, or by whoever opens the folder as a workspace.
NOT_COUNTED = ("README.md", "figures.json", "index.sqlite", "index.sqlite-wal", "index.sqlite-shm")
Accuracy = dict[tuple[str, str], float]  # by constraint type and probe kind


@dataclass(frozen=True)
class MeasuredCheckpoint:
    """One checkpoint, evaluated again."""

    checkpoint: Checkpoint
    weights: str  # hash
    accuracy: Accuracy
    replacement_score: float  # the lowest over the default prompts
    correct: tuple[bool, ...]  # by probe
    n_stale: int  # probes whose stored result says otherwise

    def mean(self, kind: str) -> float:
        """Accuracy of a probe kind, mean over the constraint types."""
        values = [value for (_, k), value in self.accuracy.items() if k == kind]
        return sum(values) / len(values)


def measure(store: Store, seed: int, report: Report) -> tuple[Figure, ...]:
    """Evaluate base model, corpus, every checkpoint and the transcoders again; under a minute on two cores."""
    from engine.models.base import load_base
    from engine.models.replacement import Replacement
    from engine.models.transcoders import load_transcoders, transcoders_hash

    report(0.0, "Loading the demo")
    loaded = load_base(DEMO_MODEL, store.base_folder(DEMO_MODEL))
    corpus = store.corpus(recipe.CORPUS)
    sets = store.transcoder_folder(recipe.TRANSCODERS)
    replacement = Replacement(loaded, load_transcoders(sets, loaded))
    figures = [*_base_figures(loaded), *_corpus_figures(loaded, corpus, seed)]
    figures.append(Figure(name="transcoders/weights", value=transcoders_hash(sets)))
    unexplained = store.transcoder_set(recipe.TRANSCODERS).unexplained_variance
    figures += [
        Figure(name=f"transcoders/unexplained variance/layer {n}", value=round(v, 4), tolerance=0.0)
        for n, v in enumerate(unexplained)
    ]
    runs = [config.name for config in recipe.run_configs(seed)]
    total = sum(len(store.checkpoints(run)) for run in runs)
    done = 0
    for run in runs:
        measured = []
        stored = store.probe_results(run)
        for checkpoint in store.checkpoints(run):
            report(done / total, f"Evaluating {checkpoint.ref}")
            measured.append(_measured(replacement, corpus, checkpoint, stored.get(checkpoint.step)))
            done += 1
        figures += _run_figures(run, measured, replacement, corpus)
        figures.append(Figure(name=f"{run}/looks at its circuits", value=len(store.decisions(run).readings)))
    a, b = recipe.COMPARISONS[-1]
    timelapse = timelapse_keys(store, a, b, recipe.PROMPTS[0], recipe.TRANSCODERS)
    figures.append(Figure(name="time-lapse/moments", value=sum(step in timelapse for step in recipe.TIMELAPSE_STEPS)))
    figures.append(Figure(name="feature facts/checkpoints", value=_n_described(store)))
    labels = store.automatic_labels(store.graph_keys()[0].transcoders_hash)
    figures.append(Figure(name="features with a label", value=sum(len(part.labels) for part in labels.measured)))
    figures += ablation_figures(store, replacement)
    figures += prediction_figures(store, replacement)
    figures.append(Figure(name="study/runs", value=sum(study.n_runs for study in store.studies())))
    figures.append(
        Figure(name="size/MB", value=round(_size(store.base_folder(DEMO_MODEL).parent) / 1e6, 1), tolerance=0.1)
    )
    report(1.0, "Evaluated")
    return tuple(figures)


def _base_figures(loaded: "LoadedModel") -> Iterator[Figure]:
    from engine.models.adapters import checkpoint_hash

    yield Figure(name="base/parameters", value=loaded.model.num_parameters())
    yield Figure(name="base/vocabulary", value=len(loaded.tokenizer))
    yield Figure(name="base/weights", value=checkpoint_hash(loaded, None))


def _corpus_figures(loaded: "LoadedModel", corpus: Corpus, seed: int) -> Iterator[Figure]:
    from engine.training.probing import run_probes

    yield Figure(name="corpus/hash", value=corpus.hash)
    yield Figure(name="corpus/examples", value=len(corpus.examples))
    yield Figure(name="corpus/findings", value=len(check_corpus(corpus)))
    candidates = make_corpus(recipe.corpus_spec(seed)).probes
    for what, probes in (("candidates", candidates), ("kept", corpus.probes)):
        known = run_probes(loaded.model, loaded.tokenizer, probes, use_known=True)
        counts = _by_kind(probes, known)
        for (constraint_type, kind), right in counts.items():
            where = f"{constraint_type}/{kind}/{what}"
            yield Figure(name=f"probes/{where}", value=len(right))
            yield Figure(name=f"ceiling/{where}", value=_mean(right), tolerance=PROBE_TOLERANCE)


def _measured(
    replacement: "Replacement", corpus: Corpus, checkpoint: Checkpoint, stored: ProbeResults | None
) -> MeasuredCheckpoint:
    from engine.models.adapters import checkpoint_hash
    from engine.models.sharing import checkpoint_model
    from engine.training.probing import run_probes

    loaded = replacement.loaded
    merged = checkpoint_model(loaded, checkpoint.adapter)
    results = run_probes(merged, loaded.tokenizer, corpus.probes)
    right = _by_kind(corpus.probes, results)
    weights = checkpoint_hash(loaded, checkpoint.adapter)
    before = stored.correct if stored else (False,) * len(corpus.probes)
    return MeasuredCheckpoint(
        checkpoint=checkpoint,
        weights=weights,
        accuracy={key: _mean(values) for key, values in right.items()},
        replacement_score=_replacement_score(replacement, merged, checkpoint, weights),
        correct=results.correct,
        n_stale=sum(a != b for a, b in zip(results.correct, before, strict=True)),
    )


def _replacement_score(
    replacement: "Replacement", merged: "PreTrainedModel", checkpoint: Checkpoint, weights: str
) -> float:
    from engine.attribution.trace import trace_graph

    scores = []
    for prompt in recipe.PROMPTS:
        key = GraphKey(
            checkpoint=checkpoint.ref,
            checkpoint_hash=weights,
            prompt=prompt,
            transcoders=recipe.TRANSCODERS,
            transcoders_hash="",
        )
        scores.append(trace_graph(replacement, key=key, merged=merged).fit.replacement)
    return min(scores)


def _run_figures(
    run: str, measured: list[MeasuredCheckpoint], replacement: "Replacement", corpus: Corpus
) -> Iterator[Figure]:
    from engine.models.sharing import checkpoint_model

    last = measured[-1]
    yield Figure(name=f"{run}/checkpoints", value=len(measured))
    yield Figure(name=f"{run}/trainable parameters", value=last.checkpoint.state.n_trainable)
    digest = hashlib.sha256(" ".join(m.weights for m in measured).encode()).hexdigest()[:16]
    yield Figure(name=f"{run}/weights", value=digest)
    yield Figure(name=f"{run}/stored probe results that differ", value=sum(m.n_stale for m in measured), tolerance=5)
    lowest = min(m.replacement_score for m in measured)
    yield Figure(name=f"{run}/lowest replacement score", value=round(lowest, 3), tolerance=SCORE_TOLERANCE)
    for m in measured:
        if m.checkpoint.step in (0, *recipe.MAIN_STEPS):
            yield from _checkpoint_figures(m.checkpoint.ref, m)
    best = best_of(measured)
    yield Figure(name=f"{run}/best checkpoint", value=best.checkpoint.label)
    yield from _checkpoint_figures(f"{run}@best", best)
    inference = round(best.mean("inference"), 3)
    yield Figure(name=f"{run}@best/inference/mean", value=inference, tolerance=PROBE_TOLERANCE)
    yield from word_figures(f"{run}@best", corpus, best.correct)
    merged = checkpoint_model(replacement.loaded, best.checkpoint.adapter)
    yield from loss_figures(f"{run}@best", corpus, replacement.loaded, merged)
    overlap = whole_overlap(replacement, merged)
    for name, value in (("own", overlap.own), ("other", overlap.other)):
        yield Figure(name=f"{run}@best/meaning overlap/{name}", value=round(value, 3), tolerance=SCORE_TOLERANCE)


def _checkpoint_figures(where: str, m: MeasuredCheckpoint) -> Iterator[Figure]:
    if m.checkpoint.state.smoothed_loss is not None:
        loss = round(m.checkpoint.state.smoothed_loss, 3)
        yield Figure(name=f"{where}/smoothed loss", value=loss, tolerance=LOSS_TOLERANCE)
    for (constraint_type, kind), value in m.accuracy.items():
        yield Figure(name=f"{where}/{kind}/{constraint_type}", value=value, tolerance=PROBE_TOLERANCE)
    yield Figure(name=f"{where}/replacement score", value=round(m.replacement_score, 3), tolerance=SCORE_TOLERANCE)


def best_of(measured: list[MeasuredCheckpoint]) -> MeasuredCheckpoint:
    """The checkpoint of the highest paraphrase accuracy in its weaker constraint type; the latest of equals."""

    def key(m: MeasuredCheckpoint) -> tuple[float, int]:
        return min(value for (_, kind), value in m.accuracy.items() if kind == "paraphrase"), m.checkpoint.step

    return max(measured, key=key)


def _by_kind(probes: tuple[Probe, ...], results: ProbeResults) -> dict[tuple[str, str], list[bool]]:
    right: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for probe, correct in zip(probes, results.correct, strict=True):
        right[probe.constraint_type, probe.kind].append(correct)
    types = sorted({constraint_type for constraint_type, _ in right})
    return {(t, kind): right[t, kind] for t in types for kind in PROBE_KINDS if (t, kind) in right}


def _mean(right: list[bool]) -> float:
    return round(sum(right) / len(right), 3)


def _n_described(store: Store) -> int:
    """Checkpoints of the default comparisons of which it is stored what their features stand for."""
    refs = {ref for pair in recipe.COMPARISONS for ref in pair}
    return sum(any(key.transcoders == recipe.TRANSCODERS for key in store.feature_keys(ref)) for ref in refs)


def _size(folder: Path) -> int:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in NOT_COUNTED)
    return sum(path.stat().st_size for path in files)
