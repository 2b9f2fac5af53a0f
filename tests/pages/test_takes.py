"""How long a job takes: as it took with this model before, else as with the demo's."""

from pathlib import Path

import pytest

from engine.domain.components import ScoreSettings
from engine.domain.graphs import ComparisonKey
from engine.domain.jobs import AnalyseRun, AskedPrompt, Compare, FindCircuits, JobRecord, Request, Where, WhereProbes
from engine.domain.models import ModelSpec
from engine.models.vocabulary import PairFit
from engine.store import Store
from pages._ui import takes
from tests.store.artefacts import add_checkpoint, add_run, meta

OWN = ModelSpec(name="own", source="folder", location="/own")


class _Jobs:
    def __init__(self, *records: JobRecord) -> None:
        self._records = records

    def snapshot(self) -> list[JobRecord]:
        return list(self._records)


def done(request: Request, seconds: float, *, state: str = "done", result: str = "") -> JobRecord:
    return JobRecord.model_validate(
        {"id": "j", "title": "t", "request": request, "state": state, "created_at": 0, "started_at": 5,
         "finished_at": 5 + seconds, "result": result}
    )  # fmt: skip


def circuits(run: str, n: int, *, n_pairs: int = 100) -> FindCircuits:
    return FindCircuits(checkpoints=(f"{run}@base",) * n, settings=ScoreSettings(n_pairs=n_pairs))


@pytest.fixture
def own(tmp_path: Path) -> Store:
    made = Store(tmp_path, bundled=None)
    add_run(made, "mine", model=OWN)
    add_run(made, "sibling", model=OWN.model_copy(update={"name": "alias"}))
    add_run(made, "demos")
    return made


def told(
    monkeypatch: pytest.MonkeyPatch, store: Store, request: Request, *records: JobRecord, run: str = "mine"
) -> str:
    monkeypatch.setattr(takes, "jobs", lambda: _Jobs(*records))
    return takes.on_this_model(store, run, "about 5 s", request)


def test_what_was_measured_with_this_model_is_told_in_proportion(monkeypatch: pytest.MonkeyPatch, own: Store) -> None:
    before = done(circuits("sibling", 2), 40)
    assert told(monkeypatch, own, circuits("mine", 3), before) == "about 60 s, as it took with this model before"
    assert told(monkeypatch, own, circuits("mine", 4, n_pairs=50), before).startswith("about 40 s")


@pytest.mark.parametrize(
    "other",
    [
        done(circuits("demos", 2), 40),  # of another model
        done(circuits("gone", 2), 40),
        done(circuits("mine", 2), 0.5),  # all of it was there
        done(circuits("mine", 2), 40, state="cancelled"),
        done(Where(a="mine@base", b="mine@100%", prompt="x"), 40),
    ],
)
def test_other_work_says_nothing_of_this(monkeypatch: pytest.MonkeyPatch, own: Store, other: JobRecord) -> None:
    assert told(monkeypatch, own, circuits("mine", 3), other).startswith("about 5 s with the demo’s model")


def test_the_slowest_counts_as_others_had_a_part_already(monkeypatch: pytest.MonkeyPatch, own: Store) -> None:
    before = done(circuits("mine", 2), 4), done(circuits("mine", 2), 40)
    assert told(monkeypatch, own, circuits("mine", 2), *before).startswith("about 40 s")


def test_a_longer_prompt_takes_longer(monkeypatch: pytest.MonkeyPatch, own: Store) -> None:
    before = done(Where(a="mine@base", b="mine@100%", prompt="a" * 60), 5)
    longer = Where(a="mine@base", b="mine@100%", prompt="a" * 600)
    assert told(monkeypatch, own, longer, before).startswith("about 50 s")


def test_what_is_asked_for_counts_as_far_as_it_is_there(monkeypatch: pytest.MonkeyPatch, own: Store) -> None:
    """The run has three checkpoints and a corpus with one probe."""
    kind = {"probe_kind": "recall"}
    before = done(AnalyseRun(run="mine", n_prompts=1, **kind), 30)
    assert told(monkeypatch, own, AnalyseRun(run="mine", n_prompts=10, **kind), before).startswith("about 30 s")
    add_checkpoint(own, "sibling", 1)
    asked = AnalyseRun(run="sibling", n_prompts=10, **kind)
    assert told(monkeypatch, own, asked, before, run="sibling").startswith("about 40 s")


def test_a_longer_way_between_checkpoints_takes_longer(monkeypatch: pytest.MonkeyPatch, own: Store) -> None:
    near, far = (Where(a="mine@base", b=f"mine@{label}", prompt="x") for label in ("50%", "100%"))
    assert told(monkeypatch, own, far, done(near, 5)).startswith("about 10 s")
    one = AskedPrompt(prompt="x", answer="y")
    near, far = (WhereProbes(a="mine@base", b=f"mine@{at}", asked=(one,), each=True) for at in ("50%", "100%"))
    assert told(monkeypatch, own, far, done(near, 5)).startswith("about 10 s")
    assert told(monkeypatch, own, far.model_copy(update={"asked": (one, one)}), done(far, 5)).startswith("about 10 s")


def test_a_long_prompt_is_told_where_nothing_was_measured(monkeypatch: pytest.MonkeyPatch, own: Store) -> None:
    short, long = (Where(a="mine@base", b="mine@100%", prompt="a" * n) for n in (120, 121))
    assert told(monkeypatch, own, short).startswith("about 5 s with the demo’s model;")
    assert told(monkeypatch, own, long).startswith("about 5 s with the demo’s model and a short prompt;")


def test_the_comparison_that_trained_transcoders_is_told_apart(monkeypatch: pytest.MonkeyPatch, own: Store) -> None:
    asked = Compare(a="mine@base", b="mine@100%", prompts=("x",))
    trained, traced = done(asked, 500), done(asked, 20)
    assert told(monkeypatch, own, asked, traced, trained).startswith(
        "about 8 min"
    )  # there is no set, so one is trained
    many = asked.model_copy(update={"prompts": ("x",) * 12})
    # A set takes as long as 100 prompts: once, not once a prompt.
    assert told(monkeypatch, own, many, trained).startswith("about 9 min")
    monkeypatch.setattr(Store, "transcoders_for", lambda *_: meta("shared"))
    assert told(monkeypatch, own, asked, traced, trained).startswith("about 20 s")
    assert told(monkeypatch, own, asked, trained).startswith("about 5 s with the demo’s model")


def test_a_set_that_was_trained_anew_counts_as_training_too(monkeypatch: pytest.MonkeyPatch, own: Store) -> None:
    """The first comparison with each set trained it."""
    sets = [meta("shared-more"), meta("shared")]
    monkeypatch.setattr(Store, "transcoder_sets", lambda *_: sets)
    monkeypatch.setattr(Store, "transcoders_for", lambda *_: sets[0])
    asked = Compare(a="mine@base", b="mine@100%", prompts=("x",))
    made = [ComparisonKey(a=asked.a, b=asked.b, prompt="x", transcoders=one.name).hash for one in sets]
    jobs = (
        done(asked, 20, result=f"{made[0]},other"),
        done(asked, 600, result=made[0]),
        done(asked, 500, result=made[1]),
    )
    ten = asked.model_copy(update={"prompts": ("x",) * 10})
    assert told(monkeypatch, own, ten, *jobs).startswith("about 3 min")


def test_settings_of_circuits_count(monkeypatch: pytest.MonkeyPatch, own: Store) -> None:
    """With more points more takes as much longer as scoring does; pairs of the run's own corpus count, unnamed too."""
    asked = circuits("mine", 1)
    scored = asked.model_copy(update={"shares": ()})
    twice = scored.model_copy(update={"settings": ScoreSettings(n_steps=10)})
    assert told(monkeypatch, own, twice, done(scored, 20)).startswith("about 40 s")
    monkeypatch.setattr(takes, "pairs_fit", lambda store, run, corpus: PairFit(40, 20) if corpus == "words" else None)
    assert told(monkeypatch, own, asked, done(circuits("mine", 1, n_pairs=10), 10)).startswith("about 20 s")


def test_the_demo_is_told_as_measured(monkeypatch: pytest.MonkeyPatch, own: Store) -> None:
    asked = circuits("demos", 3)
    assert told(monkeypatch, own, asked, done(asked, 90), run="demos") == "about 5 s with the demo’s model"
