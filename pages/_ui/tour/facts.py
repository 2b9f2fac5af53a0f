"""What the tour shows, read from the bundled runs: no widgets, no sentences, no number that was not measured."""

from collections.abc import Iterable
from dataclasses import dataclass

from engine.analysis.telling import telling_features
from engine.domain.corpus import Corpus, Probe
from engine.domain.diffs import DiffSettings, GraphDiff
from engine.domain.errors import NotFound
from engine.domain.graphs import AttributionGraph
from engine.domain.interventions import Intervention
from engine.domain.runs import Checkpoint, ProbeResults
from engine.figures.names import visible
from engine.store import Store
from engine.workflows.queries import stored_interventions
from pages._ui.cached import scores
from pages._ui.compare.data import default_prompt, difference, probes_of, traced_prompts
from pages._ui.compare.selection import Selection
from pages._ui.demo import RUN_A, RUN_B


@dataclass(frozen=True)
class Told:
    """One prompt that teaches the word, asked before training and after it."""

    prompt: str
    p_before: float  # probability of the right word
    said_before: str  # the word that was most likely
    p_after: float
    said_after: str


@dataclass(frozen=True, eq=False)
class Compared:
    """Two checkpoints on one probe."""

    selection: Selection
    probe: Probe
    diff: GraphDiff


@dataclass(frozen=True, eq=False)
class Tour:
    """The two runs at their last checkpoints, and the probe on which they are told apart."""

    store: Store
    base: Checkpoint
    a: Checkpoint
    b: Checkpoint
    corpus: Corpus
    probe: Probe  # what follows from a new word's meaning

    @property
    def sides(self) -> dict[str, Checkpoint]:
        return {"A": self.a, "B": self.b}


def tour(store: Store) -> Tour | None:
    """None where the bundled runs, or their comparison, are not here. Raises Damaged."""
    bundled = {info.name for info in store.runs() if info.bundled}
    if not {RUN_A, RUN_B} <= bundled:
        return None
    of_a, of_b = store.checkpoints(RUN_A), store.checkpoints(RUN_B)
    try:
        corpus = store.corpus(store.run(RUN_A).corpus)
    except NotFound:
        return None
    probes = probes_of(store, RUN_A, RUN_B)
    probe = probes.get(default_prompt(probes, traced_prompts(store, of_a[-1].ref, of_b[-1].ref)))
    if probe is None:
        return None
    return Tour(store=store, base=of_a[0], a=of_a[-1], b=of_b[-1], corpus=corpus, probe=probe)


def accuracy(store: Store, checkpoint: Checkpoint, kind: str) -> float | None:
    """Over all probes of the kind; None where there is none."""
    found = scores(store, checkpoint.run)
    rows = found[(found["step"] == checkpoint.step) & (found["probe_kind"] == kind)]
    return float((rows["accuracy"] * rows["n"]).sum() / rows["n"].sum()) if len(rows) else None


def told(tour: Tour) -> list[Told]:
    """The tour's word in each phrasing that it was trained on, once: in the base and in A."""
    before, after = (_by_probe(tour.store.probe_results(c.run).get(c.step)) for c in (tour.base, tour.a))
    rows, seen = [], set()
    for probe in tour.corpus.probes:
        ours = probe.kind == "recall" and probe.constraint == tour.probe.constraint and probe.template not in seen
        if ours and probe.id in before and probe.id in after:
            seen.add(probe.template)
            rows.append(Told(probe.text, *before[probe.id], *after[probe.id]))
    return rows


def _by_probe(results: ProbeResults | None) -> dict[str, tuple[float, str]]:
    """Probe id -> how likely the right word is, and which is the most likely."""
    if results is None:
        return {}
    return {
        name: (p, visible(said)) for name, p, said in zip(results.probe_id, results.p, results.predicted, strict=True)
    }


def before_and_after(tour: Tour) -> Compared | None:
    """The base against A on the stored probe on which most paths appeared; None where none is stored."""
    probes = probes_of(tour.store, tour.a.run)
    prompts = traced_prompts(tour.store, tour.base.ref, tour.a.ref)
    found = [compared(tour, tour.base, tour.a, probes[prompt]) for prompt in prompts if prompt in probes]
    there = [one for one in found if one is not None]
    return max(there, key=lambda one: one.diff.summary.edges["appeared"], default=None)


def told_apart(tour: Tour) -> Compared | None:
    """A against B on the tour's probe."""
    return compared(tour, tour.a, tour.b, tour.probe)


def compared(tour: Tour, a: Checkpoint, b: Checkpoint, probe: Probe) -> Compared | None:
    """None where the two have not been traced on it. Raises Damaged."""
    selection = Selection(a=a, b=b, prompt=probe.text, probe=probe)
    diff = difference(tour.store, selection, DiffSettings())
    return None if diff is None else Compared(selection, probe, diff)


def telling(found: Compared) -> tuple[str, ...]:
    """Ids of the features that B's answer runs through and A's does not."""
    return tuple(sorted(telling_features(found.diff, word=found.probe.constraint)))


def ablations(tour: Tour, found: Compared) -> tuple[Intervention, Intervention] | None:
    """What happened in A and in B when those features were switched off; None where it was not measured yet."""
    features = telling(found)
    a, b = stored_interventions(tour.store, (found.diff.a, found.diff.b), features, 0.0) if features else (None, None)
    return (a, b) if a is not None and b is not None else None


def probability(graph: AttributionGraph, word: str) -> float | None:
    """How likely the side finds `word` as the next; None where the graph was not traced to it."""
    tokens = [visible(token) for token in graph.target_tokens]
    return float(graph.target_probability[tokens.index(word)]) if word in tokens else None


def most_likely(graph: AttributionGraph) -> str:
    """The next word that the side expects most."""
    return visible(graph.target_tokens[int(graph.target_probability.argmax())])


def says(texts: Iterable[str], word: str, follows: str) -> bool:
    """Whether any text has both words."""
    return any({word, follows} <= set(text.split()) for text in texts)
