"""Learning rates are searched first, equally for all; what is found decides the runs that are compared."""

from pathlib import Path
from typing import Any

import pytest

from engine.domain.corpus import SIMPLE, TaskSpec
from engine.domain.decisions import Capture, TypeScore
from engine.domain.errors import InputError
from engine.domain.methods import METHOD_INFOS, MethodSettings
from engine.domain.studies import Grid, RateSearch, RunOutcome, StudyRun, StudySpec
from engine.store import Store
from engine.studies.execute import run_study
from engine.studies.search import accuracy, found_rates, retained
from engine.studies.spec import read_study, search_key, study_runs
from engine.studies.tables import study_tables
from tests.studies.fake_runs import Never, order_corpus, pids

OWN = METHOD_INFOS["lora"].default_learning_rate
SEARCH = RateSearch(factors=(0.5, 1, 2), seeds=(10, 11))


def spec_of(*grids: Grid, **settings: Any) -> StudySpec:
    return StudySpec(name="x", n_steps=4, capture_every=2, search=SEARCH, grids=grids, **settings)


def score(kind: Any, n_correct: int, n: int = 10) -> TypeScore:
    return TypeScore(constraint_type=SIMPLE, probe_kind=kind, n=n, n_correct=n_correct, mean_p=0.5)


def outcome(run: StudyRun, n_correct: int, loss: float | None = 1.0) -> RunOutcome:
    end = Capture(step=4, smoothed_loss=loss, scores=(score("recall", n_correct),))
    return RunOutcome(
        config=run.config, captures=(end,), n_steps=4, stopped_at=None, train_s=1, look_s=0, refresh_s=0, waited_s=0
    )


def test_every_way_to_train_tries_the_same_multiples_on_seeds_of_its_own() -> None:
    runs = study_runs(spec_of(Grid(methods=("lora", "full"), seeds=(0, 1), search=True)))
    assert [run.name for run in runs] == [
        *(f"demo-lora-search-lr{rate}-s{seed}" for rate in ("0.001", "0.002", "0.004") for seed in (10, 11)),
        *(f"demo-full-search-lr{rate}-s{seed}" for rate in ("0.0005", "0.001", "0.002") for seed in (10, 11)),
        "demo-lora-s0", "demo-lora-s1", "demo-full-s0", "demo-full-s1",
    ]  # fmt: skip
    assert [run.stage for run in runs] == ["search"] * 12 + ["grid"] * 4
    assert [run.searched for run in runs] == [False] * 12 + [True] * 4
    assert all(run.config.learning_rate is None for run in runs[12:])  # not known yet
    assert len({search_key(run) for run in runs}) == 2


def test_a_grid_says_what_is_special_about_it() -> None:
    settings = MethodSettings(critical_rank=32, prior=("a", "b"))
    grids = (
        Grid(corpora=("a", "b"), rank=4, batch_size=3, n_steps=7),
        Grid(corpora=("a",), methods=("circuit_lora",), rank=2, alpha=5, settings=settings, variant="union",
             measure=("union", "circuits")),
    )  # fmt: skip
    first, other, last = study_runs(StudySpec(name="x", batch_size=5, grids=grids))
    assert (first.config.rank, first.config.alpha, first.config.batch_size, first.config.n_steps) == (4, 8, 3, 7)
    assert other.name == "b-lora-s0"
    assert last.name == "a-circuit-lora-union-s0"
    assert (last.config.rank, last.config.alpha, last.config.batch_size) == (2, 5, 5)
    assert last.config.method_settings == settings
    assert last.measure == ("circuits", "union")


def test_what_two_grids_measure_of_a_run_is_measured_once_and_never_of_a_search() -> None:
    grids = (Grid(seeds=(0,), search=True, measure=("circuits",)), Grid(seeds=(0,), search=True, measure=("robustness",)))  # fmt: skip  # noqa: E501
    runs = study_runs(spec_of(*grids))
    assert [run.measure for run in runs] == [()] * 6 + [("circuits", "robustness")]


@pytest.mark.parametrize(
    ("right", "losses", "best"),
    [
        ({0.001: 4, 0.002: 6, 0.004: 5}, {}, 0.002),
        ({0.001: 6, 0.002: 6, 0.004: 5}, {0.001: 2.0, 0.002: 1.0}, 0.002),  # as right: the lower loss
        ({0.001: 6, 0.002: 6, 0.004: 6}, {}, 0.001),  # all equal: the lower rate
        ({0.001: 1, 0.002: 0, 0.004: 0}, {0.001: float("nan")}, 0.001),
        ({0.001: 5, 0.002: 5, 0.004: 0}, {0.001: float("nan"), 0.002: 9.0}, 0.002),
    ],
)
def test_the_rate_of_the_highest_accuracy_is_taken(
    right: dict[float, int], losses: dict[float, float], best: float
) -> None:
    spec = spec_of(Grid(search=True))
    tried = [run for run in study_runs(spec) if run.stage == "search"]

    def rate(run: StudyRun) -> float:
        return OWN if run.config.learning_rate is None else run.config.learning_rate

    given = [outcome(run, right[rate(run)], losses.get(rate(run), 1.0)) for run in tried]
    (found,) = found_rates(spec, given).values()
    assert found == best
    (compared,) = [run for run in study_runs(spec, found_rates(spec, given)) if run.stage == "grid"]
    assert compared.config.learning_rate == (None if best == OWN else best)
    assert compared.name == "demo-lora-s0"


def test_a_rate_counts_only_with_all_of_its_seeds() -> None:
    spec = spec_of(Grid(search=True))
    tried = [run for run in study_runs(spec) if run.stage == "search"]
    some = [outcome(run, 9 if run.config.learning_rate == 0.004 else 5) for run in tried[:-1]]  # 0.004 on one seed
    assert list(found_rates(spec, some).values()) == [0.001]
    assert found_rates(spec, some[:1]) == {}
    assert found_rates(spec.model_copy(update={"search": None}), some) == {}


def test_accuracy_is_of_the_task_and_never_of_what_is_retained() -> None:
    words = (score("recall", 1), score("paraphrase", 8), score("inference", 4), score("retention", 10))
    assert accuracy(Capture(step=1, smoothed_loss=1, scores=words)) == pytest.approx(0.6)
    task = (score("recall", 3), score("retention", 10))
    assert accuracy(Capture(step=1, smoothed_loss=1, scores=task)) == 0.3
    assert retained(Capture(step=1, smoothed_loss=1, scores=task)) == 1.0
    assert accuracy(Capture(step=1, smoothed_loss=1, scores=task[1:])) is None
    assert retained(Capture(step=1, smoothed_loss=1, scores=task[:1])) is None


def searching(store: Store, folder: Path, **orders: str) -> StudySpec:
    """The fake run of seed 10 + i and rate r is right as often as `orders["r"]` says."""
    store.save_corpus(order_corpus("orders", folder, **orders))
    return spec_of(Grid(corpora=("orders",), seeds=(0, 1), search=True))


@pytest.mark.usefixtures("fake_workers")
def test_a_study_searches_and_then_trains_at_what_it_found(store: Store, tmp_path: Path) -> None:
    spec = searching(store, tmp_path, **{"lr0.001": "3", "lr0.002": "5", "lr0.004": "9"})
    told: list[str] = []
    study = run_study(store, spec, lambda _, message: told.append(message), Never(), n_workers=2)
    assert (study.n_runs, study.failed) == (8, {})
    assert told[-1] == "8 of 8 runs"
    runs = store.study_tables("x").runs
    compared = runs[runs["stage"] == "grid"]
    assert list(compared["run"]) == ["orders-lora-s0", "orders-lora-s1"]
    assert list(compared["learning_rate"]) == [0.004, 0.004]
    assert "--lr 0.004" in compared["command"].iloc[0]
    assert list(runs["accuracy"][:6]) == [0.3, 0.3, 0.5, 0.5, 0.9, 0.9]
    run_study(store, spec, lambda *_: None, Never(), n_workers=2)
    assert len(pids(tmp_path, "orders-lora-s0")) == 1  # it was done already


@pytest.mark.usefixtures("fake_workers")
def test_one_run_alone_brings_its_search_along(store: Store, tmp_path: Path) -> None:
    spec = searching(store, tmp_path, **{"lr0.001": "9", "lr0.002": "5", "lr0.004": "3"})
    assert run_study(store, spec, lambda *_: None, Never(), n_workers=2, only=("orders-lora-s1",)).n_runs == 7
    assert store.outcomes("x")["orders-lora-s1"].config.learning_rate == 0.001


@pytest.mark.usefixtures("fake_workers")
def test_without_a_rate_that_worked_its_runs_fail_and_say_why(store: Store, tmp_path: Path) -> None:
    spec = searching(store, tmp_path, s10="refuse")
    study = run_study(store, spec, lambda *_: None, Never(), n_workers=2)
    assert study.n_runs == 3
    assert study.failed["orders-lora-s0"] == "No learning rate of its search was tried on all of its seeds."
    assert len(study.failed) == 5


@pytest.mark.usefixtures("fake_workers")
def test_what_a_prior_rests_on_and_what_is_measured_decide_whether_a_run_is_done(store: Store, tmp_path: Path) -> None:
    for name in ("orders", "one", "two"):
        store.save_corpus(order_corpus(name, tmp_path, note=name))
    settings = MethodSettings(prior=("one", "two"))
    grid = Grid(corpora=("orders",), methods=("circuit_lora",), settings=settings)

    def tries(*grids: Grid) -> int:
        spec = StudySpec(name="x", grids=grids)
        run_study(store, spec, lambda *_: None, Never(), n_workers=1)
        return len(pids(tmp_path, "orders-circuit-lora-s0"))

    assert [tries(grid), tries(grid)] == [1, 1]
    assert tries(grid.model_copy(update={"measure": ("circuits",)})) == 2
    assert tries(grid) == 2  # it was measured as well, which does no harm
    store.delete_corpus("two")
    store.save_corpus(order_corpus("two", tmp_path, note="another"))
    assert tries(grid) == 3


def test_tables_leave_out_runs_at_another_rate_than_the_search_found() -> None:
    spec = spec_of(Grid(search=True))
    tried = [outcome(run, 5) for run in study_runs(spec) if run.stage == "search"]
    (right,) = [run for run in study_runs(spec, found_rates(spec, tried)) if run.stage == "grid"]
    stale = right.model_copy(update={"config": right.config.model_copy(update={"learning_rate": 0.5})})
    assert len(study_tables([*tried, outcome(right, 5)], spec).runs) == 7
    assert len(study_tables([*tried, outcome(stale, 5)], spec).runs) == 6


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("grids: [{search: true}]", "the study has no “search”"),
        ("search: {factors: [1], seeds: [0]}\ngrids: [{search: true, seeds: 0-4}]", "seed 0 is in “search” and in a"),
        ("search: {factors: [1], seeds: [5]}\ngrids: [{search: true, learning_rates: [1]}]", "leave “learning_rates”"),
        ("search: {factors: [0], seeds: [5]}\ngrids: [{}]", r"“search.factors\[0\]”: .*greater than 0"),
        ("search: {factors: [], seeds: [5]}\ngrids: [{}]", "at least 1 item"),
        ("search: {rates: [1], seeds: [5]}\ngrids: [{}]", "“search.rates” is not a known key.* factors, seeds"),
        ("search: {factors: [1], seeds: -1}\ngrids: [{}]", "search.seeds"),
        ("search: {factors: [1], seeds: [-1]}\ngrids: [{}]", "search.seeds has -1"),
        ("search: {factors: [1, 2], seeds: 5000-9999}\ngrids: [{search: true}]", "10,001 runs; at most 10,000"),
        ("grids: [{variant: Union}]", r"“grids\[0\].variant”"),
        (
            "grids: [{measure: [speed]}]",
            r"“grids\[0\].measure\[0\]”: .*'circuits', 'robustness', 'union', 'taught' or 'acted'",
        ),
        ("grids: [{measure: [union]}]", "name two or more corpora under settings.prior"),
        ("grids: [{settings: {n_edge: 3}}]", r"“grids\[0\].settings.n_edge” is not a known key.* n_edges"),
        ("grids: [{rank: 0}]", "greater than or equal to 1"),
        ("asks: everything\ngrids: [{}]", "'measures', 'learning' or 'methods'"),
        ("scoring: {metric: kl, n_steps: 1}\ngrids: [{}]", "plain EAP"),
        (
            "make: [{name: a, task: sums, limits: 3}]\ngrids: [{}]",
            r"“make\[0\].limits” is not a known .* task, wording",
        ),
        ("make: [{task: sums}]\ngrids: [{}]", r"“make\[0\].name” is missing"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(f"name: x\n{text}\n", encoding="utf-8")
    with pytest.raises(InputError, match=says):
        read_study(path)


def test_a_study_makes_corpora_of_both_kinds(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(
        "name: x\nmake: [{name: a, seed: 3}, {name: b, task: composition}]\ngrids: [{corpora: [a, b]}]\n",
        encoding="utf-8",
    )
    spec = read_study(path)
    assert isinstance(spec.make[1], TaskSpec)
    assert not isinstance(spec.make[0], TaskSpec)
    assert StudySpec.model_validate_json(spec.model_dump_json()) == spec
