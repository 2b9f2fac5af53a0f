"""Reads what a list shows of an artefact from its main file."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from engine.corpus.pairs import pairs_of
from engine.domain.annotations import Annotations
from engine.domain.components import CircuitReport
from engine.domain.corpus import Corpus, CorpusLine, Example, Pair, Probe
from engine.domain.errors import Damaged, InputError
from engine.domain.feature_names import AutomaticLabels
from engine.domain.graphs import Comparison
from engine.domain.interventions import Intervention
from engine.domain.models import ModelSpec, TranscoderMeta
from engine.domain.record import Record
from engine.domain.runs import RunConfig
from engine.domain.series import GraphSeries
from engine.domain.studies import Study
from engine.domain.taught import Taught
from engine.store.acted_files import read_acted_key
from engine.store.component_files import read_component_key
from engine.store.feature_files import read_feature_key
from engine.store.files import first_reason, read_json, read_packed_json, read_text
from engine.store.graph_files import read_key
from engine.store.kept import kept_values
from engine.store.layout import Kind, StoredFile
from engine.store.pair_files import read_pair
from engine.store.run_files import read_state

R = TypeVar("R", bound=Record)
_LINE: TypeAdapter[Example | Probe | Pair] = TypeAdapter(CorpusLine)

MOST_WORDS = 5_000  # of a corpus, in the index
_TIMES_ITS_TEXT = 6  # what a corpus takes in memory; to count its objects would take as long as to read it

_CIRCUIT: TypeAdapter[CircuitReport] = TypeAdapter(CircuitReport)


class CorpusSummary(Record):
    """What a list shows of a corpus."""

    hash: str
    n_examples: int
    n_probes: int
    n_pairs: int = 0
    constraint_types: tuple[str, ...]
    has_pairs: bool  # its own, or such as can be made from its probes
    words: tuple[str, ...] | None  # `Corpus.words`; None: more than MOST_WORDS


class LabelSummary(Record):
    """What a list shows of a transcoder set's automatic labels."""

    n_labels: int


def describe(found: StoredFile) -> tuple[str, Record]:
    """(parent, record) of an artefact. Raises Damaged."""
    return _DESCRIBE[found.kind](found)


def _corpus_summary(found: StoredFile) -> tuple[str, Record]:
    corpus = read_corpus(found.path)
    words = corpus.words
    return "", CorpusSummary(
        hash=corpus.hash,
        n_examples=len(corpus.examples),
        n_probes=len(corpus.probes),
        n_pairs=len(corpus.pairs),
        constraint_types=corpus.constraint_types,
        has_pairs=_has_pairs(corpus),
        words=words if len(words) <= MOST_WORDS else None,
    )


def _has_pairs(corpus: Corpus) -> bool:
    try:
        return bool(pairs_of(corpus))
    except InputError:
        return False


def _graph_key(found: StoredFile) -> tuple[str, Record]:
    key = read_key(found.path)
    return key.checkpoint, key


def _comparison(found: StoredFile) -> tuple[str, Record]:
    comparison = read_comparison(found.path)
    return comparison.key.a, comparison


def _feature_key(found: StoredFile) -> tuple[str, Record]:
    key = read_feature_key(found.path)
    return key.checkpoint, key


def _intervention_key(found: StoredFile) -> tuple[str, Record]:
    key = read_intervention(found.path).key
    return key.graph.checkpoint, key


def _series_key(found: StoredFile) -> tuple[str, Record]:
    key = read_series(found.path).key
    return key.run, key


def _component_key(found: StoredFile) -> tuple[str, Record]:
    key = read_component_key(found.path)
    return key.run, key


def _circuit_key(found: StoredFile) -> tuple[str, Record]:
    report = read_circuit(found.path)
    return report.run, report.key


def _acted_key(found: StoredFile) -> tuple[str, Record]:
    key = read_acted_key(found.path)
    return key.checkpoints[-1], key


def _pair(found: StoredFile) -> tuple[str, Record]:
    pair = read_pair(found.path)
    return pair.first.checkpoint, pair


def _label_summary(found: StoredFile) -> tuple[str, Record]:
    return "", LabelSummary(n_labels=sum(len(part.labels) for part in read_automatic_labels(found.path).measured))


def _taught_key(found: StoredFile) -> tuple[str, Record]:
    key = read_taught(found.path).key
    return key.checkpoints[-1], key


def read_corpus(path: Path) -> Corpus:
    """`corpora/NAME/corpus.jsonl`, exactly as it was saved. Raises Damaged with the line.

    Equal content under one name is parsed once: pages ask for their corpus at every rerun.
    """
    text = read_text(path)
    key = "corpus", path.parent.name, hashlib.sha256(text.encode()).digest()
    return kept_values().get(
        key, lambda: _parse_corpus(path, text), holder="corpora", size=lambda _: _TIMES_ITS_TEXT * len(text)
    )


def _parse_corpus(path: Path, text: str) -> Corpus:
    read: list[Example | Probe | Pair] = []
    lines = text.removesuffix("\n").split("\n")  # splitlines() would also split at U+2028 inside a text
    for number, line in enumerate(lines if lines != [""] else [], start=1):
        try:
            read.append(_LINE.validate_json(line))
        except ValidationError as error:
            raise Damaged(path, f"line {number}: {first_reason(error)}") from error
    return Corpus.of(path.parent.name, read)


def read_model(path: Path) -> ModelSpec:
    """`models/NAME.json`"""
    spec = read_json(path, ModelSpec)
    return _named(path, path.stem, spec.name, spec)


def read_run(path: Path) -> RunConfig:
    """`runs/NAME/run.json`"""
    config = read_json(path, RunConfig)
    return _named(path, path.parent.name, config.name, config)


def read_meta(path: Path) -> TranscoderMeta:
    """`transcoders/NAME/set.json`"""
    meta = read_json(path, TranscoderMeta)
    return _named(path, path.parent.name, meta.name, meta)


def read_comparison(path: Path) -> Comparison:
    """`comparisons/HASH.json`"""
    comparison = read_json(path, Comparison)
    return _named(path, path.stem, comparison.key.hash, comparison)


def read_intervention(path: Path) -> Intervention:
    """`interventions/HASH.json`"""
    intervention = read_json(path, Intervention)
    return _named(path, path.stem, intervention.key.hash, intervention)


def read_annotations(path: Path) -> Annotations:
    """`annotations/TRANSCODERS_HASH.json`"""
    annotations = read_json(path, Annotations)
    return _named(path, path.stem, annotations.transcoders_hash, annotations)


def read_automatic_labels(path: Path) -> AutomaticLabels:
    """`labels/TRANSCODERS_HASH.json.gz`"""
    labels = read_packed_json(path, AutomaticLabels)
    _named(path, path.name.removesuffix(".json.gz"), labels.transcoders_hash, labels)
    n_tokens = len(labels.tokens)
    sides = (side for part in labels.measured for sides in part.labels.values() for side in sides)
    if any(not 0 <= number < n_tokens for side in sides for number in side):
        raise Damaged(path, f"a label names a token that is none of its {n_tokens}")
    return labels


def read_series(path: Path) -> GraphSeries:
    """`series/HASH.json`"""
    series = read_json(path, GraphSeries)
    return _named(path, path.stem, series.key.hash, series)


def read_study(path: Path) -> Study:
    """`studies/NAME/study.json`"""
    study = read_json(path, Study)
    return _named(path, path.parent.name, study.spec.name, study)


def read_taught(path: Path) -> Taught:
    """`taught/HASH.json`"""
    taught = read_json(path, Taught)
    return _named(path, path.stem, taught.key.hash, taught)


def read_circuit(path: Path) -> CircuitReport:
    """`circuits/HASH.json`, of any kind."""
    text = read_text(path)
    try:
        report = _CIRCUIT.validate_json(text)
    except ValidationError as error:
        raise Damaged(path, first_reason(error)) from error
    return _named(path, path.stem, report.hash, report)


def _named(path: Path, expected: str, name: str, record: R) -> R:
    if name != expected:
        raise Damaged(path, f"it says “{name}”, but is stored as “{expected}”", "Rename it back.")
    return record


_DESCRIBE: dict[Kind, Callable[[StoredFile], tuple[str, Record]]] = {
    "corpus": _corpus_summary,
    "model": lambda found: ("", read_model(found.path)),
    "run": lambda found: ("", read_run(found.path)),
    "checkpoint": lambda found: (found.name.partition("/")[0], read_state(found.path)),
    "transcoders": lambda found: ("", read_meta(found.path)),
    "graph": _graph_key,
    "comparison": _comparison,
    "features": _feature_key,
    "intervention": _intervention_key,
    "annotations": lambda found: ("", read_annotations(found.path)),
    "series": _series_key,
    "study": lambda found: ("", read_study(found.path)),
    "components": _component_key,
    "circuit": _circuit_key,
    "acted": _acted_key,
    "pair": _pair,
    "taught": _taught_key,
    "labels": _label_summary,
}
