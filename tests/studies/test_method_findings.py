"""Every question of a study of methods gets the verdict that its rule states, on studies whose truth is known."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from engine.domain.studies import Finding, Study, StudyTables
from engine.store import Store
from engine.studies.findings import METHOD_QUESTIONS, QUESTIONS, findings
from tests.studies.made_methods import COMMAND, SPEC, Truth, figure, found, method_tables


def better(method: str, by: float, column: str = "accuracy", *, spread: float = 0.005, not_on: str = "") -> Truth:
    """`method` is better than all others by so much, but as much worse on the task `not_on`."""

    def truth(corpus: str, name: str, variant: str, seed: int, rng: np.random.Generator) -> dict[str, object]:
        gain = (-by if corpus == not_on else by) if name == method and not variant else 0.0
        return {column: 0.5 + gain + spread * rng.normal()}

    return truth


@pytest.mark.parametrize(
    ("truth", "verdict"),
    [
        (better("circuit_lora", 0.05), "yes"),
        (better("circuit_lora", 0.05, not_on="demo"), "partly"),
        (better("circuit_lora", 0.0), "no"),  # the published gain is ruled out
        (better("circuit_lora", -0.05), "no"),
    ],
)
def test_circuit_lora_against_lora_and_random_layers(truth: Truth, verdict: str) -> None:
    made = method_tables(truth)
    finding, layers = found("circuit_lora", made), found("circuit_layers", made)
    assert finding.verdict == layers.verdict == verdict
    assert [one.name for one in finding.figures] == ["all tasks", "add-sub", "mul-div", "composition", "demo"]
    assert (finding.figures[0].n, finding.figures[0].published) == (20, 0.0246)
    assert [one.name for one in layers.figures if one.drawn] == ["all draws", *(f"layer {n}" for n in range(1, 6))]
    assert (layers.figures[0].n, layers.figures[0].published) == (5, None)  # draws, not runs


def test_runs_that_differ_too_much_tell_nothing() -> None:
    assert found("circuit_lora", method_tables(better("circuit_lora", 0.0, spread=0.2))).verdict == "inconclusive"


def test_a_difference_is_paired_by_task_and_seed() -> None:
    """Tasks and seeds differ by far more than the methods: the interval does not see it."""

    def truth(corpus: str, name: str, variant: str, seed: int, rng: np.random.Generator) -> dict[str, object]:
        return {"accuracy": 0.1 * seed + (0.3 if corpus == "demo" else 0.0) + (0.03 if name == "circuit_lora" else 0)}

    every = found("circuit_lora", method_tables(truth)).figures[0]
    assert (every.value, every.low, every.high) == (0.03, 0.03, 0.03)


def test_two_different_draws_of_layers_tell_nothing_however_many_runs_share_them() -> None:
    """As in the bundled study: seed 0 drew one layer, all other seeds another, each for all tasks."""

    def truth(corpus: str, name: str, variant: str, seed: int, rng: np.random.Generator) -> dict[str, object]:
        drawn = {"critical_layers": "1" if seed else "3"} if name == "random_lora" else {}
        return drawn | {"accuracy": 0.5 + (0.1 if name == "circuit_lora" else 0.0) + 0.005 * rng.normal()}

    finding = found("circuit_layers", method_tables(truth))
    assert finding.verdict == "inconclusive"
    assert "The circuit always named layer 0, and chance drew only layer 1 and layer 3" in finding.answer
    assert [(one.name, one.n) for one in finding.figures[:3]] == [("all draws", 2), ("layer 1", 16), ("layer 3", 4)]
    assert figure(finding, "layer 1").value == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(
    ("key", "column"), [("circuit_tuning_task", "accuracy"), ("circuit_tuning_retained", "retained")]
)
def test_circuit_tuning_against_lora(key: str, column: str) -> None:
    for by, verdict in ((0.1, "yes"), (-0.1, "no"), (0.0, "no")):
        finding = found(key, method_tables(better("circuit_tuning", by, column)))
        assert finding.verdict == verdict
        assert finding.figures[0].value == pytest.approx(by, abs=0.01)


def test_what_each_moved_stands_beside_it() -> None:
    def truth(corpus: str, name: str, variant: str, seed: int, rng: np.random.Generator) -> dict[str, object]:
        return {"n_moved": 800_000.0} if name == "circuit_tuning" else {}

    finding = found("circuit_tuning_task", method_tables(truth))
    assert figure(finding, "circuit-tuning", "parameters, moved").value == 800_000
    assert figure(finding, "LoRA", "parameters, moved").value == 164_864


def test_a_gain_with_more_parameters_is_only_partly_one() -> None:
    def truth(corpus: str, name: str, variant: str, seed: int, rng: np.random.Generator) -> dict[str, object]:
        gain = {"n_moved": 800_000.0, "accuracy": 0.6} if name == "circuit_tuning" else {"accuracy": 0.5}
        return gain | {"accuracy": float(gain["accuracy"]) + 0.005 * rng.normal()}

    finding = found("circuit_tuning_task", method_tables(truth))
    assert finding.verdict == "partly"
    assert "4.9 times as many parameters" in finding.answer


@pytest.mark.parametrize(
    ("jaccard", "verdict"),
    [
        ((0.8, 0.4), "yes"),
        ((0.95, 0.4), "yes"),
        ((0.6, 0.4), "no"),  # more than half of the nodes, but fewer than two circuits of the base share
        ((0.8, 0.7), "no"),  # as alike as circuits of the base
        ((0.8, 0.9), "no"),
    ],
)
def test_nodes_stay_while_edges_change(jaccard: tuple[float, float], verdict: str) -> None:
    """Circuits of the base on other data share 0.8 of their nodes and 0.7 of their edges."""
    finding = found("nodes_stay", method_tables(jaccard=jaccard))
    assert finding.verdict == verdict
    drawn = {one.unit: one.null for one in finding.figures if one.drawn and one.name == "demo"}
    assert list(drawn.values()) == pytest.approx([0.8, 0.7], abs=0.02)
    units = {one.unit: one for one in finding.figures if one.name == "all runs"}
    assert [one.published for one in units.values()] == [0.8, 0.4, 0.22, 0.82]
    assert units["Jaccard with the base, nodes"].value == pytest.approx(jaccard[0], abs=0.01)
    assert units["change over the run, nodes"].value == pytest.approx(0.2, abs=0.01)  # of the last capture, not before
    assert figure(finding, "demo, Circuit-tuning").n == 5


def test_nodes_that_stay_in_one_task_of_four() -> None:
    unlike = dict.fromkeys(("add-sub", "mul-div", "composition"), (0.3, 0.3))
    finding = found("nodes_stay", method_tables(unlike=unlike))
    assert finding.verdict == "partly"
    assert "in 1 of 4 tasks (demo)" in finding.answer


@pytest.mark.parametrize(
    ("faithful", "by", "verdict"),
    [
        ((0.8, 0.8), 0.0, "yes"),
        ((0.4, 0.8), 0.0, "partly"),
        ((0.8, 0.8), -0.2, "partly"),
        ((0.0, 0.0), -0.2, "inconclusive"),  # there is no circuit to stand in for
        ((0.4, 0.8), -0.2, "no"),
    ],
)
def test_the_union_in_place_of_the_direct_circuit(faithful: tuple[float, float], by: float, verdict: str) -> None:
    def truth(corpus: str, name: str, variant: str, seed: int, rng: np.random.Generator) -> dict[str, object]:
        return {"accuracy": 0.5 + (by if variant else 0.0) + 0.005 * rng.normal()}

    finding = found("union", method_tables(truth, faithful=faithful))
    assert finding.verdict == verdict
    union = [one for one in finding.figures if one.unit == "faithfulness, union of the subtasks"]
    assert [one.name for one in union] == ["1%", "2%", "3%", "4%", "5%", "10%"]
    assert [one.published for one in union] == [0.674, 0.794, 0.837, 0.872, 0.892, 0.897]
    assert union[4].value == pytest.approx(faithful[0], abs=0.02)
    assert figure(finding, "union minus direct").value == pytest.approx(by, abs=0.01)
    assert "share 0.80 (0.80 to 0.80, n = 5) of their nodes and 0.50" in " ".join(finding.details)


def test_a_prior_that_names_the_same_layers_was_not_tested() -> None:
    finding = found("union", method_tables(lambda *_: {"critical_layers": "0"}, faithful=(0.4, 0.8)))
    assert finding.verdict == "no"
    assert "named the same layers in all 5 runs, so this use was not tested" in " ".join(finding.details)
    assert "union minus direct" not in [one.name for one in finding.figures]


@pytest.mark.parametrize(
    ("robust", "perturbed", "verdict"),
    [
        ((0.7, 0.4, 0.1), (0.7, 0.4, 0.1), "yes"),
        ((0.3, 0.2, 0.1), (0.3, 0.2, 0.1), "yes"),  # how high it is does not matter, only what it exceeds
        ((0.6, 0.5, 0.25), (0.68, 0.71, 0.67), "partly"),  # as in the bundled study
        ((0.9, 0.9, 0.8), (0.9, 0.9, 0.9), "no"),  # high, but no higher than without training
        ((0.2, 0.4, 0.4), (0.2, 0.4, 0.4), "no"),
    ],
)
def test_robustness_is_compared_with_the_base_and_with_random_weights(
    robust: tuple[float, float, float], perturbed: tuple[float, float, float], verdict: str
) -> None:
    finding = found("edge_robustness", method_tables(robust=robust, perturbed=perturbed))
    assert finding.verdict == verdict
    random = figure(finding, "random weights", "Jaccard of edges, other data")
    assert (random.value, random.null) == (pytest.approx(robust[2], abs=0.01), None)
    tuned = figure(finding, "tuned", "Jaccard of edges, perturbed inputs")
    assert tuned.value == pytest.approx(perturbed[0], abs=0.01)
    assert tuned.null == pytest.approx(max(perturbed[1:]), abs=0.01)


@pytest.mark.parametrize("question", METHOD_QUESTIONS)
def test_a_study_without_the_data_says_what_to_add(question: Callable[..., Finding]) -> None:
    whole = method_tables()
    ia3 = StudyTables(whole.runs.assign(method="ia3"), whole.captures)
    finding = question(ia3, SPEC, COMMAND)
    assert finding.verdict == "inconclusive"
    assert "Add " in finding.answer
    assert finding.command == COMMAND


def test_tables_without_rows_or_columns_break_nothing() -> None:
    whole = method_tables()
    empty = StudyTables(*(getattr(whole, n).iloc[:0] for n in ("runs", "captures", "components", "circuits")))
    bare = StudyTables(pd.DataFrame(), pd.DataFrame())
    searching = StudyTables(whole.runs.iloc[:1], whole.captures, whole.components, whole.circuits)
    for made in (empty, bare, searching):
        said = findings(made, SPEC, command=COMMAND)
        assert [one.verdict for one in said] == ["inconclusive"] * len(METHOD_QUESTIONS)


@pytest.mark.parametrize("n_seeds", [1, 2])
def test_few_runs_tell_nothing_of_single_tasks(n_seeds: int) -> None:
    for finding in findings(method_tables(n_seeds=n_seeds), SPEC, command=COMMAND):
        assert finding.answer.endswith(".")
        for one in finding.figures:
            assert one.n >= 4 or one.low is None


def test_runs_that_are_all_equal_warn_of_nothing() -> None:
    said = findings(method_tables(spread=0.0), SPEC, command=COMMAND)
    assert len(said) == len(METHOD_QUESTIONS) == 7
    assert next(one for one in said if one.key == "circuit_lora").verdict == "no"


def test_a_study_answers_the_questions_that_it_asks(store: Store) -> None:
    made = method_tables()
    said = findings(made, SPEC, command=COMMAND)
    assert len(findings(made, SPEC.model_copy(update={"asks": "learning"}), command=COMMAND)) == len(QUESTIONS)
    for finding in said:
        assert finding.question.endswith("?")
        assert Finding.model_validate_json(finding.model_dump_json()) == finding
    store.save_study(Study(spec=SPEC, n_runs=len(made.runs), findings=said), made)
    assert findings(store.study_tables("methods"), SPEC, command=COMMAND) == said
