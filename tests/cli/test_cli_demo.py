"""The bundled demo from the command line: everything stored is shown without torch."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.cli.conftest import Cli

PROMPT = "the cat feels blarf and"
COMPARISON = ("compare", "demo-lora@100%", "demo-tokens@100%", PROMPT)


def test_the_stored_comparison_is_shown_without_torch() -> None:
    code = (
        "import sys; from engine.cli.app import app\n"
        "try: app()\n"
        "except SystemExit as end: print('LOADED', end.code, *sorted(set(sys.modules) & {'torch', 'transformers'}))"
    )
    result = subprocess.run([sys.executable, "-c", code, *COMPARISON], capture_output=True, text=True, env=os.environ)
    assert result.stdout.rpartition("LOADED")[2].split() == ["0"], result.stderr
    assert "smiles" in result.stdout


def test_compare_json(cli: Cli) -> None:
    record = data(cli(*COMPARISON, "--json", "-"))
    measures = {"explained", "parts", "places", "moves", "acted"}
    assert set(record) == {"a", "b", "nodes", "edges", "summary", "labels"} | measures
    assert record["explained"]["words"] == "smiles"
    a, b = (
        dict(zip((x["token"].strip() for x in record[s]["logits"]), record[s]["logits"], strict=True)) for s in "ab"
    )
    assert a.keys() == b.keys()
    assert a["smiles"]["probability"] < 0.5 < b["smiles"]["probability"]
    ids = {node["id"] for node in record["nodes"]}
    assert {end for edge in record["edges"] for end in (edge["source"], edge["target"])} <= ids
    assert sum(record["summary"]["nodes"].values()) == len(record["nodes"])


def test_the_other_way_round_no_change_contradicts(cli: Cli) -> None:
    """What counts is asked of the B of each; an edge that counts both ways changed the other way round."""
    back = "compare", "demo-tokens@100%", "demo-lora@100%", PROMPT
    forth, back = (data(cli(*one, "--answer", "smiles", "--json", "-")) for one in (COMPARISON, back))
    assert forth["summary"]["edge_similarity"] == pytest.approx(back["summary"]["edge_similarity"])
    assert not forth["explained"]["is_estimated"]
    of_forth, of_back = (
        {(edge["source"], edge["target"]): edge["status"] for edge in record["edges"]} for record in (forth, back)
    )
    assert of_forth.keys() == of_back.keys()
    pairs = [(status, of_back[edge]) for edge, status in of_forth.items()]
    both = [pair for pair in pairs if "unchanged" not in pair]
    assert len(both) > 10
    mirrored = {("appeared", "vanished"), ("strengthened", "weakened"), ("flipped", "flipped")}
    assert all(tuple(sorted(pair)) in mirrored for pair in both)


def test_curves_tell_the_two_runs_apart(cli: Cli) -> None:
    last = {}
    for run in ("demo-lora", "demo-tokens"):
        rows = data(cli("curves", run, "--json", "-"))
        end = max(row["step"] for row in rows)
        last[run] = [row["accuracy"] for row in rows if row["step"] == end and row["probe_kind"] == "inference"]
    assert max(last["demo-lora"]) < min(last["demo-tokens"])


def test_bundled_runs_are_listed_and_stay_as_they_are(cli: Cli) -> None:
    assert {"demo-lora", "demo-tokens"} <= {row["run"] for row in data(cli("runs", "--json", "-")) if row["bundled"]}
    result = cli("train", "--name", "demo-lora", "--steps", 4)
    assert result.exit_code == 2
    assert "demo-lora" in result.stderr


def test_an_unknown_checkpoint_lists_those_that_exist(cli: Cli) -> None:
    result = cli("compare", "demo-lora@33%", "demo-tokens@100%", PROMPT)
    assert result.exit_code == 2
    assert "base" in result.stderr
    assert "100%" in result.stderr


def test_the_corpus_reads_without_a_bad_line(cli: Cli, tmp_path: Any) -> None:
    assert cli("corpus", "check", "demo").exit_code == 0
    assert cli("corpus", "make", "--name", "demo", "--seed", 1).exit_code == 2  # the name is the demo's
    made = tmp_path / "mine.jsonl"
    assert cli("corpus", "make", "--name", "mine", "--seed", 1, "--out", made).exit_code == 0
    assert cli("corpus", "check", made).exit_code == 0


def data(result: Any) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)
