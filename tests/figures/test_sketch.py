"""The small picture of a circuit: only what is talked about, sizes from one side, valid SVG."""

import xml.etree.ElementTree as ET

import pytest

from engine.analysis.diff import diff_graphs
from engine.analysis.distinguishing import distinguishing_features
from engine.domain.annotations import Annotations
from engine.domain.diffs import GraphDiff
from engine.domain.feature_names import FeatureNames
from engine.figures.sketch import sketch, sketch_svg
from engine.store import BUNDLED, Store
from engine.workflows.queries import comparison_graphs

PROMPT = "the cat feels blarf and"


@pytest.fixture(scope="module")
def diff(tmp_path_factory: pytest.TempPathFactory) -> GraphDiff:
    store = Store(tmp_path_factory.mktemp("sketch"), bundled=BUNDLED)
    graphs = comparison_graphs(store, "demo-lora@100%", "demo-tokens@100%", PROMPT)
    assert graphs is not None
    return diff_graphs(*graphs)


def test_it_shows_the_prompt_the_features_and_few_outputs(diff: GraphDiff) -> None:
    features = distinguishing_features(diff, word="blarf")
    drawn = sketch(diff, "b", features, word="blarf", answer="smiles")
    assert set(drawn.features) == set(features)
    assert {word for word, _ in drawn.outputs.values()} == {"smiles", "ends"}
    assert [column.token for column in drawn.places.columns][-2:] == ["blarf", "and"]
    assert all({source, target} <= set(drawn.rows) for source, target in drawn.edges)
    part, flow = diff.nodes.set_index("id")["part_b"], diff.edges.set_index(["source", "target"])["flow_b"]
    assert drawn.features == {node: pytest.approx(part[node]) for node in features}
    assert all(value == flow[ends] > 0 for ends, value in drawn.edges.items())


def test_both_sides_have_one_scale(diff: GraphDiff) -> None:
    features = distinguishing_features(diff, word="blarf")
    a, b = (sketch(diff, side, features, word="blarf", answer="smiles") for side in ("a", "b"))
    assert (a.largest, a.thickest) == (b.largest, b.thickest)
    assert max(*a.edges.values(), *b.edges.values()) == a.thickest
    assert a.rows == b.rows


def test_it_is_valid_svg_whatever_is_written(diff: GraphDiff) -> None:
    drawn = sketch(diff, "a", distinguishing_features(diff, word="blarf"), word="blarf", answer="smiles")
    svg = ET.fromstring(sketch_svg(drawn, color="#123456", ink="#000", alt='a "<b>" & c'))  # noqa: S314 - our own
    texts = [text.text or "" for text in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert "<1%" in texts
    assert svg.get("aria-label") == 'a "<b>" & c'


def test_the_largest_feature_of_each_layer_is_called_by_its_label(diff: GraphDiff) -> None:
    features = distinguishing_features(diff, word="blarf")
    nodes = diff.nodes[diff.nodes["id"].isin(features)]
    written = {
        f"{layer}/{index}": f"l{layer} {index}" for layer, index in zip(nodes["layer"], nodes["index"], strict=True)
    }
    names = FeatureNames.of(Annotations(transcoders_hash=diff.a.key.transcoders_hash, labels=written))
    drawn = sketch(diff, "b", features, word="blarf", answer="smiles", names=names)
    tops = nodes.loc[nodes.groupby("layer")["part_b"].idxmax()]
    assert drawn.labels == {
        node: f"l{layer} {index}" for node, layer, index in zip(tops["id"], tops["layer"], tops["index"], strict=True)
    }
    svg = sketch_svg(drawn, color="#123456", ink="#000", alt="x")
    assert all(label in svg for label in drawn.labels.values())
    assert sketch(diff, "b", features, word="blarf", answer="smiles").labels == {}
