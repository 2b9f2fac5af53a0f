"""When and where answers moved in a study: each verdict as its rule says, on words whose truth is known."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from engine.analysis.acted_mean import acted_mean
from engine.domain.studies import ACTED_ROLES, Finding, Grid, StudySpec, StudyTables
from engine.store import Store
from engine.studies.findings import MEASURE_QUESTIONS
from engine.studies.findings.answers_followed import by_word, followed, gained
from engine.studies.followed import acted_words, words_of
from engine.studies.tables import ACTED_COLUMNS
from tests.acted_means import measured, parts, probe
from tests.attribution.parts import Never, silent, workspace
from tests.studies.one_question import question

SPEC = StudySpec(name="made", asks="measures", grids=(Grid(),))
STEPS = (50, 100, 150, 200)
Moves = Sequence[float]  # of the logit, up to each of STEPS


def made(methods: Mapping[str, tuple[Moves, float]], *, n_words: int = 6, n_seeds: int = 2) -> StudyTables:
    """By method the moves of every word and the share of them that is made at the new word, the rest at the last token.
    Words differ a little in all alike, seeds by a shift that cancels out."""
    rng = np.random.default_rng(0)
    runs, rows = [], []
    scale = 1 + rng.normal(0, 0.02, n_words)
    for name, (moves, share) in methods.items():
        for seed in range(n_seeds):
            run = f"{name}-s{seed}"
            runs.append({"run": run, "method": name, "seed": seed, "n_steps": 200})
            for word in range(n_words):
                for step, move in zip(STEPS, moves, strict=True):
                    change = move * scale[word] * (1.25 if seed else 0.75)
                    role = dict.fromkeys(ACTED_ROLES, 0.0) | {"new_word": share * change, "last": (1 - share) * change}
                    kind = "simple_mapping" if word % 2 else "spatial_relationship"
                    rows.append((run, kind, f"w{word}", 2, step, change, *role.values()))
    return StudyTables(pd.DataFrame(runs), pd.DataFrame(), acted=pd.DataFrame(rows, columns=list(ACTED_COLUMNS)))


def found(key: str, tables: StudyTables) -> Finding:
    return question(key, MEASURE_QUESTIONS)(tables, SPEC, "command")


LORA, TOKENS = (1.0, 1.0, 4.0, 0.0), (4.0, 2.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("shares", "verdict"),
    [({"lora": 0.2, "tokens": 1.0}, "partly"), ({"lora": 0.9, "tokens": 1.0}, "yes"), ({"lora": 0.1}, "no")],
)
def test_where_training_acted_by_method(shares: dict[str, float], verdict: str) -> None:
    finding = found("where_acted", made({name: (LORA, share) for name, share in shares.items()}))
    assert finding.verdict == verdict
    for name, share in shares.items():
        told = {one.name: one for one in finding.figures if one.unit == f"logits, {_title(name)}"}
        assert told["new word"].value == pytest.approx(6 * share, rel=0.05)
        assert told["new word"].n == 6  # words, not runs
        assert told["new word"].null == 0.0
        assert set(told) == {"new word", "last token"} if share < 1 else {"new word"}


def test_words_that_go_both_ways_tell_nothing() -> None:
    tables = made({"lora": (LORA, 0.2)})
    turned = tables.acted["constraint"].isin(["w0", "w2", "w4"])
    tables.acted.loc[turned, ["new_word", "last"]] = tables.acted.loc[turned, ["last", "new_word"]].to_numpy()
    assert found("where_acted", tables).verdict == "inconclusive"
    assert found("where_acted", made({"lora": (LORA, 0.1)}, n_words=2)).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("moves", "verdict", "steps"),
    [
        ({"lora": LORA, "tokens": TOKENS}, "partly", {"LoRA": (150, 150, 150), "New tokens only": (50, 100, 100)}),
        ({"tokens": TOKENS}, "yes", {"New tokens only": (50, 100, 100)}),
        ({"lora": LORA}, "no", {"LoRA": (150, 150, 150)}),
        ({"lora": (5.0, -4.0, 3.0, 0.0)}, "no", {"LoRA": (150, 150, 150)}),  # what falls back was not there
    ],
)
def test_when_it_was_learned(moves: dict[str, Moves], verdict: str, steps: dict[str, tuple[int, int, int]]) -> None:
    finding = found("when_learned", made({name: (of, 0.5) for name, of in moves.items()}))
    assert finding.verdict == verdict
    if verdict == "partly":
        assert finding.answer.startswith("Surely for New tokens only; not for LoRA. On average ")
    for name, wanted in steps.items():
        assert tuple(one.value for one in finding.figures if one.name == name) == wanted
    assert [one.null for one in finding.figures if one.drawn][: len(steps)] == [100.0] * len(steps)


def test_words_that_gain_nothing_are_left_out_and_told() -> None:
    tables = made({"lora": (LORA, 0.5)})
    tables.acted.loc[tables.acted["constraint"] == "w0", "change"] *= -1
    finding = found("when_learned", tables)
    assert finding.figures[0].n == 5
    assert "LoRA: 1 word of 6 gained nothing and is left out." in finding.evidence
    none = made({"lora": ((0.0, 0.0, 0.0, 0.0), 0.5)})
    assert "No answer of the study gained anything" in found("when_learned", none).answer


def test_what_a_study_lacks_is_said() -> None:
    for key in ("where_acted", "when_learned"):
        finding = found(key, StudyTables(pd.DataFrame(), pd.DataFrame()))
        assert (finding.verdict, finding.figures) == ("inconclusive", ())
        assert "measure: [acted]" in finding.answer


def test_a_word_is_a_mean_over_its_runs_and_adds_up() -> None:
    tables = made({"lora": (LORA, 0.25)})
    words = by_word(followed(tables))
    assert words["change"].tolist() == pytest.approx((words["new_word"] + words["last"]).tolist())
    moved = gained(followed(tables))
    assert moved.columns.tolist() == [0, *STEPS]
    at_end = moved.iloc[:, -1].droplevel([0, 1]).to_dict()
    assert at_end == pytest.approx(words.set_index("constraint")["change"].to_dict())


def test_the_table_has_what_was_measured_word_by_word() -> None:
    given = {"blarf": (parts(w=3, e=7), parts(n=2)), "gleem": (parts(), parts(e=1))}
    mean = acted_mean([measured(probe(word), *stretches) for word, stretches in given.items()])
    first, second = words_of(mean, (0, 10, 30))
    assert (first.constraint, first.steps, first.changes) == ("blarf", (0, 10, 30), (10.0, 2.0))
    assert first.roles == {
        "beginning": (0.0, 0.0), "noun": (0.0, 2.0), "new_word": (3.0, 0.0), "other": (0.0, 0.0), "last": (7.0, 0.0),
    }  # fmt: skip
    assert second.changes == (0.0, 1.0)


def test_a_run_is_followed_over_its_captures(store: Store, tmp_path: Path) -> None:
    workspace(store, "llama", tmp_path / "base")
    words = acted_words(store, "one", silent, Never())
    assert [word.constraint for word in words] == ["blarf", "gleem", "cascade", "glide"]
    for word in words:
        assert word.steps == (0, 1, 2, 4)
        made_there = np.sum([word.roles[role] for role in ACTED_ROLES], axis=0)
        assert made_there == pytest.approx(word.changes, abs=0.02 + 0.02 * np.abs(word.changes).max())


def _title(name: str) -> str:
    return {"lora": "LoRA", "tokens": "New tokens only"}[name]
