"""The circuit of one prompt, in coordinates that other prompts have too."""

from dataclasses import replace

import numpy as np
import pytest

from engine.analysis.prompt_circuits import Role, prompt_circuit
from engine.domain.corpus import Probe
from engine.domain.errors import ComparisonRefused
from engine.domain.graphs import AttributionGraph, NodeKind, PruneSettings
from tests.analysis.circuit_makers import traced
from tests.analysis.micro_graphs import E, F, T, Y, graph_of, micro_a, probe

ALL = PruneSettings(node_threshold=1.0, edge_threshold=1.0)


def key(layer: int, role: Role, kind: NodeKind, index: int) -> int:
    return (((layer + 1) * 8 + role) * 4 + kind) * 2**32 + index


def probe_of(template: str, text: str, **update: str) -> Probe:
    return probe(text).model_copy(update={"template": template, **update})


MICRO = probe_of("{n}", "x")


def test_micro_circuit_by_hand():
    """`prune` keeps features 5, 7 (layer 0), 3, 4 (layer 1), the tokens, the outputs and 8 edges (test_pruning)."""
    circuit = prompt_circuit(MICRO, micro_a())
    last = Role.LAST  # position 1 of 2 is the last before it is the noun
    y0, y1 = key(2, last, Y, 0), key(2, last, Y, 1)  # “yes” is right
    f5, f7, f3, f4 = key(0, last, F, 5), key(0, last, F, 7), key(1, last, F, 3), key(1, last, F, 4)
    bos, x = key(-1, Role.BEGIN, T, 0), key(-1, last, T, 0)
    influence = dict(zip(circuit.nodes.tolist(), circuit.influence.tolist(), strict=True))
    assert influence == pytest.approx(
        {f5: 0.421875, f7: 0.296875, f3: 0.5625, f4: 0.3125, bos: 0, x: 0.71875, y0: 0.75, y1: 0.25}
    )
    nodes = circuit.nodes
    ends = zip(nodes[circuit.source].tolist(), nodes[circuit.target].tolist(), strict=True)
    assert dict(zip(ends, circuit.share.tolist(), strict=True)) == pytest.approx(
        {
            (x, f5): 1, (x, f7): 1, (f5, f3): 0.75, (f7, f3): -0.25, (f7, f4): 0.5, (f3, y0): 0.75, (f4, y0): -0.25,
            (f4, y1): 0.5,
        }
    )  # fmt: skip
    assert (circuit.fit, circuit.n_layers) == (0.9, 2)
    assert circuit.layer[np.searchsorted(nodes, [x, f5, f3, y0])].tolist() == [-1, 0, 1, 2]
    assert nodes[circuit.is_feature].tolist() == sorted([f5, f7, f3, f4])


def test_the_right_answer_is_the_probes():
    circuit = prompt_circuit(MICRO.model_copy(update={"answer": " no "}), micro_a())
    influence = dict(zip(circuit.nodes.tolist(), circuit.influence.tolist(), strict=True))
    assert influence[key(2, Role.LAST, Y, 0)] == pytest.approx(0.25)


def phrasing(template: str, places: tuple[int, int], *, outputs: tuple[str, ...] = ("happy", "sad")) -> tuple:
    """Feature 7 at the noun, feature 8 at the new word, feature 9 at the last position; each reads the one before."""
    text = template.format(n="cat", w="blarf")
    noun, word = places
    tokens = ("<bos>", *text.split())
    last = len(tokens) - 1
    nodes = [
        (F, 0, noun, 7),
        (F, 1, word, 8),
        (F, 2, last, 9),
        (T, -1, noun, 40),
        *((Y, 3, last, 50 + r) for r in (0, 1)),
    ]
    edges = [(3, 0, 1.0), (0, 1, 2.0), (1, 2, 1.0), (2, 4, 1.0), (2, 5, -1.0)]
    graph = graph_of(nodes, edges, tokens=tokens, outputs=outputs, probability=(0.5, 0.3), n_layers=3)
    return probe_of(template, text, answer="happy"), graph


def test_two_phrasings_fall_together():
    """Noun, new word and last stand at 2, 4, 5 here and at 3, 5, 6 there; the outputs come in another order."""
    one = prompt_circuit(*phrasing("the {n} feels {w} and", (2, 4)), ALL)
    other = prompt_circuit(*phrasing("when the {n} is {w} it", (3, 5)), ALL)
    assert one.nodes.tolist() == other.nodes.tolist()
    assert set(one.nodes.tolist()) == {
        key(0, Role.NOUN, F, 7), key(1, Role.WORD, F, 8), key(2, Role.LAST, F, 9), key(-1, Role.NOUN, T, 0),
        key(3, Role.LAST, Y, 0), key(3, Role.LAST, Y, 1),
    }  # fmt: skip
    for name in ("influence", "source", "target", "share"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_known_words_of_retention_probes_have_the_new_words_role():
    text = "the cat feels happy and"
    own = probe_of("the {n} feels {w} and", text, constraint="happy").model_copy(update={"kind": "retention"})
    _, graph = phrasing("the {n} feels {w} and", (2, 4))
    circuit = prompt_circuit(own, replace(graph, tokens=("<bos>", *text.split())), ALL)
    assert key(1, Role.WORD, F, 8) in circuit.nodes.tolist()


def summed_graph() -> tuple[Probe, AttributionGraph]:
    """Feature 5 is active at “it” and at “that”, both positions of no other role; both feed both wrong outputs."""
    tokens = ("<bos>", "it", "that", "blarf", "is")
    nodes = [(F, 0, 1, 5), (F, 0, 2, 5), (E, 0, 1, 0), (T, -1, 1, 3), (T, -1, 2, 4)]
    nodes += [(Y, 1, 4, 20), (Y, 1, 4, 21), (Y, 1, 4, 22)]
    edges = [(3, 0, 1.0), (4, 1, 1.0), (0, 5, 1.0), (1, 5, 1.0), (0, 6, 1.0), (1, 6, -3.0), (0, 7, 1.0), (2, 7, 1.0)]
    outputs, probability = ("happy", "sad", "fast"), (0.5, 0.2, 0.1)
    graph = graph_of(nodes, edges, tokens=tokens, outputs=outputs, probability=probability, n_layers=1)
    return probe_of("it that {w} is", "it that blarf is", answer="happy"), graph


def test_what_falls_together_in_a_prompt_is_summed():
    """Influence: of 5 at “it” .5 x .5 + .25 x .2 + .5 x .1 = .35, at “that” .5 x .5 + .75 x .2 = .4: together .75.
    Wrong outputs: .2 + .1. Shares of 5 in them: .25 - .75 (of “sad”) + .5 (of “fast”) = 0; in the right one .5 + .5.
    """
    circuit = prompt_circuit(*summed_graph(), ALL)
    f5, right, wrong = key(0, Role.OTHER, F, 5), key(1, Role.LAST, Y, 0), key(1, Role.LAST, Y, 1)
    influence = dict(zip(circuit.nodes.tolist(), circuit.influence.tolist(), strict=True))
    assert influence[f5] == pytest.approx(0.75)
    assert influence[wrong] == pytest.approx(0.3)
    ends = zip(circuit.nodes[circuit.source].tolist(), circuit.nodes[circuit.target].tolist(), strict=True)
    share = dict(zip(ends, circuit.share.tolist(), strict=True))
    assert share[f5, right] == pytest.approx(1.0)
    assert share[f5, wrong] == pytest.approx(0.0)
    assert share[key(-1, Role.OTHER, T, 0), f5] == pytest.approx(2.0)  # 1 at each of both


@pytest.mark.parametrize("seed", range(4))
def test_invariants_of_random_graphs(seed):
    own, graph = traced(seed)
    circuit = prompt_circuit(own, graph)
    assert (np.diff(circuit.nodes) > 0).all()
    pairs = circuit.source * len(circuit.nodes) + circuit.target
    assert len(np.unique(pairs)) == len(pairs)
    outputs = circuit.layer == graph.n_layers
    assert circuit.influence[outputs].sum() == pytest.approx(float(graph.target_probability.sum()))
    mixed = np.random.default_rng(seed).permutation(graph.n_edges)  # the order of edges does not matter
    again = replace(graph, source=graph.source[mixed], target=graph.target[mixed], weight=graph.weight[mixed])
    np.testing.assert_array_equal(prompt_circuit(own, again).nodes, circuit.nodes)
    np.testing.assert_allclose(prompt_circuit(own, again).share, circuit.share, atol=1e-12)


def test_a_graph_without_edges_has_its_tokens_and_outputs():
    graph = micro_a()
    none = np.zeros(0, dtype=np.int32)
    circuit = prompt_circuit(MICRO, replace(graph, source=none, target=none, weight=none.astype(np.float32)))
    assert (len(circuit.nodes), len(circuit.share)) == (4, 0)


def test_a_graph_of_another_prompt_is_refused():
    with pytest.raises(ComparisonRefused, match="do not spell"):
        prompt_circuit(probe_of("{n}", "y"), micro_a())
