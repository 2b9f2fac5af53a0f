"""All circuit change of a run: its tables, its notes, and what is done where something is missing."""

import numpy as np
import pytest

from engine.analysis.change import circuit_change
from engine.analysis.layers import layer_shares
from engine.analysis.noise_floor import noise_floor
from engine.analysis.prompt_circuits import PromptCircuit
from engine.analysis.readings import readings_of
from engine.analysis.run_changes import (
    CHANGE_COLUMNS,
    FIT_COLUMNS,
    FLOOR_COLUMNS,
    LAYER_COLUMNS,
    RunChanges,
    run_changes,
)
from engine.domain.errors import ComparisonRefused
from engine.domain.measures import MEASURES, Estimate
from engine.domain.series import Overlap
from tests.analysis.circuit_makers import SIMPLE, SPATIAL, around, by_hand, node, prompts, random_circuit

BOTH = [*prompts(2), *prompts(2, constraint_type=SPATIAL)]
Circuits = dict[int, list[PromptCircuit]]


def a_run(*steps: int, fit: float = 0.9) -> Circuits:
    rng = np.random.default_rng(0)
    return {step: [around(own, step, rng, fit=fit) for own in BOTH] for step in steps}


def pairs(found: RunChanges, constraint_type: str = SIMPLE) -> list[tuple[int, str, int]]:
    rows = found.changes[(found.changes["measure"] == "influence")]
    rows = rows[rows["constraint_type"] == constraint_type]
    return list(zip(rows["step"].tolist(), rows["to"].tolist(), rows["to_step"].tolist(), strict=True))


def test_every_step_beside_the_one_before_the_base_and_the_last():
    found = run_changes(a_run(0, 25, 50))
    expected = [(0, "last", 50), (25, "previous", 0), (25, "base", 0), (25, "last", 50)]
    expected += [(50, "previous", 25), (50, "base", 0)]
    assert pairs(found) == pairs(found, SPATIAL) == expected
    assert len(found.changes) == 2 * len(MEASURES) * len(expected)
    assert len(found.floors) == 2 * len(MEASURES) * 3
    assert len(found.fits) == 2 * 3
    assert found.notes == ()
    tables = (found.changes, found.floors, found.layers, found.fits)
    for table, columns in zip(tables, (CHANGE_COLUMNS, FLOOR_COLUMNS, LAYER_COLUMNS, FIT_COLUMNS), strict=True):
        assert tuple(table.columns) == columns


@pytest.mark.parametrize("left_out", [(), (0,), (1, 6)])
def test_equal_to_comparing_pair_by_pair(left_out):
    """The quick way (mean circuits made once, sums in blocks) against `circuit_change` on each pair, also where the
    second step lacks prompts."""
    circuits = {step: [random_circuit(step * 100 + row, own) for row, own in enumerate(BOTH)] for step in (0, 25, 50)}
    circuits[25] = [one for row, one in enumerate(circuits[25]) if row not in left_out]
    found = run_changes(circuits)
    for name in (SIMPLE, SPATIAL):
        own = {step: [c for c in side if c.probe.constraint_type == name] for step, side in circuits.items()}
        floors = {step: noise_floor(side) for step, side in own.items()}
        for step, to, other in pairs(found, name):
            there = {c.probe.id for c in own[step]} & {c.probe.id for c in own[other]}
            sides = [[c for c in own[s] if c.probe.id in there] for s in (other, step)]
            expected = circuit_change(sides[0], sides[1], (floors[other], floors[step]))
            rows = found.changes[(found.changes["step"] == step) & (found.changes["to"] == to)]
            rows = rows[rows["constraint_type"] == name].set_index("measure")
            assert set(rows["n"]) == {len(there)}
            for measure, change in expected.items():
                row = rows.loc[measure]
                got = (row["change"], row["low"], row["high"], row["edge"])
                assert got == pytest.approx((change.value, change.low, change.high, change.edge), abs=1e-12)
                assert row["said"] == change.said
        for step, side in own.items():
            shares = found.layers[(found.layers["step"] == step) & (found.layers["constraint_type"] == name)]["share"]
            assert tuple(shares) == layer_shares(side)


def test_order_does_not_matter():
    circuits = a_run(0, 25, 50)
    turned = {step: circuits[step][::-1] for step in (50, 0, 25)}
    for one, other in zip(vars(run_changes(circuits)).values(), vars(run_changes(turned)).values(), strict=True):
        assert one.equals(other) if hasattr(one, "equals") else one == other


def test_fits_are_those_of_the_worse_side():
    circuits = a_run(0) | {25: a_run(25, fit=0.85)[25]}
    found = run_changes(circuits)
    assert found.changes["fit"].tolist() == pytest.approx([0.85] * len(found.changes))
    assert found.fits["fit"].tolist() == pytest.approx([0.9, 0.85] * 2)
    assert found.notes == ()


def test_nothing_at_all():
    for found in (run_changes({}), run_changes({0: [], 25: []})):
        assert found.changes.empty
        assert found.fits.empty
        assert "No graph of this run" in found.notes[0]
        assert readings_of((0, 25), found) == {}


def test_one_checkpoint():
    found = run_changes(a_run(25))
    assert found.changes.empty
    assert len(found.floors) == 2 * len(MEASURES)
    assert len(found.notes) == 1
    assert "Only one checkpoint has graphs (step 25), and a change needs two" in found.notes[0]


def test_a_type_with_one_prompt():
    circuits = {step: [c for c in side if c.probe.constraint_type == SIMPLE] for step, side in a_run(0, 25).items()}
    rng = np.random.default_rng(1)
    for step, side in circuits.items():
        side.append(around(BOTH[-1], step, rng))
    found = run_changes(circuits)
    alone = found.changes[found.changes["constraint_type"] == SPATIAL]
    assert alone["edge"].isna().all()
    assert set(alone["said"]) == {"unclear"}
    assert (alone["low"] == alone["high"]).all()
    assert set(found.floors["constraint_type"]) == {SIMPLE}
    only = {step: [c for c in side if c.probe.constraint_type == SPATIAL] for step, side in circuits.items()}
    assert run_changes(only).changes["edge"].dtype == float
    assert found.notes == (
        "spatial relationship: only one prompt was traced, so there is no noise floor. Trace the run with at least 2 "
        "prompts of each type.",
    )


def test_missing_graphs():
    circuits = a_run(0, 25, 50)
    del circuits[25][0]
    found = run_changes(circuits)
    rows = found.changes[found.changes["constraint_type"] == SIMPLE]
    assert set(rows[(rows["step"] == 25) | (rows["to_step"] == 25)]["n"]) == {3}
    assert set(rows[(rows["step"] != 25) & (rows["to_step"] != 25)]["n"]) == {4}
    assert len(found.notes) == 1
    assert found.notes[0].startswith("1 of 24 graphs are missing or damaged.")
    assert run_changes(circuits, n_asked=30).notes[0].startswith("7 of 30 graphs")


def test_a_step_that_a_type_lacks_altogether():
    circuits = a_run(0, 25, 50)
    circuits[25] = [c for c in circuits[25] if c.probe.constraint_type == SIMPLE]
    found = run_changes(circuits)
    assert pairs(found, SPATIAL) == [(0, "last", 50), (50, "previous", 0), (50, "base", 0)]
    readings = readings_of((0, 25, 50), found)
    later = readings[50].of(SPATIAL)
    assert later is not None
    assert later.change == {}  # the capture before has none: a change since the base is not a change since then
    assert readings[25].of(SPATIAL) is None


def test_steps_without_a_common_prompt_are_not_compared():
    one, other = prompts(2, 1), prompts(4, 1)[2:]
    circuits = {0: [by_hand(own, {node(0, 1): 1}) for own in one], 25: [by_hand(own, {node(0, 1): 1}) for own in other]}
    found = run_changes(circuits)
    assert found.changes.empty
    assert "4 of 8 graphs are missing" in found.notes[0]


def test_a_run_without_its_base():
    found = run_changes(a_run(25, 50))
    assert "base" not in set(found.changes["to"])
    assert "nothing is compared with the base" in found.notes[0]


def test_all_graphs_below_the_fit_limit():
    found = run_changes(a_run(0, 25, fit=0.61))
    assert len(found.changes)  # it is computed all the same
    assert found.notes == (
        "The graphs explain too little of the model: the lowest mean replacement score is 0.61 (simple mapping, base), "
        "and 0.8 is needed. Train transcoders on this run, then trace it again.",
    )


def test_some_graphs_below_the_fit_limit():
    found = run_changes(a_run(0, 25) | {50: a_run(50, fit=0.7)[50]})
    assert found.notes == (
        "The graphs explain too little at step 50: the lowest mean replacement score is 0.70 (simple mapping, step 50)"
        "; 0.8 is needed. Train transcoders on this run, then trace it again.",
    )


def test_a_prompt_given_twice_and_models_of_other_depth_are_refused():
    circuits = a_run(0, 25)
    with pytest.raises(ComparisonRefused, match="At step 25 a prompt of simple_mapping is given twice"):
        run_changes(circuits | {25: [*circuits[25], circuits[25][0]]})
    with pytest.raises(ComparisonRefused, match="2 and 3 layers"):
        run_changes(circuits | {25: [random_circuit(1, own) for own in BOTH]})


def test_looks_have_what_the_tables_have():
    found = run_changes(a_run(0, 25, 50))
    estimate = Estimate(value=0.1, low=0, high=0.2)
    overlap = [
        Overlap(step=25, constraint_type=SIMPLE, layer=layer, own=0.5 + layer / 10, other=0.2, gap=estimate, n=4)
        for layer in (1, -1, 0)
    ]
    readings = readings_of((0, 25, 50, 75), found, overlap)
    assert list(readings) == [0, 25, 50]
    first, second = readings[0].of(SIMPLE), readings[25].of(SIMPLE)
    assert first is not None
    assert second is not None
    assert first.change == {}
    assert tuple(second.change) == tuple(second.floor) == MEASURES
    row = found.changes[(found.changes["step"] == 25) & (found.changes["to"] == "previous")].iloc[0]
    change = second.change["influence"]
    assert (change.value, change.low, change.high, change.edge) == tuple(row[["change", "low", "high", "edge"]])
    edge = found.floors[(found.floors["step"] == 25) & (found.floors["measure"] == "influence")]["edge"].iloc[0]
    assert second.floor["influence"].edge == edge
    assert (second.n_prompts, second.fit, second.lowest_fit) == (4, pytest.approx(0.9), 0.9)
    assert sum(second.layers) == pytest.approx(1)
    assert (second.own, second.other) == ((0.5, 0.6), (0.2, 0.2))  # by layer, without the one over all layers
    assert (first.own, first.other) == ((), ())
