"""Robustness of circuits and unions of them, as jobs on a tiny model."""

from pathlib import Path

import pytest

from engine.domain.components import RobustnessReport, ScoreSettings, UnionReport
from engine.domain.errors import Canceled, ComparisonRefused, InputError
from engine.domain.jobs import CheckRobustness, SubtaskCircuit, UniteCircuits
from engine.domain.models import ModelSpec
from engine.models.base import load_base
from engine.store import Store
from engine.workflows import run
from engine.workflows.component_queries import reports_of
from tests.attribution.parts import Never, add_run, silent
from tests.tiny import tiny_neox
from tests.workflows.component_runs import copied, two_runs
from tests.workflows.test_circuits_job import counted, refuse

# Of kl the whole model surely has more than the corrupted prompts, whatever its weights.
SETTINGS = ScoreSettings(n_pairs=9, n_steps=2, n_groups=3, metric="kl")
CHECK = CheckRobustness(checkpoint="one@100%", settings=SETTINGS, share=0.5, levels=(0.9, 0.3))
UNITE = UniteCircuits(
    checkpoint="one@100%",
    parts=(SubtaskCircuit(checkpoint="one@50%", pairs="simple"), SubtaskCircuit(checkpoint="two@100%")),
    settings=SETTINGS,
    shares=(1.0, 0.5),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return two_runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def runs(store: Store, made: Path) -> Store:
    return copied(made, store)


def checked(store: Store, request: CheckRobustness) -> RobustnessReport:
    made = store.circuit_report(run(store, request, silent, Never()))
    assert isinstance(made, RobustnessReport)
    return made


def united(store: Store, request: UniteCircuits) -> UnionReport:
    made = store.circuit_report(run(store, request, silent, Never()))
    assert isinstance(made, UnionReport)
    return made


def test_three_models_on_parts_of_the_data_and_on_noise(runs: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[float] = []
    made = run(runs, CHECK, lambda fraction, _: said.append(fraction), Never())
    report = runs.circuit_report(made)
    assert isinstance(report, RobustnessReport)
    assert said == sorted(said)
    assert said[-1] == 1.0
    assert [subject.subject for subject in report.subjects] == ["tuned", "base", "random"]
    for subject in report.subjects:
        assert subject.fifths.n == 3  # pairs of three parts
        assert [(one.level, one.likeness.n) for one in subject.perturbed] == [(0.3, 3), (0.9, 3)]
        for alike in (subject.fifths, *(one.likeness for one in subject.perturbed)):
            for figure in (alike.nodes, alike.edges):
                assert 0 <= figure.low <= figure.value <= figure.high <= 1
    # The scores of the inputs as they are serve other questions, too; those of the random model do not.
    assert {key.checkpoint for key in runs.component_keys()} == {"one@100%", "one@base"}
    assert reports_of(runs, "one", RobustnessReport) == (report,)

    monkeypatch.setattr("engine.components.scores.score_edges", refuse)
    assert run(runs, CHECK, silent, Never()) == made
    with pytest.raises(AssertionError, match="done again"):
        run(runs, CHECK.model_copy(update={"levels": (0.3,)}), silent, Never())


def test_noise_of_no_tokens_changes_nothing_and_the_same_seed_gives_the_same(runs: Store) -> None:
    tiny = CHECK.model_copy(update={"levels": (1e-9,)})
    for subject in checked(runs, tiny).subjects:
        assert subject.perturbed[0].likeness.edges.value == 1.0
    first = checked(runs, CHECK)
    for name in ("components", "circuits"):
        for path in (runs.workspace / name).iterdir():
            path.unlink()
    assert checked(Store(runs.workspace, bundled=None), CHECK) == first


def test_the_base_is_not_tuned(runs: Store) -> None:
    report = checked(runs, CHECK.model_copy(update={"checkpoint": "one@base", "levels": ()}))
    assert [subject.subject for subject in report.subjects] == ["base", "random"]
    assert report.missing == ()
    assert report.model_copy(update={"subjects": report.subjects[:1]}).missing == ("random",)


class Told:
    """A report, and a cancel token that is set when a message says so."""

    def __init__(self, sign: str) -> None:
        self._sign, self._seen = sign, False

    def __call__(self, _fraction: float, message: str) -> None:
        self._seen = self._seen or self._sign in message

    def check(self) -> None:
        if self._seen:
            raise Canceled


def test_a_check_that_was_canceled_goes_on_with_the_next_model(runs: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for sign, n_subjects in (("one@100%, 30%", 0), ("base model of one@100%, 90%", 1), ("random", 2)):
        told = Told(sign)
        with pytest.raises(Canceled):
            run(runs, CHECK, told, told)
        kept = [report.subjects for report in reports_of(runs, "one", RobustnessReport)]
        assert [len(subjects) for subjects in kept] == ([n_subjects] if n_subjects else [])
    scored = counted(monkeypatch)
    assert len(checked(runs, CHECK).subjects) == 3
    assert len(scored) == 3  # the random model, as it is and at both levels


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": SETTINGS.model_copy(update={"n_groups": 1})}, "2 parts or more"),
        ({"settings": SETTINGS.model_copy(update={"n_pairs": 5})}, "5 pairs of “tiny” are too few for 3 parts"),
        ({"share": 0.01}, r"The circuit of one@100% of a part of the data.*The circuit is empty"),
    ],
)
def test_what_cannot_be_checked(runs: Store, change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(runs, CHECK.model_copy(update=change), silent, Never())


def test_a_union_is_as_large_as_the_direct_circuit(runs: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    report = united(runs, UNITE)
    assert report.key.checkpoint == "one@100%"
    assert [(part.checkpoint, part.pairs) for part in report.parts] == [("one@50%", "simple"), ("two@100%", "tiny")]
    assert [point.share for point in report.points] == [0.5, 1.0]
    for point in report.points:
        assert 0 < point.union.n_edges <= point.direct.n_edges
        assert 0 <= point.edges <= point.nodes <= 1
        assert point.union.faithfulness is not None
    whole = report.points[-1]
    assert (whole.nodes, whole.edges) == (1.0, 1.0)
    assert whole.union.faithfulness is not None
    assert whole.union.faithfulness.value == pytest.approx(1, abs=1e-4)
    assert len(runs.component_keys()) == 3

    for name in ("scores.score_edges", "faithfulness.circuit_points"):
        monkeypatch.setattr(f"engine.components.{name}", refuse)
    assert united(runs, UNITE) == report


def test_sizes_at_which_nothing_is_left_are_left_out(runs: Store) -> None:
    said: list[str] = []
    request = UNITE.model_copy(update={"shares": (0.01, 1.0)})
    run(runs, request, lambda _, message: said.append(message), Never())
    assert [point.share for point in united(runs, request).points] == [1.0]
    assert said[-1].endswith("nothing is left after pruning at 1%")
    with pytest.raises(InputError, match="The circuit is empty"):
        run(runs, UNITE.model_copy(update={"shares": (0.01,)}), silent, Never())


def test_what_cannot_be_united(runs: Store, tmp_path: Path) -> None:
    twice = UNITE.model_copy(update={"parts": (UNITE.parts[1], SubtaskCircuit(checkpoint="two@100%", pairs="tiny"))})
    with pytest.raises(InputError, match="two@100% on “tiny” is given twice"):
        run(runs, twice, silent, Never())
    with pytest.raises(InputError, match="one share of the edges or more"):
        run(runs, UNITE.model_copy(update={"shares": ()}), silent, Never())
    folder = tiny_neox(tmp_path / "neox")
    other = load_base(ModelSpec(name="tiny-neox", source="folder", location=str(folder)))
    add_run(runs, other, "neox", seed=3, steps=(0, 4))
    mixed = UNITE.model_copy(update={"parts": (UNITE.parts[0], SubtaskCircuit(checkpoint="neox@100%"))})
    with pytest.raises(ComparisonRefused, match="another model"):
        run(runs, mixed, silent, Never())
    assert runs.circuit_reports() == []
