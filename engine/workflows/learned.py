"""Where and when a run learned what its probes ask: what is stored of it. Nothing here needs torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from engine.analysis.acted_mean import ActedMean, acted_mean
from engine.analysis.watched import watched_probes
from engine.domain.acted import Acted, joined
from engine.domain.corpus import Probe, ProbeKind
from engine.domain.errors import ComparisonRefused, NotFound
from engine.domain.jobs import AskedPrompt, WhereProbes
from engine.domain.runs import Checkpoint
from engine.store import Store
from engine.workflows.prompt_groups import group_acted, lacks_corpus

MOST_STOPS = 25  # of a run with more checkpoints some are passed over


@dataclass(frozen=True, eq=False)
class Learned:
    """Where training acted on the right answers of a run's probes of one kind, over its checkpoints."""

    run: str
    kind: ProbeKind
    means: dict[str, ActedMean]  # by constraint type; all over the same checkpoints
    steps: tuple[int, ...]  # of these checkpoints, the base first
    missing: tuple[Probe, ...]  # not measured from checkpoint to checkpoint
    n_probes: int  # that were asked for
    refused: dict[str, str]  # by constraint type without a mean: why

    @property
    def is_followed(self) -> bool:
        """Whether it was measured from checkpoint to checkpoint, at least on some probes."""
        return len(self.missing) < self.n_probes


def stops(checkpoints: Sequence[Checkpoint]) -> tuple[Checkpoint, ...]:
    """The checkpoints that a run is followed over: all, or MOST_STOPS of them spread evenly, with both ends."""
    n = len(checkpoints)
    if n <= MOST_STOPS:
        return tuple(checkpoints)
    return tuple(checkpoints[round(place * (n - 1) / (MOST_STOPS - 1))] for place in range(MOST_STOPS))


def learned(store: Store, run: str, kind: ProbeKind, n: int | None = None) -> Learned:
    """What is stored of the first `n` probes of each constraint type (as `watched_probes`; None: of all).

    From checkpoint to checkpoint; where nothing is, as it was measured from the base to the last one. Raises NotFound
    (the run), Damaged.
    """
    checkpoints = store.checkpoints(run)
    probes = _probes(store, run, kind, n)
    # A run that was watched has stretches between all of its captures, however many there are.
    paths = [stops(checkpoints), *([checkpoints] if len(checkpoints) > MOST_STOPS else [])]
    ready = max((_over(store, path, probes) for path in paths), key=len)
    ends = checkpoints[:1] + checkpoints[-1:]
    found = ready or (group_acted(store, ends[0].ref, ends[1].ref, probes)[0] if len(checkpoints) > 1 else [])
    means, refused = _means(found)
    step_of = {checkpoint.ref: checkpoint.step for checkpoint in checkpoints}
    refs = found[0][1].key.checkpoints if found else ()
    have = {probe.id for probe, _ in ready}
    return Learned(
        run=run,
        kind=kind,
        means=means,
        steps=tuple(step_of[ref] for ref in refs),
        missing=tuple(probe for probe in probes if probe.id not in have),
        n_probes=len(probes),
        refused=refused,
    )


def what_lacks(store: Store, run: str, kind: ProbeKind) -> str:
    """Why it cannot be measured when and where a run learned, with the way out where there is one; empty where it can.

    Raises NotFound (the run), Damaged.
    """
    if len(store.checkpoints(run)) < 2:
        return "The base is the only checkpoint of this run, so there is nothing to compare yet."
    if why := lacks_corpus(store, run):
        return why
    if not any(probe.kind == kind for probe in store.corpus(store.run(run).corpus).probes):
        return "The run’s corpus has no probes of this kind."
    return ""


def learning_of(checkpoints: Sequence[Checkpoint], probes: Sequence[Probe]) -> WhereProbes:
    """The job that measures these probes over all of a run's checkpoints, of which there are at least two."""
    return WhereProbes(a=checkpoints[0].ref, b=checkpoints[-1].ref, asked=asked_of(probes), each=True)


def asked_of(probes: Sequence[Probe]) -> tuple[AskedPrompt, ...]:
    """The probes as a job is asked for them."""
    return tuple(AskedPrompt(prompt=probe.text, answer=probe.answer, blank=probe.blank) for probe in probes)


def _probes(store: Store, run: str, kind: ProbeKind, n: int | None) -> tuple[Probe, ...]:
    try:
        corpus = store.corpus(store.run(run).corpus)
    except NotFound:  # a run imported without its corpus, or one whose corpus was removed
        return ()
    return watched_probes(corpus, kind, len(corpus.probes) if n is None else n)


def _over(store: Store, path: Sequence[Checkpoint], probes: Sequence[Probe]) -> list[tuple[Probe, Acted]]:
    """Those of which each stretch of the path is stored, of one state of its checkpoints: by itself or all at once."""
    refs = tuple(one.ref for one in path)
    if len(refs) < 2:
        return []
    at_once = [one for one in group_acted(store, refs[0], refs[-1], probes)[0] if one[1].key.checkpoints == refs]
    if at_once:
        return at_once
    stretches: list[dict[str, Acted]] = []
    for a, b in pairwise(path):
        stretches.append({probe.id: acted for probe, acted in group_acted(store, a.ref, b.ref, probes)[0]})
        if not stretches[-1]:
            return []
    whole = [(probe, [own[probe.id] for own in stretches if probe.id in own]) for probe in probes]
    return [(probe, joined(parts)) for probe, parts in whole if len(parts) == len(path) - 1 and _is_chain(parts)]


def _is_chain(parts: Sequence[Acted]) -> bool:
    """A run that was made again under its name may have been measured in part only."""
    return all(one.key.hashes[-1] == other.key.hashes[0] for one, other in pairwise(parts))


def _means(found: Sequence[tuple[Probe, Acted]]) -> tuple[dict[str, ActedMean], dict[str, str]]:
    means: dict[str, ActedMean] = {}
    refused: dict[str, str] = {}
    for constraint_type in dict.fromkeys(probe.constraint_type for probe, _ in found):
        try:
            means[constraint_type] = acted_mean([pair for pair in found if pair[0].constraint_type == constraint_type])
        except ComparisonRefused as error:
            refused[constraint_type] = str(error)
    return means, refused
