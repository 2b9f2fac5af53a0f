"""Circuit change of a whole run from stored graphs: reading, pruning, all measures with their intervals, noise.

The graphs are bundled ones cut to the edges that a series keeps, made into those of other words and phrasings and of
other checkpoints: a share of their features gets other numbers, and all weights get noise.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engine.analysis.pruning import contributions, prune
from engine.bench.row import BenchRow, at_most, not_slower, plain
from engine.bench.setting import CORPUS, RUN_A, Setting
from engine.bench.timing import medians
from engine.domain.corpus import Corpus, Probe
from engine.domain.graphs import AttributionGraph, NodeKind
from engine.domain.runs import RunConfig
from engine.domain.series import SERIES_TRACING, GraphSeries, SeriesGraph, SeriesKey
from engine.store import Store
from engine.workflows.changes import changes_of

ROUNDS = 3
N_STEPS, N_WORDS = 16, 15  # two phrasings of each word and two constraint types: 60 prompts
FEW_STEPS, FEW_WORDS = 4, 4
NAME = "bench-circuits"
OTHER_PROMPT, OTHER_STEP = (0.3, 0.3), (0.05, 0.1)  # share of features renumbered, noise of weights


def measure(setting: Setting) -> list[BenchRow]:
    """Seconds of a run of 960 graphs; milliseconds a graph of it against those of a quarter of its graphs."""
    store = setting.store
    series = stored_series(store, n_steps=N_STEPS, n_words=N_WORDS)
    shorter = part(series, n_steps=FEW_STEPS, n_words=N_WORDS)
    narrower = part(series, n_steps=N_STEPS, n_words=FEW_WORDS)

    def read_and_prune() -> None:
        for entry in series.graphs:
            prune(store.graph_named(entry.graph))

    whole, short, narrow, floor = medians(
        (
            lambda: changes_of(store, series),
            lambda: changes_of(store, shorter),
            lambda: changes_of(store, narrower),
            read_and_prune,
        ),
        rounds=ROUNDS,
    )
    size = f"{N_STEPS} checkpoints × {len(series.key.probes)} prompts"
    each, each_short, each_narrow = (
        1e3 * taken / len(one.graphs) for taken, one in ((whole, series), (short, shorter), (narrow, narrower))
    )
    return [
        at_most(f"circuit change of {size}, from stored graphs", whole, "s", limit=5),
        plain(f"… of which reading and pruning {len(series.graphs)} graphs", floor, "s"),
        not_slower(f"… a graph, against {FEW_STEPS} checkpoints", each, "ms", than=each_short, times=1.3),
        not_slower(f"… a graph, against {len(narrower.key.probes)} prompts", each, "ms", than=each_narrow, times=1.3),
    ]


def stored_series(store: Store, *, n_steps: int, n_words: int) -> GraphSeries:
    """A run of its own with its corpus and graphs, in the store."""
    models = _models(store)
    probes = [_probe(own, word, article) for own, _ in models for word in range(n_words) for article in ("the", "a")]
    corpus = Corpus(NAME, (), tuple(probes))
    store.save_corpus(corpus)
    store.save_run(RunConfig(name=NAME, corpus=NAME, corpus_hash=corpus.hash, n_steps=n_steps))
    key = SeriesKey(
        run=NAME,
        checkpoints=tuple((step, str(step)) for step in range(n_steps)),
        corpus_hash=corpus.hash,
        probe_kind="inference",
        probes=tuple(probe.id for probe in probes),
        transcoders=NAME,
        transcoders_hash=NAME,
    )
    graphs = []
    for number, probe in enumerate(probes):
        rng = np.random.default_rng(number)
        _, model = models[number * len(models) // len(probes)]
        graph = _varied(model, rng, *OTHER_PROMPT)
        for step in range(n_steps):
            graph = _varied(graph, rng, *OTHER_STEP)
            graphs.append(SeriesGraph(step=step, probe_id=probe.id, graph=_save(store, graph, probe, step)))
    return GraphSeries(key=key, graphs=tuple(graphs))


def part(series: GraphSeries, *, n_steps: int, n_words: int) -> GraphSeries:
    """Its first checkpoints, and of each constraint type the first words."""
    words = [f"-w{word}-" for word in range(n_words)]
    ids = tuple(name for name in series.key.probes if any(word in name for word in words))
    key = series.key.model_copy(update={"checkpoints": series.key.checkpoints[:n_steps], "probes": ids})
    kept = [entry for entry in series.graphs if entry.step < n_steps and entry.probe_id in ids]
    return GraphSeries(key=key, graphs=tuple(kept))


def _models(store: Store) -> Sequence[tuple[Probe, AttributionGraph]]:
    """Of each constraint type a traced graph of the bundled run's end, with its probe."""
    found: dict[str, tuple[Probe, AttributionGraph]] = {}
    probes = {probe.text: probe for probe in store.corpus(CORPUS).probes}
    for key in store.graph_keys(f"{RUN_A}@100%"):
        probe = probes[key.prompt]
        found.setdefault(probe.constraint_type, (probe, _cut(store.graph(key))))
    return list(found.values())


def _probe(like: Probe, word: int, article: str) -> Probe:
    """The same phrasing, or one that begins with another article, of another word."""
    template = " ".join([article, *like.template.split()[1:]])
    noun, name = f"noun{word}", f"w{word}"
    return like.model_copy(
        update={
            "id": f"{like.constraint_type}-{name}-{article}",
            "template": template,
            "text": template.format(n=noun, w=name),
            "constraint": name,
        }
    )


def _cut(graph: AttributionGraph) -> AttributionGraph:
    rows = np.sort(np.argsort(-contributions(graph), kind="stable")[: SERIES_TRACING.max_edges])
    return replace(graph, source=graph.source[rows], target=graph.target[rows], weight=graph.weight[rows])


def _varied(graph: AttributionGraph, rng: np.random.Generator, renumbered: float, noise: float) -> AttributionGraph:
    other = (graph.kind == NodeKind.FEATURE) & (rng.random(graph.n_nodes) < renumbered)
    index = np.where(other, rng.integers(0, graph.index.max() + 1, graph.n_nodes), graph.index)
    weight = graph.weight * rng.lognormal(0, noise, graph.n_edges).astype(np.float32)
    return replace(graph, index=index, weight=weight)


def _save(store: Store, graph: AttributionGraph, probe: Probe, step: int) -> str:
    update = {"checkpoint": f"{NAME}@step{step}", "prompt": probe.text, "settings": SERIES_TRACING}
    key = graph.key.model_copy(update=update)
    store.save_graph(replace(graph, key=key, tokens=(graph.tokens[0], *probe.text.split())))
    return key.hash
