"""Finding component circuits: whole, kept as it grows, not done twice, and refused where there is nothing to have."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from engine.domain.components import CurveReport, ScoreSettings
from engine.domain.corpus import Corpus, Pair
from engine.domain.errors import Canceled, InputError, NotFound
from engine.domain.jobs import CheckRobustness, FindCircuits, SubtaskCircuit, UniteCircuits
from engine.domain.models import ModelSpec
from engine.jobs.titles import title_of
from engine.models.base import load_base
from engine.store import Store
from engine.store.layout import main_file
from engine.workflows import run
from engine.workflows.component_queries import curve_of, found_with, without_curve
from tests.attribution.parts import Never, add_run, silent
from tests.tiny import tiny_corpus, tiny_neox
from tests.workflows.component_runs import copied, two_runs

ALL = ("one@base", "one@25%", "one@50%", "one@100%")
SETTINGS = ScoreSettings(n_pairs=8, n_steps=2, n_groups=2)
REQUEST = FindCircuits(checkpoints=ALL, settings=SETTINGS, shares=())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return two_runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def runs(store: Store, made: Path) -> Store:
    return copied(made, store)


class Stored:
    """A cancel token that is set when so many checkpoints are scored."""

    def __init__(self, store: Store, n: int) -> None:
        self._store, self._n = store, n

    def check(self) -> None:
        if len(self._store.component_keys()) >= self._n:
            raise Canceled


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("done again")


def test_every_checkpoint_is_scored_and_measured(runs: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[float, str]] = []
    settings = SETTINGS.model_copy(update={"metric": "kl"})  # of which even random weights surely have some
    request = REQUEST.model_copy(update={"settings": settings, "shares": (0.5, 0.2, 1.0)})
    made = run(runs, request, lambda *told: said.append(told), Never())
    found = found_with(runs, "one", pairs="tiny", settings=settings)
    series = [runs.components(key.hash) for key in found.keys]
    assert [scores.key.checkpoint for scores in series] == list(ALL)
    assert series[-1].key.hash == made
    assert {scores.key.pairs_hash for scores in series} == {runs.corpus("tiny").hash}
    assert len({scores.key.checkpoint_hash for scores in series}) == 4
    for scores in series:
        assert scores.n_pairs.tolist() == [4, 4]
        assert scores.scores.any()
        curve = curve_of(runs, scores.key)
        assert curve is not None
        assert [point.share for point in curve.points] == [0.2, 0.5, 1.0]
        assert curve.points[-1].n_edges == scores.shape.n_edges
        assert curve.points[-1].faithfulness is not None
        assert curve.points[-1].faithfulness.value == pytest.approx(1, abs=1e-4)
    fractions = [fraction for fraction, _ in said]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert said[-1][1] == "Circuits of 4 checkpoints found"
    assert any(message.startswith("one@50%: ") for _, message in said)
    assert runs.check() == []

    for name in ("scores.score_edges", "faithfulness.faithfulness_curve"):
        monkeypatch.setattr(f"engine.components.{name}", refuse)
    assert run(runs, request, silent, Never()) == made
    fewer = request.model_copy(update={"shares": (0.5,)})  # of a curve that has more
    assert run(runs, fewer, silent, Never()) == made


def test_a_canceled_one_goes_on_where_it_was(runs: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Canceled):
        run(runs, REQUEST, silent, Stored(runs, 2))
    assert [key.checkpoint for key in runs.component_keys()] == ["one@25%", "one@base"]
    scored = counted(monkeypatch)
    run(runs, REQUEST, silent, Never())
    assert len(scored) == 2
    assert len(runs.component_keys("one")) == 4


class Measured:
    """A cancel token that is set when so many checkpoints are scored, and faithfulness is being measured."""

    def __init__(self, store: Store, n: int) -> None:
        self._store, self._n, self.message = store, n, ""

    def report(self, fraction: float, message: str) -> None:
        self.message = message

    def check(self) -> None:
        if len(self._store.component_keys()) >= self._n and "measuring faithfulness" in self.message:
            raise Canceled


def test_one_cancelled_before_its_faithfulness_tells_where_it_is_missing(runs: Store) -> None:
    request, cancel = REQUEST.model_copy(update={"shares": (0.5,)}), Measured(runs, 2)
    with pytest.raises(Canceled):
        run(runs, request, cancel.report, cancel)
    assert without_curve(runs, found_with(runs, "one")) == ("one@25%",)
    run(runs, request, silent, Never())
    whole = found_with(runs, "one")
    assert (len(whole.keys), without_curve(runs, whole)) == (4, ())
    damaged = CurveReport(key=whole.keys[2], points=()).hash
    (runs.workspace / main_file("circuit", damaged)).write_text("{", encoding="utf-8")
    assert without_curve(runs, whole) == ("one@50%",)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Grows by one with each scoring."""
    from engine.components import scores

    done: list[None] = []
    score_edges = scores.score_edges

    def counting(*args: object, **kwargs: object) -> object:
        done.append(None)
        return score_edges(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(scores, "score_edges", counting)
    return done


KILLED = """
import os, signal
from engine.components import scores
from engine.domain.jobs import FindCircuits
from engine.store import Store
from engine.workflows import run
class Never:
    def check(self): pass
whole, calls = scores.score_edges, []
def dying(*args, **kwargs):
    calls.append(1)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(*args, **kwargs)
scores.score_edges = dying
run(Store(WORKSPACE, bundled=None), FindCircuits.model_validate_json(REQUEST), lambda *_: None, Never())
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_killed_one_goes_on_after_the_first_checkpoint(runs: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    code = f"WORKSPACE, REQUEST = {str(runs.workspace)!r}, {REQUEST.to_json()!r}\n{KILLED}"
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    again = Store(runs.workspace, bundled=None)
    assert [key.checkpoint for key in again.component_keys()] == ["one@base"]
    assert again.check() == []
    scored = counted(monkeypatch)
    run(again, REQUEST, silent, Never())
    assert len(scored) == 3
    assert len(again.component_keys("one")) == 4


def test_damaged_scores_and_curves_are_made_again(runs: Store) -> None:
    request = FindCircuits(checkpoints=("one@100%",), settings=SETTINGS, shares=(1.0,))
    made = run(runs, request, silent, Never())
    whole = runs.components(made)
    curve = CurveReport(key=whole.key, points=()).hash
    for path in (main_file("components", made), main_file("circuit", curve)):
        (runs.workspace / path).write_bytes((runs.workspace / path).read_bytes()[:-9])
    assert len(runs.check()) >= 2
    assert run(runs, request, silent, Never()) == made
    assert (runs.components(made).groups == whole.groups).all()
    assert len(runs.circuit_report(curve).points) == 1  # type: ignore[union-attr]
    assert runs.check() == []


def test_other_pairs_and_other_settings_are_kept_apart(runs: Store) -> None:
    corpus = tiny_corpus()
    pair = Pair(
        id="p", clean="a blarf king is", corrupted="a gleem king is", answer="happy", corrupted_answer="sad",
        constraint_type="simple_mapping",
    )  # fmt: skip
    runs.save_corpus(replace(corpus, name="pairs", pairs=(pair,)))
    plain = REQUEST.model_copy(update={"checkpoints": ("one@base",)})
    run(runs, plain, silent, Never())
    said: list[str] = []
    other = plain.model_copy(update={"pairs": "pairs"})
    made = run(runs, other, lambda _, message: said.append(message), Never())
    assert runs.components(made).n_pairs.tolist() == [1]  # all there are
    assert said[-1] == "Circuits of 1 checkpoint found; with all 1 of “pairs”, where 8 pairs were asked for"
    eap = plain.model_copy(update={"settings": ScoreSettings(n_pairs=8, n_steps=1, n_groups=2)})
    run(runs, eap, silent, Never())
    assert len(runs.component_keys("one")) == 3


def test_gpt_neox_works_although_it_cannot_be_traced(store: Store, tmp_path: Path) -> None:
    folder = tiny_neox(tmp_path / "neox")
    loaded = load_base(ModelSpec(name="tiny-neox", source="folder", location=str(folder)))
    store.save_corpus(replace(tiny_corpus(), name="tiny"))
    add_run(store, loaded, "neox", seed=3, steps=(0, 4))
    found = run(store, FindCircuits(checkpoints=("neox@100%",), settings=SETTINGS, shares=()), silent, Never())
    shape = store.components(found).shape
    assert shape.parallel
    assert (shape.n_layers, shape.n_heads) == (2, 2)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"clean": "the blarf cat is"}, r"None of the 1 pair can be used.*“odd”.*tokens"),
        ({"answer": "two words"}, "“odd”"),
        ({"corrupted_answer": "happy"}, "“odd”.*are the same token"),
        ({"clean": "a qwertz king is"}, "“odd”.*qwertz"),
    ],
)
def test_pairs_that_cannot_be_used_are_left_out_or_named(runs: Store, changed: dict[str, str], message: str) -> None:
    good = {"clean": "a blarf is", "corrupted": "a gleem is", "answer": "happy", "corrupted_answer": "sad"}
    fine, odd = (
        Pair(id=name, constraint_type="simple_mapping", **(good | more))
        for name, more in (("fine", {}), ("odd", changed))
    )
    runs.save_corpus(replace(tiny_corpus(), name="odd", pairs=(odd,)))
    with pytest.raises(InputError, match=message):
        run(runs, REQUEST.model_copy(update={"pairs": "odd"}), silent, Never())
    assert runs.component_keys() == []
    runs.save_corpus(replace(tiny_corpus(), name="mixed", pairs=(odd, fine)))
    said: list[str] = []
    request = REQUEST.model_copy(update={"pairs": "mixed", "checkpoints": ("one@base",)})
    found = run(runs, request, lambda _, message: said.append(message), Never())
    assert runs.components(found).n_pairs.tolist() == [1]
    assert "the 1 of 2 of “mixed” that this model can be measured on" in said[-1]


def test_what_is_not_there_is_told_before_anything_is_made(runs: Store) -> None:
    runs.save_corpus(Corpus("bare", tiny_corpus().examples, ()))
    asked = {
        r"corpus.*gone": {"pairs": "gone"},
        "nobody": {"checkpoints": ("one@base", "nobody@base")},
        "one@step3": {"checkpoints": ("one@base", "one@step3")},
    }
    for message, change in asked.items():
        with pytest.raises(NotFound, match=message):
            run(runs, REQUEST.model_copy(update=change), silent, Never())
    with pytest.raises(InputError, match="“bare” has no prompt pairs"):
        run(runs, REQUEST.model_copy(update={"pairs": "bare"}), silent, Never())
    assert runs.component_keys() == []


def test_a_run_imported_without_a_corpus_needs_the_name_of_one(runs: Store) -> None:
    config = runs.run("one")
    imported = config.model_copy(update={"corpus": "none", "imported": True})
    (runs.workspace / main_file("run", "one")).write_text(imported.to_json(), encoding="utf-8")
    request = REQUEST.model_copy(update={"checkpoints": ("one@base",)})
    with pytest.raises(InputError, match="“one” was imported without a corpus"):
        run(runs, request, silent, Never())
    assert run(runs, request.model_copy(update={"pairs": "tiny"}), silent, Never())


def test_jobs_are_called_by_what_they_do() -> None:
    assert title_of(REQUEST) == "Find the circuits of one@base and 3 more"
    assert title_of(FindCircuits(checkpoints=("one@base",))) == "Find the circuits of one@base"
    assert title_of(CheckRobustness(checkpoint="one@base")) == "Check the circuit of one@base"
    parts = (SubtaskCircuit(checkpoint="one@50%"), SubtaskCircuit(checkpoint="two@50%"))
    assert title_of(UniteCircuits(checkpoint="one@base", parts=parts)) == "Unite 2 circuits for one@base"


def test_the_base_that_other_jobs_use_stays_as_it_is(runs: Store) -> None:
    from engine.workflows.loading import base_model

    used = base_model(runs, runs.run("one").model)
    before = {name: weight.clone() for name, weight in used.model.state_dict().items()}
    run(runs, REQUEST, silent, Never())
    assert not any(module._forward_hooks for module in used.model.modules())
    assert all((weight == before[name]).all() for name, weight in used.model.state_dict().items())
