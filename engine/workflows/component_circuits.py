"""Find the component circuits of checkpoints: scores of every edge, and faithfulness against size."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.corpus.pairs import pairs_of
from engine.domain.components import ComponentKey, ComponentScores, CurveReport, ScoreSettings, Share
from engine.domain.corpus import Pair
from engine.domain.errors import Damaged, InputError, NotFound
from engine.domain.jobs import CancelToken, FindCircuits, Report, part
from engine.domain.runs import NO_CORPUS, Checkpoint
from engine.models.recently_used import RecentlyUsed
from engine.store import Store
from engine.workflows.component_queries import curve_of
from engine.workflows.loading import base_model, refuse_diverged

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from engine.components.pairs import TokenPairs
    from engine.models.base import LoadedModel

_SCORED = 0.3  # share of a checkpoint's time, where a curve is measured too; on the demo with the usual sizes


def find_circuits(store: Store, request: FindCircuits, report: Report, cancel: CancelToken) -> str:
    """Checkpoint by checkpoint; returns the hash of the last one's scores.

    Scores and curves are stored as they are made, so that nothing is lost where the job is canceled; what is there is
    not made again. Raises NotFound (a checkpoint, a corpus), InputError (no pairs; pairs that the model cannot take),
    ModelUnavailable (also a family without hooks), Damaged, Canceled.
    """
    report(0.0, "Loading the model")
    bench = Bench(store, request.settings)
    places = [bench.place(one, request.pairs) for one in dict.fromkeys(request.checkpoints)]
    for number, place in enumerate(places):
        cancel.check()
        within = part(report, number / len(places), (number + 1) / len(places))
        scores = bench.scores(place, part(within, 0.0, _SCORED if request.shares else 1.0), cancel)
        if request.shares:
            _measure_curve(bench, place, scores, request.shares, part(within, _SCORED, 1.0), cancel)
    report(1.0, f"Circuits of {len(places)} checkpoint{'s' if len(places) > 1 else ''} found{shortage(places)}")
    return places[-1].key.hash


@dataclass(frozen=True, eq=False)
class Place:
    """A checkpoint, the pairs that its circuit is found with, and what names the scores."""

    checkpoint: Checkpoint
    loaded: "LoadedModel"
    pairs: "TokenPairs"  # those drawn
    n_there: int  # pairs of the corpus
    n_fit: int  # those of them that the model can be measured on
    key: ComponentKey


class Bench:
    """What the jobs on component circuits share: pairs and models, made once; scores, made where they are missing."""

    def __init__(self, store: Store, settings: ScoreSettings) -> None:
        self.store, self.settings = store, settings
        self._corpora: dict[str, tuple[str, tuple[Pair, ...]]] = {}
        self._pairs: dict[tuple[int, str], tuple[int, TokenPairs]] = {}
        self._merged: RecentlyUsed[PreTrainedModel] = RecentlyUsed(1)

    def place(self, checkpoint: str, pairs: str) -> Place:
        """`pairs`: the name of a corpus; empty: that of the run. Raises as `find_circuits`."""
        from engine.models.adapters import checkpoint_hash

        found = self.store.checkpoint(checkpoint)
        config = self.store.run(found.run)
        name = pairs or config.corpus
        if name == NO_CORPUS and config.imported:
            raise InputError(f"The run “{found.run}” was imported without a corpus. Name one whose pairs to take.")
        refuse_diverged([found])
        corpus_hash, there = self._corpus(name)  # before the model is loaded: no pairs are told at once
        loaded = base_model(self.store, config.model)
        key = ComponentKey(
            checkpoint=found.ref,
            checkpoint_hash=checkpoint_hash(loaded, found.adapter),
            pairs=name,
            pairs_hash=corpus_hash,
            settings=self.settings,
        )
        n_fit, taken = self._drawn(loaded, name)
        return Place(found, loaded, taken, len(there), n_fit, key)

    def model(self, place: Place) -> "PreTrainedModel":
        """Modules of its own, also for the base: hooks are put into them while other jobs use the base."""
        from engine.models.sharing import checkpoint_model

        return self._merged.get(place.checkpoint.ref, lambda: checkpoint_model(place.loaded, place.checkpoint.adapter))

    def random_model(self, place: Place) -> "PreTrainedModel":
        """The same architecture with weights drawn by the seed."""
        from engine.components.randomised import random_copy

        return self._merged.get("random", lambda: random_copy(place.loaded.model, self.settings.seed))

    def base_of(self, place: Place) -> Place:
        """The same pairs at the model before training."""
        return self.place(f"{place.checkpoint.run}@base", place.key.pairs)

    def scores(self, place: Place, report: Report, cancel: CancelToken) -> ComponentScores:
        """Those that are stored; made and stored where there are none, or damaged ones."""
        from engine.components.scores import score_edges

        if stored := self._stored(place.key):
            report(1.0, f"{place.checkpoint.ref}: scored before")
            return stored
        told = prefixed(report, place.checkpoint.ref)
        told(0.0, "scoring the edges")
        made = score_edges(self.model(place), place.pairs, self.settings, report=told, cancel=cancel)
        scores = ComponentScores(
            key=place.key,
            shape=made.shape,
            groups=made.groups,
            n_pairs=made.n_pairs,
            clean=made.clean,
            corrupted=made.corrupted,
        )
        self.store.save_components(scores)
        return scores

    def _stored(self, key: ComponentKey) -> ComponentScores | None:
        try:
            return self.store.components(key.hash)
        except (NotFound, Damaged):
            return None

    def _corpus(self, name: str) -> tuple[str, tuple[Pair, ...]]:
        """Its hash and pairs; a run's checkpoints share them."""
        if name not in self._corpora:
            corpus = self.store.corpus(name)
            self._corpora[name] = corpus.hash, pairs_of(corpus)
        return self._corpora[name]

    def _drawn(self, loaded: "LoadedModel", corpus: str) -> "tuple[int, TokenPairs]":
        """How many the model can be measured on, and those drawn of them."""
        from engine.components.pairs import drawn, prepare_pairs

        key = (id(loaded), corpus)
        if key not in self._pairs:
            _, pairs = self._corpus(corpus)
            fitting = prepare_pairs(loaded.tokenizer, pairs, limit=loaded.n_positions)
            self._pairs[key] = len(fitting), drawn(fitting, self.settings)
        return self._pairs[key]


def prefixed(report: Report, name: str) -> Report:
    """A report whose messages say what they are about."""
    return lambda fraction, message: report(fraction, f"{name}: {message}")


def shortage(places: list[Place]) -> str:
    """Says where a corpus has fewer pairs that can be used than were asked for; empty where none has."""
    short = {p.key.pairs: p for p in places if p.n_fit < p.key.settings.n_pairs}
    told = ", ".join(_all_of(place) for place in short.values())
    return f"; with {told}, where {places[0].key.settings.n_pairs} pairs were asked for" if told else ""


def _all_of(place: Place) -> str:
    """`all 4 of “words”`"""
    if place.n_fit == place.n_there:
        return f"all {place.n_there} of “{place.key.pairs}”"
    return f"the {place.n_fit} of {place.n_there} of “{place.key.pairs}” that this model can be measured on"


def _measure_curve(
    bench: Bench,
    place: Place,
    scores: ComponentScores,
    shares: tuple[Share, ...],
    report: Report,
    cancel: CancelToken,
) -> None:
    """Nothing where it is stored with at least these shares."""
    from engine.components.faithfulness import faithfulness_curve

    asked = tuple(sorted(set(shares)))
    if _has_shares(bench.store, place.key, asked):
        report(1.0, f"{place.checkpoint.ref}: faithfulness measured before")
        return
    told = prefixed(report, place.checkpoint.ref)
    told(0.0, "measuring faithfulness")
    points = faithfulness_curve(
        bench.model(place), place.pairs, scores.scores, scores.shape, asked, bench.settings.metric,
        report=told, cancel=cancel,
    )  # fmt: skip
    bench.store.save_circuit_report(CurveReport(key=place.key, points=points))


def _has_shares(store: Store, key: ComponentKey, shares: tuple[Share, ...]) -> bool:
    try:
        stored = curve_of(store, key)
    except Damaged:
        return False
    return stored is not None and {point.share for point in stored.points} >= set(shares)
