"""What is predicted for changed features: by hand, by all edges of a graph, and in a pass that holds all else."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from engine.attribution.held_pass import HeldFixed, HeldPass
from engine.attribution.interventions import interventions_on
from engine.attribution.predictions import Predictions
from engine.attribution.trace import trace_graph
from engine.demo import recipe
from engine.domain.graphs import AttributionGraph, NodeKind, TraceSettings
from engine.domain.models import DEMO_MODEL
from engine.models.base import encode, load_base
from engine.models.replacement import Replacement
from engine.models.transcoders import load_transcoders
from engine.store import BUNDLED
from tests.analysis.micro_graphs import micro_a
from tests.attribution.edge_oracle import along_edges
from tests.attribution.parts import BACKWARD_HOOK, key, random_transcoders
from tests.attribution.test_every_family import KINDS, PROMPT, TARGETS
from tests.families import CONFIGS, VARIANTS, loaded_family

pytestmark = pytest.mark.filterwarnings(BACKWARD_HOOK)
F5, F7, F3 = "feature/0/1/5", "feature/0/1/7", "feature/1/1/3"  # activation 1.5 each


@pytest.mark.parametrize(
    ("features", "factor", "change"),
    [
        # f5 off: f3 changes by 3 x -1, that is by -3 / 1.5 = -2 of itself; yes by 3 x -2
        ([F5], 0.0, (-6.0, 0.0)),
        # f7 tripled (r = 2): f3 by -1 x 2 -> r -4/3; f4 by 1 x 2 -> r 4/3; yes 3 x -4/3 - 4/3, no 4/3
        ([F7], 3.0, (-16 / 3, 4 / 3)),
        # f3 was set itself and keeps its r = -1 although f5 acts on it
        ([F5, F3], 0.0, (-3.0, 0.0)),
        ([F5, F7], 1.0, (0.0, 0.0)),
        ([F5], 0.99, (-0.06, 0.0)),
        # what the graph does not have predicts nothing
        (["feature/0/1/99", "feature/9/9/9"], 0.0, (0.0, 0.0)),
        ([], 0.0, (0.0, 0.0)),
    ],
)
def test_the_definition_by_hand(features: list[str], factor: float, change: tuple[float, float]) -> None:
    assert along_edges(micro_a(), features, factor) == pytest.approx(change)


def features_of(graph: AttributionGraph) -> list[str]:
    return [node for node in graph.node_ids() if node.startswith("feature/")]


def place(feature: str) -> tuple[int, int, int]:
    layer, position, index = map(int, feature.split("/")[1:])
    return layer, position, index


def sets_of(graph: AttributionGraph) -> list[list[str]]:
    """One low feature, some through which others act, all."""
    ids = features_of(graph)
    return [ids[:1], ids[::3], ids]


def predicted(replacement: Replacement, graph: AttributionGraph, features: list[str], factor: float) -> np.ndarray:
    with replacement.opened(None) as model:
        tokens = encode(replacement.loaded, graph.key.prompt)[0]
        targets = torch.as_tensor(graph.index[graph.kind == NodeKind.LOGIT])
        return np.array(Predictions(model, tokens, targets).change(map(place, features), factor))


def assert_as_the_edges_say(replacement: Replacement) -> None:
    """And as the stored parts do, of which a prediction for a single feature is a share."""
    graph = trace_graph(replacement, key=key(PROMPT, targets=TARGETS))
    scale = float(np.abs(graph.parts.part).max())  # type: ignore[union-attr]
    for features in sets_of(graph):
        for factor in (0.0, 2.5):
            found = predicted(replacement, graph, features, factor)
            wanted = along_edges(graph, features, factor)
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * scale * len(features))
            assert np.abs(found).max() > 1e-4
    parts = graph.parts.part[:, : len(features)]  # type: ignore[union-attr]
    one = predicted(replacement, graph, features[:1], 0.0)
    np.testing.assert_allclose(one, -parts[:, 0], rtol=0, atol=1e-5 * scale)
    # Paths through a feature that was set itself count once: the sum of the parts counts them twice.
    assert np.abs(predicted(replacement, graph, features, 0.0) + parts.sum(1)).max() > 1e-3


@pytest.mark.parametrize("family", CONFIGS)
def test_all_edges_of_every_family(family: str) -> None:
    loaded = loaded_family(family)
    assert_as_the_edges_say(Replacement(loaded, random_transcoders(loaded, n_features=24, top_k=3)))


@pytest.mark.parametrize("kind", KINDS)
def test_all_edges_with_skip_connections_and_across_layers(kind: str) -> None:
    loaded = loaded_family("gemma2")
    assert_as_the_edges_say(Replacement(loaded, KINDS[kind](loaded)))


@pytest.mark.parametrize("family", [*CONFIGS, *VARIANTS])
def test_a_pass_that_holds_everything_else_does_what_is_predicted(family: str) -> None:
    """And one that holds nothing is the measured intervention."""
    loaded = loaded_family(family)
    transcoders = random_transcoders(loaded, n_features=24, top_k=3)
    transcoders.feature_input_hook = "mlp.hook_in"  # Gemma 2's read where no norm can be held
    replacement = Replacement(loaded, transcoders)
    graph = trace_graph(replacement, key=key(PROMPT, targets=TARGETS))
    for done in interventions_on(replacement, graph, None, sets_of(graph), 1.5):
        assert done.uncut
        active = dict(zip(graph.node_ids(), graph.activation.tolist(), strict=True))
        values = [(*place(feature), 1.5 * active[feature]) for feature in done.changed]
        with replacement.opened(None) as model:
            held_pass = HeldPass(model, encode(loaded, PROMPT)[0])
            run = partial(held_pass.logits, values)
            everything, nothing = run(HeldFixed(norms=True, attention=True, mlps=True)), run(HeldFixed())
        after = [(one - one.mean())[list(TARGETS)].numpy() for one in (everything, nothing)]
        np.testing.assert_allclose(after[0] - np.array(done.logit_before), done.predicted, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(after[1], done.logit_after, rtol=1e-4, atol=1e-5)
        assert np.abs(after[0] - after[1]).max() > 1e-3


def test_no_cut_enters_on_the_bundled_model() -> None:
    """Of the edges of a real graph as many are kept as the bundled ones keep, and all of them."""
    loaded = load_base(DEMO_MODEL, BUNDLED / "base")
    replacement = Replacement(loaded, load_transcoders(BUNDLED / "transcoders" / recipe.TRANSCODERS, loaded))
    prompt, targets = recipe.PROMPTS[0], (353, 250, 334)
    cut, whole = (
        trace_graph(replacement, key=key(prompt, targets=targets, settings=settings))
        for settings in (recipe.TRACING, TraceSettings())
    )
    assert cut.n_edges < whole.n_edges / 3
    features = features_of(whole)[:20]
    found = predicted(replacement, cut, features, 0.0)
    np.testing.assert_allclose(found, along_edges(whole, features, 0.0), rtol=0, atol=1e-5)
    assert np.abs(np.array(along_edges(cut, features, 0.0)) - found).max() > 0.2
    only_kept = replace(whole, parts=None)  # a graph of before parts were kept predicts the same
    assert interventions_on(replacement, only_kept, None, [features], 0.0)[0].predicted == pytest.approx(found)
