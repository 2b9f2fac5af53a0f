"""Circuits of prompts for tests: by hand, at random, and from graphs of real shape."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from engine.analysis.prompt_circuits import PromptCircuit, prompt_circuit
from engine.domain.corpus import Probe
from engine.domain.graphs import AttributionGraph
from tests.analysis.micro_graphs import probe, random_graph

SIMPLE, SPATIAL = "simple_mapping", "spatial_relationship"
_LAYER = 1 << 37  # a node's number is layer + 1, then 37 bits of role, kind and index


def prompt(
    word: str = "blarf", template: str = "t0", *, constraint_type: str = SIMPLE, kind: str = "paraphrase"
) -> Probe:
    """Its text does not follow the template: only for circuits made by hand."""
    update = {"constraint": word, "template": template, "constraint_type": constraint_type}
    return probe(kind=kind).model_copy(update={**update, "id": f"{constraint_type}-{word}-{template}"})


def prompts(n_words: int, n_templates: int = 2, *, constraint_type: str = SIMPLE) -> list[Probe]:
    """By word, then by template."""
    return [
        prompt(f"w{word:02d}", f"t{template}", constraint_type=constraint_type)
        for word in range(n_words)
        for template in range(n_templates)
    ]


def node(layer: int, index: int) -> int:
    """A feature at the beginning."""
    return (layer + 1) * _LAYER + index


def by_hand(
    probe: Probe, influence: Mapping[int, float], shares: Mapping[tuple[int, int], float] = {}, *, fit: float = 0.9
) -> PromptCircuit:
    """`influence`: by node number (see `node`); `shares`: by the numbers of source and target."""
    nodes = sorted(influence)
    ends = sorted(shares)
    return PromptCircuit(
        probe=probe,
        fit=fit,
        n_layers=2,
        nodes=np.array(nodes, dtype=np.int64),
        influence=np.array([influence[name] for name in nodes], dtype=float),
        source=np.array([nodes.index(source) for source, _ in ends], dtype=np.int64),
        target=np.array([nodes.index(target) for _, target in ends], dtype=np.int64),
        share=np.array([shares[end] for end in ends], dtype=float),
    )


def around(
    probe: Probe, centre: int, rng: np.random.Generator, *, jitter: float = 0.1, fit: float = 0.9
) -> PromptCircuit:
    """A circuit of 12 nodes in a chain whose strengths `centre` (a seed) decides, times a noise of `jitter`."""
    base = np.random.default_rng(centre)
    nodes = np.sort(base.choice(60, 12, replace=False)) + node(0, 0)
    influence = base.gamma(1.0, size=12) * rng.lognormal(0, jitter, 12)
    share = base.normal(size=11) * rng.lognormal(0, jitter, 11)
    chain = dict(zip(zip(nodes.tolist(), nodes[1:].tolist(), strict=False), share.tolist(), strict=True))
    return by_hand(probe, dict(zip(nodes.tolist(), influence.tolist(), strict=True)), chain, fit=fit)


def traced(seed: int, probe: Probe | None = None) -> tuple[Probe, AttributionGraph]:
    """A random graph and a probe whose text it is: “word1 word2 word3”, the noun, the new word and a last word."""
    update = {"text": "word1 word2 word3", "template": "{n} {w} word3", "constraint": "word2", "answer": "out0"}
    own = (probe or prompt(kind="paraphrase")).model_copy(update=update)
    return own, random_graph(seed)


def random_circuit(seed: int, probe: Probe | None = None) -> PromptCircuit:
    """Of a random graph; `probe` gives its id, type, constraint and template."""
    own, graph = traced(seed, probe)
    found = prompt_circuit(own, graph)
    return found if probe is None else renamed(found, probe)


def renamed(circuit: PromptCircuit, probe: Probe) -> PromptCircuit:
    return replace(circuit, probe=probe)
