"""Component scores and circuit reports: kept exactly, listed by run, removed with it, told where they are damaged."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from engine.domain.components import (
    CircuitReport,
    ComponentKey,
    ComponentScores,
    ComponentShape,
    CurvePoint,
    CurveReport,
    Likeness,
    RobustnessReport,
    ScoreSettings,
    SubjectRobustness,
    UnionReport,
)
from engine.domain.errors import Damaged, NotFound
from engine.domain.measures import Estimate
from engine.store import Store
from tests.store.artefacts import add_run

SHAPE = ComponentShape(n_layers=2, n_heads=2)


def key(checkpoint: str = "one@base", *, seed: int = 0) -> ComponentKey:
    return ComponentKey(
        checkpoint=checkpoint, checkpoint_hash="c", pairs="words", pairs_hash="w", settings=ScoreSettings(seed=seed)
    )


def scores(made_by: ComponentKey | None = None, *, shape: ComponentShape = SHAPE, n_groups: int = 2) -> ComponentScores:
    rng = np.random.default_rng(0)
    groups = rng.standard_normal((n_groups, shape.n_inputs, shape.n_sources), np.float32) * shape.edge_mask()
    return ComponentScores(
        key=made_by or key(),
        shape=shape,
        groups=groups,
        n_pairs=np.arange(1, n_groups + 1),
        clean=rng.standard_normal(n_groups),
        corrupted=rng.standard_normal(n_groups),
    )


def curve(of: ComponentKey | None = None, *, share: float = 0.05) -> CurveReport:
    point = CurvePoint(
        share=share, n_asked=5, n_edges=3, n_nodes=2, faithfulness=Estimate(value=0.5, low=-0.1, high=1.2)
    )
    return CurveReport(key=of or key(), points=(point,))


def robustness(of: ComponentKey | None = None) -> RobustnessReport:
    alike = Likeness(nodes=Estimate(value=0.5, low=0.4, high=0.6), edges=Estimate(value=0.3, low=0.2, high=0.4), n=10)
    subject = SubjectRobustness(subject="tuned", fifths=alike, perturbed=())
    return RobustnessReport(key=of or key(), share=0.05, subjects=(subject,))


def union(of: ComponentKey, *parts: ComponentKey) -> UnionReport:
    return UnionReport(key=of, parts=parts, points=())


def file_of(store: Store, made: ComponentScores | CircuitReport) -> Path:
    if isinstance(made, ComponentScores):
        return store.workspace / "components" / f"{made.key.hash}.safetensors"
    return store.workspace / "circuits" / f"{made.hash}.json"


@pytest.mark.parametrize("shape", [SHAPE, ComponentShape(n_layers=3, n_heads=1, parallel=True)])
def test_scores_come_back_to_the_bit(store: Store, shape: ComponentShape) -> None:
    made = scores(shape=shape)
    store.save_components(made)
    found = store.components(made.key.hash)
    assert (found.key, found.shape) == (made.key, shape)
    for name in ("groups", "n_pairs", "clean", "corrupted"):
        one, other = getattr(found, name), getattr(made, name)
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)
    assert np.array_equal(found.scores, made.scores)
    before = file_of(store, made).read_bytes()
    store.save_components(found)
    assert file_of(store, made).read_bytes() == before  # the same scores, the same bytes
    assert store.check() == []


def test_lists_are_of_one_run_and_newest_first(store: Store) -> None:
    keys = [key("one@base"), key("one@50%"), key("two@base"), key("one@50%", seed=1)]
    for age, each in enumerate(keys):
        made, report = scores(each), curve(each)
        store.save_components(made)
        store.save_circuit_report(report)
        for path in (file_of(store, made), file_of(store, report)):
            os.utime(path, ns=(age * 10**9, age * 10**9))
    store.sync()
    assert store.component_keys() == keys[::-1]
    assert store.component_keys("one") == [keys[3], keys[1], keys[0]]
    assert store.component_keys("nobody") == []
    assert [report.key for report in store.circuit_reports()] == keys[::-1]
    assert [report.key for report in store.circuit_reports("two")] == [keys[2]]
    assert store.rebuild() == 8
    assert store.component_keys("one") == [keys[3], keys[1], keys[0]]


def test_reports_of_every_kind_come_back_as_what_they_are(store: Store) -> None:
    made = [curve(), robustness(), union(key(), key("two@base"), key("two@50%"))]
    for report in made:
        store.save_circuit_report(report)
        assert store.circuit_report(report.hash) == report
    assert {report.kind for report in store.circuit_reports("one")} == {"curve", "robustness", "union"}
    store.save_circuit_report(curve(share=0.1))  # made again: one of each kind and key
    assert len(store.circuit_reports()) == 3
    assert store.circuit_report(curve().hash) == curve(share=0.1)
    assert store.check() == []


def test_what_is_not_there_is_said(store: Store) -> None:
    with pytest.raises(NotFound, match="0123"):
        store.components("0123")
    with pytest.raises(NotFound, match="0123"):
        store.circuit_report("0123")


def test_a_deleted_run_takes_its_circuits_along(store: Store) -> None:
    add_run(store, "one")
    add_run(store, "other")
    reports = [curve(key("other@base")), union(key("other@50%"), key("other@base"), key("other@100%"))]
    gone = [curve(key("one@base")), union(key("other@base"), key("other@50%"), key("one@base"))]
    for checkpoint in ("one@base", "one@50%", "other@base"):
        store.save_components(scores(key(checkpoint)))
    for report in (*reports, *gone):
        store.save_circuit_report(report)
    store.delete_run("one")
    assert store.component_keys() == [key("other@base")]
    assert {report.hash for report in store.circuit_reports()} == {report.hash for report in reports}
    assert store.check() == []


def test_the_bundled_ones_are_seen_and_stay(tmp_path: Path) -> None:
    demo = Store(tmp_path / "demo", bundled=None)
    demo.save_components(scores())
    demo.save_circuit_report(curve())
    own = Store(tmp_path / "own", bundled=tmp_path / "demo")
    own.save_components(scores(key("one@50%")))
    assert own.component_keys("one") == [key("one@50%"), key()]
    assert own.circuit_reports("one") == [curve()]
    assert np.array_equal(own.components(key().hash).groups, scores().groups)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def to_array(path: Path) -> None:
    path.write_text("[]", encoding="utf-8")


def renamed(path: Path) -> None:
    path.rename(path.with_stem("0" * 20))


@pytest.mark.parametrize("damage", [truncated, emptied, to_array, renamed])
@pytest.mark.parametrize("made", [scores(), curve(), union(key(), key("one@50%"), key("one@100%"))])
def test_damaged_files_are_told_and_in_no_list(
    store: Store, made: ComponentScores | CircuitReport, damage: Callable[[Path], None]
) -> None:
    if isinstance(made, ComponentScores):
        store.save_components(made)
    else:
        store.save_circuit_report(made)
    folder = file_of(store, made).parent
    damage(file_of(store, made))
    [path] = folder.iterdir()
    again = Store(store.workspace, bundled=None)
    assert again.component_keys() == again.circuit_reports() == []
    assert [problem.path for problem in again.unreadable()] == [path]
    assert path in [problem.path for problem in again.check()]
    with pytest.raises((Damaged, NotFound)):
        again.components(made.key.hash) if isinstance(made, ComponentScores) else again.circuit_report(made.hash)


def rewritten(path: Path, *, header: dict[str, object] | None = None, **arrays: np.ndarray | None) -> None:
    """The file with parts of its header and arrays replaced (None: left out)."""
    with safe_open(path, framework="np") as file:
        old = json.loads(file.metadata()["components"])
        kept = {name: file.get_tensor(name) for name in file.keys()} | arrays  # noqa: SIM118 - no mapping
    save_file(
        {name: array for name, array in kept.items() if array is not None},
        path,
        metadata={"components": json.dumps(old | (header or {}))},
    )


def _with(array: np.ndarray, value: float) -> np.ndarray:
    array = array.copy()
    array.flat[0] = value
    return array


EDGES = scores().groups[:, SHAPE.edge_mask()]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"edges": EDGES[:, :-1]}, "edges has shape"),
        ({"edges": EDGES[:0]}, "edges has shape"),
        ({"edges": EDGES.ravel()}, "edges has shape"),
        ({"edges": EDGES.astype(np.float64)}, "edges is float64, expected float32"),
        ({"edges": _with(EDGES, np.nan)}, "edges has values that are not finite"),
        ({"edges": None}, "it has no edges"),
        ({"n_pairs": np.array([1, -1])}, "fewer than no pairs"),
        ({"n_pairs": np.array([0, 0])}, "all together need one"),
        ({"clean": np.zeros(3)}, r"clean has shape \(3,\), expected \(2,\)"),
        ({"corrupted": np.array([0, np.inf])}, "corrupted has values that are not finite"),
        ({"header": {"shape": {"n_layers": 3, "n_heads": 2}}}, "edges has shape"),
        ({"header": {"shape": {"n_layers": 10**12, "n_heads": 10**12}}}, "edges has shape"),  # makes nothing so large
        ({"header": {"shape": {"n_layers": 0, "n_heads": 2}}}, "metadata is not that of component scores"),
        ({"header": {"key": {}}}, "metadata is not that of component scores"),
        ({"header": {"more": 1}}, "metadata is not that of component scores"),
        ({"header": {"key": json.loads(key(seed=1).to_json())}}, "its name is not the hash"),
    ],
)
def test_hostile_files_are_refused(store: Store, changed: dict[str, object], reason: str) -> None:
    store.save_components(scores())
    rewritten(file_of(store, scores()), **changed)  # type: ignore[arg-type]
    with pytest.raises(Damaged, match=reason):
        store.components(key().hash)


def test_scores_that_contradict_themselves_are_never_written(store: Store) -> None:
    made = scores()
    outside, small = made.groups.copy(), made.groups[:, :-1]
    outside[0, 0, -1] = 1.0  # the last MLP feeds no head of the first layer
    for groups in (outside, small, np.full_like(made.groups, np.nan) * SHAPE.edge_mask()):
        with pytest.raises(ValueError, match=r"no edge|have shape|not finite"):
            store.save_components(ComponentScores(**(vars(made) | {"groups": groups})))
    assert not list(store.workspace.glob("components/*"))
