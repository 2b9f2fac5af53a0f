"""The sentence is true whatever the two sides say."""

from dataclasses import replace

import numpy as np
import pytest

from engine.analysis.diff import diff_graphs
from engine.analysis.headline import headline
from engine.domain.corpus import Probe
from engine.domain.diffs import GraphDiff
from tests.analysis.micro_graphs import E, T, Y, graph_of, probe

OUTPUTS = ("smiles", "laughs", "feels", "cries")


def diff(a: tuple[float, ...], b: tuple[float, ...], prompt: str = "the cat feels blarf and") -> GraphDiff:
    nodes = [(E, 0, 0, 0), (T, -1, 0, 1), *((Y, 1, 0, 20 + row) for row in range(len(OUTPUTS)))]
    edges = [(1, 2 + row, 1.0) for row in range(len(OUTPUTS))]
    sides = [
        graph_of(
            nodes, edges, tokens=("<bos>",), outputs=OUTPUTS, probability=p, n_layers=1, prompt=prompt, checkpoint=name
        )
        for name, p in (("one@base", a), ("two@base", b))
    ]
    return diff_graphs(*sides)


def said(a: tuple[float, ...], b: tuple[float, ...], known: Probe | None) -> str:
    return "".join(text for text, _ in headline(diff(a, b), known))


BLARF = probe("the cat feels blarf and", "smiles", ("cries",))
RIGHT, WRONG, TIED, OTHER = (0.9, 0.02, 0.03, 0.0), (0.04, 0.05, 0.83, 0), (0.34, 0.36, 0.02, 0), (0.012, 0.9, 0, 0)


@pytest.mark.parametrize(
    ("a", "b", "sentence"),
    [
        (RIGHT, RIGHT, "Both sides expect the right answer, smiles (A 90%; B 90%)."),
        (WRONG, RIGHT, "Only B expects the right answer, smiles (90%). A says feels and gives smiles 4%."),
        (RIGHT, WRONG, "Only A expects the right answer, smiles (90%). B says feels and gives smiles 4%."),
        (
            WRONG,
            TIED,
            "Only B expects the right answer, smiles (34%, close behind laughs). A says feels and gives smiles 4%.",
        ),
        (
            TIED,
            TIED,
            "Both sides expect the right answer, smiles (A 34%, close behind laughs; B 34%, close behind laughs).",
        ),
        (WRONG, WRONG, "Neither side expects the right answer, smiles (A 4%, B 4%): both say feels."),
        (WRONG, OTHER, "Neither side expects the right answer, smiles (A 4%, B 1%): A says feels, B says laughs."),
        (
            (0.002, 0.0, 0.004, 0.001),
            (0.996, 0, 0, 0),
            "Only B expects the right answer, smiles (>99%). A says feels and gives smiles <1%.",
        ),
    ],
)
def test_every_case_with_a_probe(a, b, sentence):
    assert said(a, b, BLARF) == f"blarf stands for happy. {sentence}"


def test_a_meaning_that_is_the_answer_is_not_what_the_word_stands_for():
    """Imported probes may ask where an animal lives: it is no river."""
    home = BLARF.model_copy(update={"meaning": "Smiles", "answer": " smiles"})
    assert said(WRONG, RIGHT, home).startswith("Only B expects the right answer, smiles")


def test_without_a_probe():
    assert said(WRONG, WRONG, None) == "Both sides expect feels most (A 83%, B 83%)."
    assert said(WRONG, OTHER, None) == "The two sides continue differently: A says feels, B says laughs."
    assert said(TIED, OTHER, None) == "Both sides expect laughs most (A 36%, B 90%)."


def test_a_probe_that_does_not_belong_is_not_used():
    other_prompt = probe("the dog feels blarf and", "smiles")
    untraced = probe("the cat feels blarf and", "sings")
    for known in (other_prompt, untraced):
        assert said(WRONG, OTHER, known) == said(WRONG, OTHER, None)


def test_of_an_answer_of_several_tokens_the_first_is_named():
    longer = probe("the cat feels blarf and", "smiles a lot")
    assert said(WRONG, RIGHT, longer) == (
        "blarf stands for happy. Only B expects the first token of the right answer “smiles a lot”, smiles (90%). "
        "A says feels and gives smiles 4%."
    )


def test_retention_has_no_premise():
    known = probe("the cat feels blarf and", "smiles", kind="retention")
    assert said(RIGHT, RIGHT, known).startswith("Both sides")


def test_emphasis_marks_words_only():
    pieces = headline(diff(WRONG, TIED), BLARF)
    assert [text for text, strong in pieces if strong] == ["blarf", "happy", "smiles", "feels"]


def test_markup_in_tokens_stays_text():
    graphs = diff(WRONG, OTHER)
    hostile = ("<script>", "**x**", "<b>hi</b>", "[a](javascript:1)")
    marked = replace(graphs, a=replace(graphs.a, target_tokens=hostile), b=replace(graphs.b, target_tokens=hostile))
    assert ("“<b>hi</b>”", True) in headline(marked, None)


@pytest.mark.parametrize("seed", range(30))
def test_who_is_said_to_be_right_is_right(seed):
    rng = np.random.default_rng(seed)
    a, b = (tuple(rng.dirichlet(np.ones(4) * 0.5).tolist()) for _ in range(2))
    sentence = said(a, b, BLARF)
    near = [p[0] >= 0.6 * max(p) for p in (a, b)]
    expected = {(True, True): "Both", (True, False): "Only A", (False, True): "Only B", (False, False): "Neither"}
    assert sentence.startswith(f"blarf stands for happy. {expected[near[0], near[1]]}")
    for p, name in ((a, "A"), (b, "B")):
        if f"{name} says " in sentence:
            assert sentence.split(f"{name} says ")[1].startswith(OUTPUTS[int(np.argmax(p))])
