"""A comparison whose every text tries something: markup, scripts, formulas, control characters, emoji."""

import dataclasses

from engine.analysis.diff import diff_graphs
from engine.domain.diffs import GraphDiff
from engine.domain.graphs import AttributionGraph
from engine.figures.graph_view import GraphView, pair_view
from tests.analysis.micro_graphs import E, F, T, Y, graph_of

PROMPT = '</script><script>window.hacked = 1</script> & "quoted" \x00\x1b[31m'
TOKENS = (
    "<bos>",
    "<script>window.hacked = 1</script>",
    "<a href='javascript:window.hacked=1'>href</a>",
    "</script><img src=x onerror='window.hacked=1'>",
    "line\nbreak\r\x00\x07\ufffe",
    "😀 naïve ▁ \u2028]]>",
)
OUTPUTS = ("<b onmouseover='window.hacked=1'>", "&lt;plain&gt;")


def hostile_graph(*, checkpoint: str = "run@25%", turned: float = 1.0) -> AttributionGraph:
    """One feature a token; `turned` scales the second half of its edges."""
    n = len(TOKENS)
    nodes = [(F, 0, position, 10 + position) for position in range(n)]
    nodes += [(E, 0, position, 0) for position in range(n)]
    nodes += [(T, -1, position, position) for position in range(n)]
    nodes += [(Y, 1, n - 1, 90), (Y, 1, n - 1, 91)]
    edges = [(2 * n + position, position, 1.0 + position) for position in range(n)]
    edges += [(position, 3 * n, (turned if position > 2 else 1.0) * (position + 1.0)) for position in range(n)]
    edges += [(n, 3 * n + 1, 1.0), (n + 1, 3 * n + 1, -2.0)]
    return graph_of(
        nodes, edges, tokens=TOKENS, outputs=OUTPUTS, probability=(0.6, 0.3), n_layers=1, checkpoint=checkpoint,
        prompt=PROMPT, transcoders="<i>set</i>",
    )  # fmt: skip


def hostile_diff() -> GraphDiff:
    return diff_graphs(hostile_graph(), hostile_graph(checkpoint="run@100%", turned=-3.0))


def empty_graph(*, checkpoint: str = "run@25%") -> AttributionGraph:
    """Tokens and an output, and no edge between them."""
    nodes = [(T, -1, 0, 1), (T, -1, 1, 2), (Y, 1, 1, 20)]
    return graph_of(
        nodes, [], tokens=("<bos>", "x"), outputs=("yes",), probability=(0.5,), n_layers=1, checkpoint=checkpoint
    )


def empty_diff() -> GraphDiff:
    return diff_graphs(empty_graph(), empty_graph(checkpoint="run@100%"))


def badly_explained(diff: GraphDiff) -> GraphDiff:
    """The same with a replacement score of 0.41 on side A."""
    fit = diff.a.fit.model_copy(update={"replacement": 0.41})
    return dataclasses.replace(diff, a=dataclasses.replace(diff.a, fit=fit))


def view_of(diff: GraphDiff) -> GraphView:
    return pair_view(diff, loss_a="loss 1.00", loss_b="loss 2.00")
