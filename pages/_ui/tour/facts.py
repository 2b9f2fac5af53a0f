"""What the tour shows, read from the bundled runs: no widgets, no sentences, no number that was not measured."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from engine.analysis.carried import explained_logits, strongest_move
from engine.analysis.distinguishing import distinguishing_features
from engine.analysis.parts import explaining
from engine.analysis.word_pieces import words
from engine.demo.records import Figures
from engine.domain.acted import EMBEDDING_LAYER
from engine.domain.corpus import Corpus, Probe
from engine.domain.diffs import DiffSettings, GraphDiff
from engine.domain.errors import Damaged, NotFound
from engine.domain.graphs import AttributionGraph
from engine.domain.interventions import Intervention
from engine.domain.runs import Checkpoint
from engine.figures.map_tables import NOT_KEPT, layers_of_move, span_id
from engine.figures.names import visible
from engine.store import Store
from engine.store.files import read_json
from engine.workflows.queries import stored_interventions
from pages._ui.cached import scores
from pages._ui.compare.data import default_prompt, difference, probes_of, traced_prompts
from pages._ui.compare.selection import Selection
from pages._ui.demo import RUN_A, RUN_B


@dataclass(frozen=True)
class Guess:
    """What a checkpoint expects after a prompt."""

    p: float  # probability of the right word
    likeliest: str  # the word that it expects most


@dataclass(frozen=True)
class TaughtPrompt:
    """One phrasing that the word was trained in, with another noun: before training, and at the end of A and of B."""

    prompt: str
    before: Guess
    a: Guess
    b: Guess


@dataclass(frozen=True)
class WordShare:
    """One new word: the share of its inference probes that A and B answer right."""

    word: str
    meaning: str
    n: int
    a: float
    b: float


@dataclass(frozen=True)
class Controls:
    """What ablating as many other features of B, drawn at random, does to its answer."""

    n_draws: int
    n_kept: int  # in how many of them the right answer stays the likeliest
    median_p: float  # of the right answer


@dataclass(frozen=True, eq=False)
class Compared:
    """Two checkpoints on one probe."""

    selection: Selection
    probe: Probe
    diff: GraphDiff


@dataclass(frozen=True)
class Route:
    """What moved most from one word to another while a probe's answer rose, in its logit."""

    source: str  # words
    target: str
    ends: tuple[str, str]  # as the Map names them
    before: float  # what moved, at both checkpoints
    after: float
    change: float
    rise: float  # of the answer, in all
    reader: str  # the layer that reads most of the change at the target, `L0`, or `the output`
    read: float  # what it reads of it


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


def taught_prompts(tour: Tour) -> list[TaughtPrompt]:
    """The tour's word in each phrasing that it was trained on, once."""
    before, a, b = (_guesses(tour, checkpoint) for checkpoint in (tour.base, tour.a, tour.b))
    rows, seen = [], set()
    for probe in tour.corpus.probes:
        ours = probe.kind == "recall" and probe.constraint == tour.probe.constraint and probe.template not in seen
        if ours and all(probe.id in side for side in (before, a, b)):
            seen.add(probe.template)
            rows.append(TaughtPrompt(probe.text, before[probe.id], a[probe.id], b[probe.id]))
    return rows


def held_out_loss(tour: Tour, checkpoint: Checkpoint, *kinds: str) -> float | None:
    """Mean -log p of the right next token over the held-out probes of these kinds, in nats; None without any."""
    guesses = _guesses(tour, checkpoint)
    p = [guesses[probe.id].p for probe in tour.corpus.probes if probe.kind in kinds and probe.id in guesses]
    return sum(-math.log(max(value, 1e-12)) for value in p) / len(p) if p else None


def n_probes(tour: Tour, *kinds: str) -> int:
    return sum(probe.kind in kinds for probe in tour.corpus.probes)


def inference_by_word(tour: Tour) -> list[WordShare]:
    """In the corpus's order. Words, not probes, are what the runs differ in: most are all right or all wrong."""
    right = [_right(tour, checkpoint) for checkpoint in (tour.a, tour.b)]
    probes: dict[str, list[Probe]] = {}
    for probe in tour.corpus.probes:
        if probe.kind == "inference" and all(probe.id in side for side in right):
            probes.setdefault(probe.constraint, []).append(probe)
    return [
        WordShare(word, own[0].meaning, len(own), *(sum(side[one.id] for one in own) / len(own) for side in right))
        for word, own in probes.items()
    ]


def controls(tour: Tour, found: Compared) -> Controls | None:
    """As measured when the demo was built (figures.json); None where it has no such figures for these features."""
    path = (tour.store.bundled or tour.store.workspace) / "figures.json"
    try:
        values = read_json(path, Figures).values()
        if values["ablation/features"] != len(telling(found)):
            return None
        return Controls(
            n_draws=int(values["ablation/draws of others"]),
            n_kept=int(values["ablation/draws of others that keep the answer"]),
            median_p=float(values["ablation/p of the answer after others, median"]),
        )
    except (Damaged, NotFound, KeyError, OSError):
        return None


def _guesses(tour: Tour, checkpoint: Checkpoint) -> dict[str, Guess]:
    """By probe id."""
    results = tour.store.probe_results(checkpoint.run).get(checkpoint.step)
    if results is None:
        return {}
    columns = zip(results.probe_id, results.p, results.predicted, strict=True)
    return {name: Guess(p, visible(word)) for name, p, word in columns}


def _right(tour: Tour, checkpoint: Checkpoint) -> dict[str, bool]:
    results = tour.store.probe_results(checkpoint.run).get(checkpoint.step)
    return {} if results is None else dict(zip(results.probe_id, results.correct, strict=True))


def before_and_after(tour: Tour) -> Compared | None:
    """The base against A on the stored probe whose answer rose most; None where none is stored."""
    probes = probes_of(tour.store, tour.a.run)
    prompts = traced_prompts(tour.store, tour.base.ref, tour.a.ref)
    found = [compared(tour, tour.base, tour.a, probes[prompt]) for prompt in prompts if prompt in probes]
    there = [one for one in found if one is not None]
    return max(there, key=lambda one: one.diff.explained.total, default=None)


def told_apart(tour: Tour) -> Compared | None:
    """A against B on the tour's probe."""
    return compared(tour, tour.a, tour.b, tour.probe)


def compared(tour: Tour, a: Checkpoint, b: Checkpoint, probe: Probe) -> Compared | None:
    """Explained is the right answer. None where the two have not been traced on it. Raises Damaged."""
    selection = Selection(a=a, b=b, prompt=probe.text, probe=probe)
    diff = difference(tour.store, selection, DiffSettings())
    answer = explaining(diff.b, probe.answer) if diff else None
    if diff is not None and answer not in (None, explained_logits(diff)):
        diff = difference(tour.store, selection, DiffSettings(explained=answer))
    return None if diff is None else Compared(selection, probe, diff)


def route(found: Compared) -> Route | None:
    """None where the answer did not rise, or no step between words makes as much of it as counts."""
    diff, spans = found.diff, words(found.diff.a.tokens)
    move = strongest_move(diff, spans)
    if diff.explained.total <= 0 or move is None:
        return None
    ends = {span.first: span for span in spans}
    source, target = (ends[int(move[end])] for end in ("source", "target"))
    readers = layers_of_move(diff, source, target)
    readers = readers[readers["read in"] != NOT_KEPT]
    if readers.empty:
        return None
    reader = readers.iloc[int(readers["change"].argmax())]
    return Route(
        source=visible(source.text),
        target=visible(target.text),
        ends=(span_id(EMBEDDING_LAYER, source), span_id(EMBEDDING_LAYER, target)),
        before=float(move["a"]),
        after=float(move["b"]),
        change=float(move["change"]),
        rise=diff.explained.total,
        reader=str(reader["read in"]),
        read=float(reader["change"]),
    )


def telling(found: Compared) -> tuple[str, ...]:
    """Ids of the features that B's answer runs through and A's does not."""
    return tuple(sorted(distinguishing_features(found.diff, word=found.probe.constraint)))


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
