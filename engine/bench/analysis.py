"""What a slider or a group of prompts waits for on the server: pruning, a difference, a mean circuit."""

from dataclasses import replace

from engine.analysis.aggregate import aggregate
from engine.analysis.diff import diff_graphs
from engine.analysis.pruning import prune
from engine.bench.graphs import large_diff
from engine.bench.row import BenchRow, at_most
from engine.bench.setting import Setting
from engine.bench.timing import medians
from engine.domain.corpus import SIMPLE, Probe
from engine.domain.graphs import AttributionGraph

ROUNDS = 5
N_PROMPTS = 40


def measure(_setting: Setting) -> list[BenchRow]:
    """Milliseconds of pruning and of a difference of large graphs; seconds of a mean circuit of such."""
    large = large_diff()
    pairs = [(_probe(number), _asked(large.a, number), _asked(large.b, number)) for number in range(N_PROMPTS)]

    def mean_circuit() -> None:
        aggregate([(probe, diff_graphs(a, b)) for probe, a, b in pairs])

    pruning, difference = medians((lambda: prune(large.a), lambda: diff_graphs(large.a, large.b)), rounds=ROUNDS)
    (mean,) = medians((mean_circuit,), rounds=1)
    size = "1,500 nodes, 40,000 edges"
    return [
        at_most(f"prune a graph of {size}", 1e3 * pruning, "ms", limit=60),
        at_most(f"difference of two graphs of {size}", 1e3 * difference, "ms", limit=500),
        at_most(f"mean circuit of {N_PROMPTS} prompts with two such graphs each", mean, "s", limit=3),
    ]


def _words(number: int) -> list[str]:
    return [f"noun{number}", *(f"word{place}" for place in range(2, 8))]


def _asked(graph: AttributionGraph, number: int) -> AttributionGraph:
    """The same graph as if it were of another prompt."""
    words = _words(number)
    key = graph.key.model_copy(update={"prompt": " ".join(words)})
    return replace(graph, tokens=("<bos>", *words), key=key)


def _probe(number: int) -> Probe:
    noun, *rest = _words(number)
    text = " ".join([noun, *rest])
    return Probe(
        id=f"p{number}", kind="inference", text=text, known_text=text, answer="out0", foils=("out1",),
        constraint_type=SIMPLE, constraint="word2", meaning="happy", template=" ".join(["{n} {w}", *rest[1:]]),
    )  # fmt: skip
