"""The mean circuit: two prompts worked by hand, and what must hold for any."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from engine.analysis.aggregate import aggregate, n_first_tokens
from engine.analysis.diff import diff_everything, diff_graphs
from engine.analysis.headline import headline
from engine.analysis.parts import explaining as explained_in
from engine.analysis.parts import output_ids
from engine.domain.corpus import Probe
from engine.domain.diffs import DiffSettings, GraphDiff
from engine.domain.errors import ComparisonRefused, InputError
from engine.domain.explained import ExplainedLogits
from engine.domain.graphs import AttributionGraph, Fit, NodeKind, PruneSettings
from engine.figures.graph_view import pair_view
from tests.analysis.micro_graphs import graph_of, probe, random_graph

F, T, Y = NodeKind.FEATURE, NodeKind.TOKEN, NodeKind.LOGIT
ALL = DiffSettings(prune=PruneSettings(node_threshold=1.0, edge_threshold=1.0))
F3, F7, RIGHT, OTHER = "feature/0/1/3", "feature/0/2/7", "logit/1/2/0", "logit/1/2/1"
NOUN, NEW = "token/-1/1/0", "token/-1/2/0"


def probe_of(text: str, answer: str, *, template: str = "{n} {w}", word: str = "blarf") -> Probe:
    return probe(text, answer).model_copy(update={"template": template, "constraint": word})


def graph(
    text: str,
    outputs: dict[str, float],
    edges: list[tuple[int, int, float]],
    *,
    checkpoint: str,
) -> AttributionGraph:
    """Rows: 0 feature 3 on the noun, 1 feature 7 on the new word, 2–4 tokens, 5 … outputs."""
    nodes = [(F, 0, 1, 3), (F, 0, 2, 7), (T, -1, 0, 1), (T, -1, 1, len(text)), (T, -1, 2, 9)]
    nodes += [(Y, 1, 2, 20 + sum(map(ord, token))) for token in outputs]
    return graph_of(
        nodes,
        edges,
        tokens=("<bos>", *text.split()),
        outputs=tuple(outputs),
        probability=tuple(outputs.values()),
        n_layers=1,
        checkpoint=checkpoint,
        prompt=text,
    )


def explaining(probe: Probe, a: AttributionGraph, b: AttributionGraph, settings: DiffSettings = ALL) -> GraphDiff:
    """The difference of what leads to the probe's answer."""
    token = output_ids(a)[a.target_tokens.index(probe.answer)]
    explained = ExplainedLogits(answers=(token,))
    return diff_graphs(a, b, settings.model_copy(update={"explained": explained}))


def by_hand() -> list[tuple[Probe, GraphDiff]]:
    """Flows to the right answer (of a feature, whose activation is 1.5, two thirds of a weight go on):

    “cat blarf” A: f3→yes 1, f7→yes 1, noun→f3 2/3, new→f7 2/3      B: f7→yes 1, new→f7 4/3
    “horse blarf” A: f7→races 1, new→f7 2/3                         B: f7→races 1, new→f7 4/3

    Signed contributions:

    “cat blarf” A: f3→yes .25, f7→yes .25, f7→no −.5, noun→f3 .25, new→f7 .75      B: f7→yes .75, f7→no .25, new→f7 1
    “horse blarf” A: f7→races .25, f7→no .25, f7→so −.5, new→f7 1                  B: f7→races .75, f7→no .125, new→f7 .875
    """  # noqa: E501
    cat_a = graph(
        "cat blarf",
        {"yes": 0.5, "no": 0.5},
        [(3, 0, 1.0), (4, 1, 1.0), (0, 5, 1.0), (1, 5, 1.0), (1, 6, -1.0)],
        checkpoint="r@1%",
    )
    cat_b = graph("cat blarf", {"yes": 0.75, "no": 0.25}, [(4, 1, 2.0), (1, 5, 1.0), (1, 6, 1.0)], checkpoint="r@2%")
    outputs = ("races", "no", "so")
    horse_a = graph(
        "horse blarf",
        dict(zip(outputs, (0.25, 0.25, 0.5), strict=True)),
        [(4, 1, 1.0), (1, 5, 1.0), (1, 6, 3.0), (1, 7, -2.0)],
        checkpoint="r@1%",
    )
    horse_b = graph(
        "horse blarf",
        dict(zip(outputs, (0.75, 0.125, 0.125), strict=True)),
        [(4, 1, 2.0), (1, 5, 1.0), (1, 6, 1.0)],
        checkpoint="r@2%",
    )
    cat, horse = probe_of("cat blarf", "yes"), probe_of("horse blarf", "races")
    return [(cat, explaining(cat, cat_a, cat_b)), (horse, explaining(horse, horse_a, horse_b))]


def test_edges_of_two_prompts_by_hand():
    edges = aggregate(by_hand()).edges.set_index(["source", "target"])
    half = 1 / np.sqrt(2)  # the standard deviation of two values that lie 1 apart
    columns = ["contribution_a", "contribution_b", "share_a", "share_b", "flow_a", "flow_b", "change", "n"]
    columns += ["spread_a", "spread_b", "spread_change", "status"]
    expected = {
        # all of it from f7 in both prompts of B: share 1
        (F7, RIGHT): (0.25, 0.75, 0.25 / 0.375, 1, 1, 1, 0, 2, 0, 0, 0, "unchanged"),
        # −.5 and .25 − .5 in A; .25 and .125 in B; nothing of it is of the right answer
        (F7, OTHER): (0.375, 0.1875, -0.6, 0.1875 / 0.25, 0, 0, 0, 2, 0, 0, 0, "unchanged"),
        # one prompt of two: within two standard errors of 0. In B feature 3 leads nowhere, so a unit is 1/3 in the mean
        (F3, RIGHT): (0.125, 0, 0.125 / 0.375, 0, 0.5, 0, -0.5, 1, half, 0, half, "unchanged"),
        (NOUN, F3): (0.125, 0, 1, 0, 1 / 3, 0, -1 / 6, 1, half * 2 / 3, 0, half / 3, "unchanged"),
        (NEW, F7): (0.875, 0.9375, 1, 1, 2 / 3, 4 / 3, 2 / 3, 2, 0, 0, 0, "strengthened"),
    }  # fmt: skip
    assert set(edges.index) == set(expected)
    for at, values in expected.items():
        assert edges.loc[at, columns].tolist() == [pytest.approx(v) if not isinstance(v, str) else v for v in values]
    assert edges.loc[(F7, OTHER), ["weight_a", "weight_b"]].tolist() == [(-1 + (3 - 2)) / 2, (1 + 1) / 2]
    explained = aggregate(by_hand()).explained
    assert (explained.words, explained.a, explained.b, explained.scale) == ("right answer", 3, 3, 1)
    assert explained.moved == pytest.approx(1)  # 2 of the first: f3 is gone, and what it gave is a constant in B
    assert explained.limit == pytest.approx((0.02 + 3e-4) / 2)


def test_answers_of_several_tokens_are_counted() -> None:
    (probe, diff), other = by_hand()
    assert n_first_tokens([(probe, diff), other]) == 0
    assert n_first_tokens([(probe.model_copy(update={"answer": f"{probe.answer} and more"}), diff), other]) == 1


def test_nodes_and_graphs_of_two_prompts_by_hand():
    mean = aggregate(by_hand())
    nodes = mean.nodes.set_index("id")
    expected = {
        RIGHT: ("right answer", 0.375, 0.75, 3, 3, 2, 0, 0, "unchanged"),
        OTHER: ("other answers", 0.625, 0.25, 0, 0, 2, 0, 0, "unchanged"),
        F7: ("new word", 0.875, 0.9375, 1, 1, 2, 0, 0, "unchanged"),
        F3: ("noun", 0.125, 0, 0.5, 0, 1, 1 / np.sqrt(2), 0, "unchanged"),
        NEW: ("new word", 0.875, 0.9375, 2 / 3, 4 / 3, 2, 0, 0, "strengthened"),
    }
    for at, values in expected.items():
        found = nodes.loc[at, ["token", "a", "b", "part_a", "part_b", "n", "spread_a", "spread_b", "status"]].tolist()
        assert found == [pytest.approx(v) if not isinstance(v, str) else v for v in values]
    assert nodes.loc[F3, "activation_a"] == 0.75  # 1.5 in one of two
    assert mean.a.tokens == ("<bos>", "noun", "new word")
    assert mean.a.key.prompt == "simple mapping · inference (2 prompts)"
    assert (mean.a.key.checkpoint, mean.b.key.checkpoint) == ("r@1%", "r@2%")
    assert mean.b.target_tokens == ("right answer", "other answers")
    np.testing.assert_allclose(mean.b.target_probability, [0.75, 0.25])
    # logits 3, 1 and 3, 2, 1: the others of the second prompt are log(e² + e)
    np.testing.assert_allclose(mean.a.target_logit, [3, (1 + np.log(np.e**2 + np.e)) / 2], rtol=1e-6)


def test_what_does_not_recur_is_left_out():
    mean = aggregate(by_hand(), recurring=0.75)
    assert set(mean.nodes.loc[mean.nodes["kind"] == "feature", "id"]) == {F7}
    assert set(mean.edges["source"]) == {F7, NEW}
    assert mean.edges["kept_a"].dtype == bool


def test_the_fit_is_the_mean():
    (first, one), (second, other) = by_hand()
    weak = replace(other.a, fit=Fit(replacement=0.5, completeness=0.6, error_share=0.4))
    fit = aggregate([(first, one), (second, replace(other, a=weak))]).a.fit
    assert (fit.replacement, fit.unexplained_variance) == (pytest.approx(0.7), 0.01)


def random_part(seed: int, *, n_logits: int = 2, same: bool = False, noun: str = "word1") -> tuple[Probe, GraphDiff]:
    a, b = (random_graph(seed + (0 if same else 1000) * side, n_logits=n_logits) for side in (0, 1))
    prompt, tokens = f"{noun} word2 word3", ("<bos>", noun, "word2", "word3")
    a, b = (
        replace(g, tokens=tokens, key=g.key.model_copy(update={"prompt": prompt, "checkpoint": name}))
        for g, name in ((a, "r@1%"), (b, "r@1%" if same else "r@2%"))
    )
    own = probe_of(prompt, "out0", template="{n} {w} word3", word="word2")
    return own, explaining(own, a, b, DiffSettings())


@pytest.mark.parametrize("seed", range(8))
def test_one_prompt_is_that_prompts_difference(seed):
    part = random_part(seed)
    mean, diff = aggregate([part]), part[1]
    ids = {i: "/".join([*i.split("/")[:3], "0"]) for i in diff.nodes.loc[diff.nodes["kind"] == "token", "id"]}
    ids |= {"logit/3/3/200": "logit/3/3/0", "logit/3/3/201": "logit/3/3/1"}
    for name, at in (("nodes", ["id"]), ("edges", ["source", "target"])):
        expected = getattr(diff, name).replace(dict.fromkeys(at, ids)).set_index(at).sort_index()
        found = getattr(mean, name).set_index(at).sort_index()
        same = [column for column in expected.columns if column not in ("index", "token")]
        pd.testing.assert_frame_equal(found[same], expected[same], check_dtype=False, rtol=1e-9, atol=1e-12)
        assert (found["n"] == 1).all()
        assert (found[["spread_a", "spread_b", "spread_change"]] == 0).all(axis=None)
    assert mean.summary.edges == diff.summary.edges
    assert mean.summary.edge_similarity == pytest.approx(diff.summary.edge_similarity)
    assert mean.a.tokens == ("<bos>", "noun", "new word", "word3")


def test_of_answers_of_several_tokens_the_first_is_explained():
    (cat, cats), (horse, horses) = by_hand()
    longer = [(cat.model_copy(update={"answer": "yes it does"}), cats), (horse, horses)]
    assert explained_in(cats.a, "yes it does") == explained_in(cats.a, "yes")
    assert aggregate(longer).edges.equals(aggregate(by_hand()).edges)
    assert aggregate(longer).a.target_logit.tolist() == aggregate(by_hand()).a.target_logit.tolist()


def test_the_order_of_prompts_changes_nothing():
    parts = [random_part(seed, n_logits=4, noun=f"noun{seed}") for seed in range(5)]
    one, other = aggregate(parts), aggregate([parts[i] for i in (3, 0, 4, 2, 1)])
    pd.testing.assert_frame_equal(one.nodes, other.nodes, check_exact=True)
    pd.testing.assert_frame_equal(one.edges, other.edges, check_exact=True)
    np.testing.assert_array_equal(one.a.weight, other.a.weight)


def test_a_side_against_itself_is_unchanged():
    mean = aggregate([random_part(seed, n_logits=4, same=True, noun=f"noun{seed}") for seed in range(5)])
    for table in (mean.nodes, mean.edges):
        assert set(table["status"]) == {"unchanged"}
        assert (table["spread_change"] == 0).all()
    assert (mean.edges["change"] == 0).all()
    assert mean.edges["spread_a"].max() > 0


@pytest.mark.parametrize("seed", range(3))
def test_contributions_add_up_to_the_mean_probability(seed):
    """Of the right answer, where nothing is pruned: all of its inputs have one sign."""
    parts = []
    for number in range(4):
        own, diff = random_part(10 * seed + number, noun=f"noun{number}")
        positive = [replace(g, weight=np.abs(g.weight)) for g in (diff.a, diff.b)]
        parts.append((own, diff_everything(*positive, diff.settings)))
    mean = aggregate(parts, recurring=0.0)
    into = mean.edges[mean.edges["target"] == "logit/3/3/0"]
    for side in "ab":
        expected = np.mean([getattr(diff, side).target_probability[0] for _, diff in parts])
        assert into[f"contribution_{side}"].sum() == pytest.approx(expected)
        assert into[f"share_{side}"].sum() == pytest.approx(1)
        nodes = mean.nodes.set_index("id")[side]
        product = mean.edges[f"share_{side}"].abs() * mean.edges["target"].map(nodes)
        np.testing.assert_allclose(product, mean.edges[f"contribution_{side}"], atol=1e-12)


def test_spreads_are_numpys():
    parts = [random_part(seed, noun=f"noun{seed}") for seed in range(6)]
    mean = aggregate(parts, recurring=0.0)
    row = mean.edges[(mean.edges["n"] > 1) & mean.edges["source"].str.startswith("feature")].iloc[0]
    target = {"logit/3/3/0": "logit/3/3/200", "logit/3/3/1": "logit/3/3/201"}.get(row["target"], row["target"])
    values: dict[str, list[float]] = {"a": [], "b": []}
    for _, diff in parts:
        found = diff.edges[(diff.edges["source"] == row["source"]) & (diff.edges["target"] == target)]
        for side, into in values.items():
            into.append(float(found[f"flow_{side}"].sum()))
    assert row["spread_a"] == pytest.approx(np.std(values["a"], ddof=1))
    assert row["spread_change"] == pytest.approx(np.std(np.subtract(values["b"], values["a"]), ddof=1))
    assert row["flow_b"] == pytest.approx(np.mean(values["b"])) != 0


def test_the_component_draws_a_mean_circuit():
    view = pair_view(aggregate([random_part(seed, n_logits=4, noun=f"noun{seed}") for seed in range(3)]))
    payload = view.payload()
    assert [column["token"] for column in payload["places"]["columns"]] == ["<bos>", "noun", "new word", "word3"]
    assert {bar["token"] for bar in payload["sides"][0]["bars"]} <= {"right answer", "other answers", "all others"}
    assert [node["token"] for node in view.nodes if node["answer"]] == ["right answer"]
    assert "simple mapping · inference (3 prompts)" in view.description


def test_a_splitting_tokenizer():
    """The new word is one token in one prompt and two in the other; its first tokens meet."""
    whole = graph("cat blarf", {"yes": 1.0}, [(4, 1, 1.0), (1, 5, 1.0)], checkpoint="r@1%")
    split = graph_of(
        [(F, 0, 2, 7), (F, 0, 3, 7), (T, -1, 0, 1), (T, -1, 1, 2), (T, -1, 2, 3), (T, -1, 3, 4), (Y, 1, 3, 20)],
        [(4, 0, 1.0), (0, 6, 1.0), (1, 6, 1.0), (5, 1, 1.0)],
        tokens=("<bos>", "cat", "blar", "f"),
        outputs=("yes",),
        probability=(1.0,),
        n_layers=1,
        checkpoint="r@1%",
        prompt="cat blarf",
    )
    own = probe_of("cat blarf", "yes")
    mean = aggregate([(own, diff_graphs(whole, whole, ALL)), (own, diff_graphs(split, split, ALL))])
    assert mean.a.tokens == ("<bos>", "noun", "new word", "last word")
    nodes = mean.nodes.set_index("id")
    assert nodes.loc["feature/0/2/7", "n"] == 1  # the first of two tokens
    assert nodes.loc["feature/0/3/7", "n"] == 2  # where the answer is predicted


def test_graphs_without_edges():
    part = random_part(0)
    empty = random_graph(0, density=0, n_logits=2)
    sides = [replace(empty, tokens=g.tokens, key=g.key) for g in (part[1].a, part[1].b)]
    mean = aggregate([(part[0], explaining(part[0], *sides))])
    assert mean.edges.empty
    assert set(mean.nodes["kind"]) == {"token", "logit"}


def test_the_headline_tells_averages():
    said = "".join(text for text, _ in headline(aggregate(by_hand())))
    assert said == (
        "On average over simple mapping · inference (2 prompts) the right answer gets 38% in A and 75% in B."
    )


def changed(part: tuple[Probe, GraphDiff], **key: str) -> tuple[Probe, GraphDiff]:
    a, b = (replace(g, key=g.key.model_copy(update=key)) for g in (part[1].a, part[1].b))
    return part[0], replace(part[1], a=a, b=b)


def test_what_cannot_be_averaged_is_refused():
    one, other = random_part(1, noun="cat"), random_part(2, noun="dog")
    with pytest.raises(InputError, match="no prompt"):
        aggregate([])
    refused = {
        "constraint types: “simple_mapping”, “spatial": (
            other[0].model_copy(update={"constraint_type": "spatial_relationship"}),
            other[1],
        ),
        "kinds: ": (other[0].model_copy(update={"kind": "recall"}), other[1]),
        "checkpoints as A": changed(other, checkpoint="r@3%"),
        "states of r@1%": changed(other, checkpoint_hash="1" * 16),
        "different transcoders": changed(other, transcoders_hash="another"),
        "depth": (other[0], replace(other[1], a=replace(other[1].a, n_layers=5))),
        "pruned differently": (other[0], explaining(other[0], other[1].a, other[1].b)),
        "right answer of each probe": (other[0].model_copy(update={"answer": "out1"}), other[1]),
        "of its own prompt": (other[0], one[1]),
    }
    for message, part in refused.items():
        with pytest.raises(ComparisonRefused, match=message):
            aggregate([one, part])
