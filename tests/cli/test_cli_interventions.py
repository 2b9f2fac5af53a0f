"""`intervene` and `timelapse` on a tiny model."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from engine.cli.app import app
from engine.domain.jobs import TrainTranscoders
from engine.domain.models import TranscoderTraining
from engine.jobs import run_inline
from engine.store import Store
from tests.attribution.parts import PROMPT, workspace

ALL = ("one@base", "one@25%", "one@50%", "one@100%", "two@base", "two@25%", "two@50%", "two@100%")
SIDES = ("one@50%", "two@100%", PROMPT)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with two runs and a transcoder set that has seen both; nothing is traced."""
    folder = tmp_path_factory.mktemp("cli")
    store = Store(folder / "workspace")
    workspace(store, "llama", folder / "base")
    small = TranscoderTraining(n_features=32, top_k=4, n_steps=20, n_texts=50)
    run_inline(store, TrainTranscoders(name="small", checkpoints=ALL, training=small), on_progress=lambda *_: None)
    store.close()
    return store.workspace


def call(home: Path, *words: object) -> Result:
    return CliRunner().invoke(app, ["--workspace", str(home), *map(str, words)], catch_exceptions=False)


def data(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def features(home: Path) -> list[str]:
    """Of B alone, the most influential first; traces the comparison."""
    nodes = data(call(home, "compare", *SIDES, "--all", "--json", "-"))["nodes"]
    found = [node for node in nodes if node["kind"] == "feature" and not node["a"]]
    return [node["id"] for node in sorted(found, key=lambda node: -node["b"])]


def test_intervene_traces_measures_and_tells(home: Path) -> None:
    chosen = features(home)[:2]
    a, b = data(call(home, "intervene", *SIDES, *chosen, "--json", "-"))
    assert a["changed"] == []
    assert a["p_after"] == a["p_before"]
    assert b["changed"] == sorted(chosen)
    assert b["p_after"] != b["p_before"]
    assert b["key"]["factor"] == 0
    told = call(home, "intervene", *SIDES, *chosen).stdout
    assert "one@50%: none of the 2 is active here" in told
    assert "two@100%: 2 of 2 are active and were set to 0 × their activation" in told
    assert all(column in told for column in ("p before", "p after", "predicted"))
    assert all(token.strip() in told for token in b["tokens"])
    assert b["uncut"]
    assert f"tried here: over all {len(b['tokens'])} outputs of 1 change" in told  # A's changed nothing
    assert "too few to say when to trust" in told
    scaled = data(call(home, "intervene", *SIDES, *chosen, "--factor", 1, "--json", "-"))[1]
    assert scaled["p_after"] == scaled["p_before"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("feature/0/1/99999",), "in neither graph"),
        (("[red]x[/red]",), "[red]x[/red]"),
        (("feature/0/1/1", "--factor", "11"), "less than or equal to 10"),
        (("feature/0/1/1", "--factor", "-1"), "greater than or equal to 0"),
        (("feature/0/1/1", "--transcoders", "gone"), "gone"),
    ],
)
def test_what_cannot_be_changed_is_one_line(home: Path, words: tuple[str, ...], says: str) -> None:
    result = call(home, "intervene", *SIDES, *words)
    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


def test_timelapse_traces_what_is_missing_and_tells_every_step(home: Path) -> None:
    rows = data(call(home, "timelapse", *SIDES, "--json", "-"))
    assert [row["step"] for row in rows] == [0, 1, 2, 4]
    assert [row["a"] for row in rows] == ["one@base", "one@25%", "one@50%", "one@100%"]
    assert [row["b"] for row in rows] == ["two@base", "two@25%", "two@50%", "two@100%"]
    assert rows[0]["edge_similarity"] == pytest.approx(1)  # one base, whichever run names it
    assert max(row["edge_similarity"] for row in rows[1:]) < 1
    assert [row["same"] for row in rows[:2]] == [True, False]
    assert all(0 < row[f"p_{side}"] <= 1 and row[f"answer_{side}"] for row in rows for side in "ab")
    told = call(home, "timelapse", *SIDES).stdout
    assert all(row["b"] in told for row in rows)
    of_one_run = data(call(home, "timelapse", "two@base", "two@100%", PROMPT, "--json", "-"))
    assert {row["a"] for row in of_one_run} == {"two@base"}
    assert call(home, "timelapse", "one@75%", "two@100%", PROMPT).exit_code == 2
