"""Many prompts of one kind: which there are, which to take, and what is stored of them. Nothing here needs torch."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from engine.analysis.aggregate import group_title
from engine.analysis.diff import diff_graphs
from engine.analysis.parts import explaining
from engine.domain.acted import Acted, joined, joined_key
from engine.domain.continuation import output_for
from engine.domain.corpus import PROBE_KINDS, Probe, ProbeKind
from engine.domain.diffs import DiffSettings, GraphDiff
from engine.domain.errors import Damaged, InputError, NotFound
from engine.domain.graphs import AttributionGraph, Comparison
from engine.store import Store
from engine.workflows.courses import Course, stored_courses


@dataclass(frozen=True)
class ProbeGroup:
    """The probes of one constraint type and kind, no prompt twice."""

    constraint_type: str
    kind: ProbeKind
    probes: tuple[Probe, ...]

    @property
    def title(self) -> str:
        """`simple mapping · inference (40 prompts)`."""
        return group_title(self.constraint_type, self.kind, len(self.probes))


def probe_groups(store: Store, a: str, b: str) -> tuple[ProbeGroup, ...]:
    """What the corpora of both runs ask, by constraint type (in the corpora's order), then by kind.

    `a`, `b`: RUN@LABEL. Empty where the corpora are not there. Raises NotFound for a checkpoint, Damaged.
    """
    probes: dict[str, Probe] = {}
    for run in dict.fromkeys(store.checkpoint(ref).run for ref in (a, b)):
        try:
            found = store.corpus(store.run(run).corpus).probes
        except NotFound:  # a run imported without its corpus, or one whose corpus was removed
            continue
        for probe in found:
            probes.setdefault(probe.text, probe)
    groups: dict[tuple[str, ProbeKind], list[Probe]] = {}
    for probe in probes.values():
        groups.setdefault((probe.constraint_type, probe.kind), []).append(probe)
    types = list(dict.fromkeys(constraint_type for constraint_type, _ in groups))
    order = sorted(groups, key=lambda group: (types.index(group[0]), list(PROBE_KINDS).index(group[1])))
    return tuple(ProbeGroup(*group, tuple(groups[group])) for group in order)


def probe_group(store: Store, a: str, b: str, constraint_type: str, kind: ProbeKind) -> ProbeGroup:
    """One of `probe_groups`. Raises as it does, NotFound, with what there is, and InputError where neither run has a
    corpus here."""
    groups = probe_groups(store, a, b)
    for ref in (a, b) if not groups else ():
        if why := lacks_corpus(store, store.checkpoint(ref).run):
            raise InputError(why)
    for group in groups:
        if (group.constraint_type, group.kind) == (constraint_type, kind):
            return group
    raise NotFound("group of probes", f"{constraint_type} {kind}", [f"{g.constraint_type} {g.kind}" for g in groups])


def lacks_corpus(store: Store, run: str) -> str:
    """Why there are no probes of a run, with the way out where there is one; empty where its corpus is here.

    Raises NotFound (the run), Damaged.
    """
    config = store.run(run)
    try:
        store.corpus(config.corpus)
    except NotFound:
        if not config.has_corpus:
            return (
                f"The run “{run}” was imported without a corpus, whose probes are needed. Measure those of one first: "
                f"on Learning curves, or with `probe {run} --corpus NAME`."
            )
        return f"The corpus “{config.corpus}” of the run “{run}” is not here, whose probes are needed."
    return ""


def group_prompts(group: ProbeGroup, n: int) -> tuple[Probe, ...]:
    """`n` probes of the group (all where it has fewer), spread evenly over phrasings and words.

    The same each time, and fewer are the first of more: going from 6 to 12 traces 6. Raises InputError for n < 1.
    """
    if n < 1:
        raise InputError(f"{n} prompts were asked for. Take at least one; the group has {len(group.probes)}.")
    taken: list[Probe] = []
    left = list(group.probes)
    counts: Counter[tuple[str, ...]] = Counter()
    while left and len(taken) < n:
        probe = min(left, key=lambda probe: [counts[trait] for trait in _traits(probe)])  # of equals the first
        counts.update(_traits(probe))
        left.remove(probe)
        taken.append(probe)
    return tuple(taken)


def _traits(probe: Probe) -> tuple[tuple[str, ...], ...]:
    """What is to be spread evenly, the most important first."""
    return (
        ("phrasing", probe.template),
        ("word", probe.constraint),
        ("both", probe.template, probe.constraint),
    )


def group_transcoders(store: Store, a: str, b: str, probes: Sequence[Probe]) -> str:
    """The transcoder set with which most of the prompts are traced (of equals the newest); empty where none is.

    To be named in the request that traces the missing ones, so that all end up with one set.
    """
    used = Counter(comparison.key.transcoders for comparison in _stored(store, a, b, probes))
    return max(used, key=lambda name: used[name], default="")


def group_comparisons(
    store: Store, a: str, b: str, probes: Sequence[Probe], settings: DiffSettings, *, transcoders: str = ""
) -> tuple[list[tuple[Probe, GraphDiff]], list[str]]:
    """The stored differences of the probes in their order, and the prompts that must be traced (again).

    `a`, `b`: RUN@LABEL, canonical. All are of one transcoder set (without `transcoders`, that of
    `group_transcoders`) and of the checkpoints as they were for the newest of them: what was traced before the set
    or a run was made again counts as missing, and so does a file that is damaged or gone.
    """
    name = transcoders or group_transcoders(store, a, b, probes)
    stored = [comparison for comparison in _stored(store, a, b, probes) if comparison.key.transcoders == name]
    by_prompt = {found.key.prompt: found for found in stored if _made_from(found) == _made_from(stored[0])}
    ready: list[tuple[Probe, GraphDiff]] = []
    missing: list[str] = []
    for probe in probes:
        graphs = _graphs(store, by_prompt.get(probe.text))
        answer = explaining(graphs[0], probe.answer) if graphs else None
        if graphs is None or answer is None:
            missing.append(probe.text)
        else:
            ready.append((probe, diff_graphs(*graphs, settings.model_copy(update={"explained": answer}))))
    return ready, missing


def group_acted(store: Store, a: str, b: str, probes: Sequence[Probe]) -> tuple[list[tuple[Probe, Acted]], list[Probe]]:
    """Where training acted on the right answers of the probes, in their order, and the probes still to be measured.

    `a`, `b`: RUN@LABEL, canonical. What was measured stretch by stretch counts, too; what the places do is not known of
    it. All are of the checkpoints as they were for the newest of them, so that what was measured before a run was made
    again counts as missing, and so does a file that is damaged or gone.
    """
    courses: dict[str, list[Course]] = {}
    state: tuple[tuple[str, ...], ...] = ()
    for course in stored_courses(store, a, b, {probe.text for probe in probes}):  # the newest first
        key = joined_key([piece.key for piece in course])
        state = state or (key.checkpoints, key.hashes)
        if (key.checkpoints, key.hashes) == state and len(key.explained.tokens) == 1:
            courses.setdefault(key.prompt, []).append(course)
    found = [(probe, _acted_of(store, courses.get(probe.text, ()), probe.answer)) for probe in probes]
    return [(probe, one) for probe, one in found if one], [probe for probe, one in found if one is None]


def _acted_of(store: Store, courses: Sequence[Course], answer: str) -> Acted | None:
    by_output: dict[str, Acted] = {}
    for course in courses:
        try:
            parts = [found for piece in course if (found := piece.read(store))]
        except Damaged:  # measuring it again puts a whole file in its place
            continue
        if len(parts) == len(course):
            by_output.setdefault(parts[0].answer, joined(parts))
    output = output_for(by_output, answer)
    return None if output is None else by_output[output]


def _stored(store: Store, a: str, b: str, probes: Sequence[Probe]) -> list[Comparison]:
    """The newest of each prompt and transcoder set, newest first, `a` on side A whichever way it was stored."""
    wanted = {probe.text for probe in probes}
    found: dict[tuple[str, str], Comparison] = {}
    for stored in store.comparisons_of(a, b):
        key = stored.key
        if key.prompt not in wanted:
            continue
        graphs = (stored.graph_a, stored.graph_b) if key.a == a else (stored.graph_b, stored.graph_a)
        turned = Comparison(key=key.model_copy(update={"a": a, "b": b}), graph_a=graphs[0], graph_b=graphs[1])
        found.setdefault((key.transcoders, key.prompt), turned)
    return list(found.values())


def _made_from(comparison: Comparison) -> tuple[str, ...]:
    a, b = comparison.graph_a, comparison.graph_b
    return a.checkpoint_hash, b.checkpoint_hash, a.transcoders_hash, b.transcoders_hash


def _graphs(store: Store, comparison: Comparison | None) -> tuple[AttributionGraph, AttributionGraph] | None:
    if comparison is None:
        return None
    try:
        return store.graph_pair(comparison.graph_a, comparison.graph_b)
    except (Damaged, NotFound):  # tracing it again puts a whole file in its place
        return None
