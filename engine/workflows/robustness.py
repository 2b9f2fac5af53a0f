"""Is the circuit one of the behaviour, or of these very inputs? Disjoint data, perturbed inputs, three models."""

from typing import TYPE_CHECKING

import numpy as np

from engine.analysis.components.compare import likeness, paired_likeness
from engine.analysis.components.selection import select
from engine.domain.components import (
    Circuit,
    ComponentShape,
    Perturbed,
    RobustnessReport,
    Share,
    Subject,
    SubjectRobustness,
    subjects_of,
)
from engine.domain.errors import Damaged, InputError, NotFound
from engine.domain.jobs import CancelToken, CheckRobustness, Report, part
from engine.store import Store
from engine.workflows.component_circuits import Bench, Place, prefixed, shortage

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from engine.components.pairs import TokenPairs

_SHOWN: dict[Subject, str] = {"tuned": "{}", "base": "the base model of {}", "random": "a random model"}


def check_robustness(store: Store, request: CheckRobustness, report: Report, cancel: CancelToken) -> str:
    """The circuit of disjoint parts of the data and of perturbed inputs, in the tuned, the base and a random model;
    returns the report's hash. Edges into a head's q, k and v count as one.

    Where the checkpoint is the base itself there is no tuned model. The report is stored after each model, and what it
    has with the same levels is not made again. Raises as `find_circuits`, and InputError where there are fewer than two
    parts, or a circuit has no edge left after pruning.
    """
    if request.settings.n_groups < 2:
        raise InputError("Robustness compares circuits of disjoint parts of the data: ask for 2 parts or more, as 5.")
    report(0.0, "Loading the model")
    bench = Bench(store, request.settings)
    place = bench.place(request.checkpoint, request.pairs)
    if len(place.pairs.ids) < 2 * request.settings.n_groups:
        raise InputError(
            f"{len(place.pairs.ids)} pairs of “{place.key.pairs}” are too few for {request.settings.n_groups} parts of "
            "2 or more. Ask for fewer parts, or more pairs."
        )
    made = RobustnessReport(key=place.key, share=request.share, subjects=())
    levels = tuple(sorted(set(request.levels)))
    subjects = subjects_of(place.checkpoint.ref)
    before = _measured_before(store, made, levels)
    for number, subject in enumerate(subjects):
        within = part(report, number / len(subjects), (number + 1) / len(subjects))
        found = before.get(subject) or _Check(bench, place, subject, request.share).run(levels, within, cancel)
        made = made.model_copy(update={"subjects": (*made.subjects, found)})
        if subject not in before:
            store.save_circuit_report(made)
    report(1.0, f"The robustness of {place.checkpoint.ref} is measured{shortage([place])}")
    return made.hash


class _Check:
    """One model."""

    def __init__(self, bench: Bench, place: Place, subject: Subject, share: Share) -> None:
        self._bench, self._subject, self._share = bench, subject, share
        self._name = _SHOWN[subject].format(place.checkpoint.ref)
        self._place = place if subject != "base" else bench.base_of(place)

    def run(self, levels: tuple[Share, ...], report: Report, cancel: CancelToken) -> SubjectRobustness:
        from engine.components.pairs import perturbed

        each = 1 / (1 + len(levels))
        shape, groups = self._whole(part(report, 0.0, each), cancel)
        own = self._circuits(groups, shape, "of a part of the data")
        found = []
        for number, level in enumerate(levels, start=1):
            cancel.check()
            within = part(report, number * each, (number + 1) * each)
            within = prefixed(within, f"{self._name}, {100 * level:g}% of the tokens replaced")
            pairs = perturbed(self._place.pairs, level, seed=self._bench.settings.seed)
            _, groups = self._score(pairs, within, cancel)
            others = self._circuits(groups, shape, f"of inputs perturbed by {100 * level:g}%")
            found.append(Perturbed(level=level, likeness=paired_likeness(own, others, qkv="merged")))
        return SubjectRobustness(subject=self._subject, fifths=likeness(own, qkv="merged"), perturbed=tuple(found))

    def _whole(self, report: Report, cancel: CancelToken) -> tuple[ComponentShape, np.ndarray]:
        """Of the inputs as they are: kept, but for the random model, which nothing else asks for."""
        cancel.check()
        if self._subject == "random":
            return self._score(self._place.pairs, prefixed(report, self._name), cancel)
        scores = self._bench.scores(self._place, report, cancel)
        return scores.shape, scores.groups

    def _score(self, pairs: "TokenPairs", report: Report, cancel: CancelToken) -> tuple[ComponentShape, np.ndarray]:
        from engine.components.scores import score_edges

        report(0.0, "scoring the edges")
        made = score_edges(self._model(), pairs, self._bench.settings, report=report, cancel=cancel)
        return made.shape, made.groups

    def _model(self) -> "PreTrainedModel":
        random = self._subject == "random"
        return self._bench.random_model(self._place) if random else self._bench.model(self._place)

    def _circuits(self, groups: np.ndarray, shape: ComponentShape, of: str) -> list[Circuit]:
        try:
            return [select(scores, shape, share=self._share) for scores in groups]
        except InputError as error:
            raise InputError(f"The circuit of {self._name} {of} cannot be compared: {error}") from error


def _measured_before(
    store: Store, named: RobustnessReport, levels: tuple[Share, ...]
) -> dict[Subject, SubjectRobustness]:
    """What is stored of it with these levels."""
    try:
        stored = store.circuit_report(named.hash)
    except (NotFound, Damaged):
        return {}
    subjects = stored.subjects if isinstance(stored, RobustnessReport) else ()
    return {one.subject: one for one in subjects if {each.level for each in one.perturbed} == set(levels)}
