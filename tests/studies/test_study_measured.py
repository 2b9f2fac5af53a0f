"""What a study measures of the components of a run, and that methods are compared at equal numbers of parameters."""

import numpy as np
import pandas as pd
import pytest

from engine.corpus import make_any
from engine.domain.components import ComponentKey, ComponentScores, ComponentShape, ScoreSettings
from engine.domain.corpus import Corpus, TaskSpec
from engine.domain.measures import Estimate
from engine.domain.methods import MethodSettings
from engine.domain.models import DEMO_MODEL
from engine.domain.runs import RunConfig
from engine.domain.studies import Grid, RunOutcome, Study, StudySpec
from engine.models.base import load_base
from engine.store import BUNDLED, Store
from engine.studies.measured import component_steps
from engine.studies.one import CorpusTexts, do_run
from engine.studies.spec import read_study, study_runs
from engine.studies.tables import CIRCUIT_COLUMNS, COMPONENT_COLUMNS, study_tables
from engine.training.methods import method_named
from tests.studies.fake_runs import Never

SHAPE = ComponentShape(n_layers=2, n_heads=3)
DEAD = {(SHAPE.mlp_input(1), 0): 3.0}  # nothing goes on from m1
FILE = BUNDLED.parent / "methods.yaml"


def scores(edges: dict[tuple[int, int], float]) -> ComponentScores:
    """Of (input, source): score."""
    groups = np.zeros((1, SHAPE.n_inputs, SHAPE.n_sources), dtype=np.float32)
    for (to, source), value in edges.items():
        groups[0, to, source] = value
    key = ComponentKey(checkpoint="r@base", checkpoint_hash="x", pairs="p", pairs_hash="y")
    one = np.ones(1)
    return ComponentScores(key, SHAPE, groups, one.astype(np.int64), one, one)


def test_the_change_of_a_circuit_worked_by_hand() -> None:
    """5 % of 75 edges are four, one of them dead. input -> m0 -> logits; then input -> a0.h0 (q and k) -> logits."""
    m0, head = SHAPE.mlp_source(0), SHAPE.head_source(0, 0)
    q, k = (SHAPE.head_input(0, 0, which) for which in (0, 1))
    assert SHAPE.n_edges == 75
    first = DEAD | {(SHAPE.mlp_input(0), 0): 1.0, (SHAPE.logits_input, m0): 1.0, (SHAPE.logits_input, 0): 1.0}
    second = DEAD | {(q, 0): 2.0, (k, 0): 2.0, (SHAPE.logits_input, head): -2.0}
    faithful = Estimate(value=0.5, low=0.4, high=0.6)
    base, end = component_steps({0: scores(first), 10: scores(second)}, faithful)
    assert (base.step, base.n_edges, base.n_nodes, base.edge_jaccard, base.faithfulness) == (0, 3, 3, None, None)
    assert (end.n_edges, end.n_nodes) == (2, 3)  # q and k are one; input, a0.h0, logits
    assert end.edge_jaccard == end.edge_jaccard_base == 0
    assert end.node_jaccard == end.node_jaccard_base == 2 / 4
    assert (end.edges_appeared, end.edges_vanished, end.nodes_appeared, end.nodes_vanished) == (2, 3, 1, 1)
    assert (end.delta_edges, end.delta_nodes) == (5 / 3, 2 / 3)
    assert end.layer_change == (1 + 2, 0)  # m0 lost 1, a0.h0 has 2; what leaves the input is in no layer
    assert end.faithfulness == faithful


def test_change_adds_up_from_capture_to_capture() -> None:
    m0 = SHAPE.mlp_source(0)
    here = DEAD | {(SHAPE.mlp_input(0), 0): 1.0, (SHAPE.logits_input, m0): 1.0, (SHAPE.logits_input, 0): 1.0}
    there = {(SHAPE.mlp_input(1), 0): 1.0, (SHAPE.logits_input, SHAPE.mlp_source(1)): 1.0, (SHAPE.logits_input, 0): 1.0}
    there |= {(SHAPE.mlp_input(0), 0): 1.0}  # dead here
    _, once, back = component_steps({0: scores(here), 1: scores(there), 2: scores(here)})
    assert (once.delta_edges, back.delta_edges) == (4 / 3, 8 / 3)
    assert (back.edge_jaccard, back.edge_jaccard_base) == (1 / 5, 1.0)


TASKS = (
    TaskSpec(name="whole", task="composition", n_retention=2),
    TaskSpec(name="sums", task="addition_subtraction", n_retention=2),
    TaskSpec(name="products", task="multiplication_division", n_retention=2),
)
# CircuitLoRA on the bundled model, its layers told by the union of two subtasks, with all that can be measured.
GRID = Grid(
    corpora=("whole",), methods=("circuit_lora",), rank=2, variant="union",
    settings=MethodSettings(critical_rank=8, prior=("sums", "products"), scoring=ScoreSettings(n_pairs=10)),
    measure=("circuits", "robustness", "union"),
)  # fmt: skip
SPEC = StudySpec(
    name="x", n_steps=4, capture_every=2, batch_size=4, scoring=ScoreSettings(n_pairs=15, n_groups=2), grids=(GRID,)
)


@pytest.fixture(scope="module")
def outcome() -> RunOutcome:
    (run,) = study_runs(SPEC)
    texts = CorpusTexts(jsonl={spec.name: make_any(spec).to_jsonl() for spec in TASKS})
    return RunOutcome.model_validate_json(do_run(run.model_dump_json(), texts.model_dump_json(), Never()))


def test_a_run_is_measured_where_it_was_trained(outcome: RunOutcome) -> None:
    assert outcome.measured == ("circuits", "robustness", "union")
    assert outcome.unmeasured.keys() <= {"robustness"}  # a random model's circuit may be empty
    assert [step.step for step in outcome.components] == [0, 2, 4]
    assert len(outcome.components[-1].layer_change) == 4
    assert outcome.union is not None
    assert {point.share for point in outcome.union.points} <= {0.01, 0.02, 0.03, 0.04, 0.05, 0.1}
    assert len(outcome.union.parts) == 2
    assert set(outcome.prior_hashes) == {"sums", "products"}


def test_what_it_cost_is_told(outcome: RunOutcome) -> None:
    assert len(outcome.critical_layers) == 1
    assert outcome.n_trainable == 11776 // 4 * (3 * 2 + 8)  # a rank of all linear layers of one layer: 2,944
    assert outcome.n_moved is not None
    assert 0 < outcome.n_moved <= outcome.n_trainable
    assert 0 < outcome.prepared_s < outcome.train_s
    assert outcome.config.method_settings.critical_layers == ()  # as it was asked for


def test_its_rows_in_the_tables(outcome: RunOutcome) -> None:
    tables = study_tables([outcome], SPEC)
    (row,) = tables.runs.to_dict("records")
    assert (row["variant"], row["stage"], row["rank"], row["n_trainable"]) == ("union", "grid", 2, 41216)
    assert 0 <= row["accuracy"] <= 1
    assert row["retained_base"] == 1.0
    assert row["command"].endswith("--critical-rank 8 --prior sums --prior products")
    assert tuple(tables.components.columns) == COMPONENT_COLUMNS
    assert list(tables.components["step"]) == [0, 2, 4]
    assert len(tables.components["layer_change"].iloc[-1].split()) == 4
    assert tuple(tables.circuits.columns) == CIRCUIT_COLUMNS
    unions = tables.circuits[tables.circuits["kind"] == "union"]
    assert outcome.union is not None
    assert len(unions) == 4 * len(outcome.union.points)
    if outcome.robustness is not None:
        robust = tables.circuits[tables.circuits["kind"] == "robustness"]
        assert len(robust) == 3 * 2 * 10  # subjects, nodes and edges, fifths and nine levels


def test_they_come_back_from_the_store_as_they_were(outcome: RunOutcome, store: Store) -> None:
    tables = study_tables([outcome], SPEC)
    store.save_study(Study(spec=SPEC, n_runs=1), tables)
    again = store.study_tables("x")
    for name in ("runs", "components", "circuits"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(tables, name), check_dtype=False)


def test_the_compared_methods_train_equally_many_parameters() -> None:
    """What the file says of LoRA, AdaLoRA, CircuitLoRA and random layers, counted on the bundled model."""
    runs = [run for run in study_runs(read_study(FILE)) if run.stage == "grid" and run.config.seed == 0]
    counts = {
        (run.config.corpus, run.config.method, run.variant): n_trainable(run.config)
        for run in runs
        if run.config.method in ("lora", "adalora", "circuit_lora", "random_lora") and run.config.corpus != "add-sub"
    }
    assert len(counts) == 3 * 4 + 1
    assert {count for (_, method, _), count in counts.items() if method != "adalora"} == {164_864}
    assert {count for (_, method, _), count in counts.items() if method == "adalora"} == {164_864 + 392}


def n_trainable(config: RunConfig) -> int:
    loaded = load_base(DEMO_MODEL, BUNDLED / "base")
    method = method_named(config.method)
    settings = config.method_settings.model_copy(update={"critical_layers": (2,)})  # as many, whichever they are
    config = config.model_copy(update={"method_settings": settings})
    tuned = method.attach(loaded.model, config, loaded.tokenizer, Corpus("none", (), ()))
    return sum(p.numel() for p in tuned.parameters() if p.requires_grad)
