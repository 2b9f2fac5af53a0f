"""`circuit` on the bundled demo, one prompt of which is traced: shown without torch."""

import csv
import io
import json
import os
import subprocess
import sys

import pytest

from tests.cli.conftest import Cli

CIRCUIT = ("mean-circuit", "demo-lora@100%", "demo-tokens@100%", "--type", "simple_mapping", "--prompts", "1")


def test_stored_prompts_are_averaged_without_torch() -> None:
    code = (
        "import sys; from engine.cli.app import app\n"
        "try: app()\n"
        "except SystemExit as end: print('LOADED', end.code, *sorted(set(sys.modules) & {'torch', 'transformers'}))"
    )
    result = subprocess.run([sys.executable, "-c", code, *CIRCUIT], capture_output=True, text=True, env=os.environ)
    assert result.stdout.rpartition("LOADED")[2].split() == ["0"], result.stderr
    assert "On average over simple mapping · inference (1 prompt) the right answer gets <1% in A" in result.stdout
    assert "Explained is the mean logit of the right answer" in result.stdout
    assert "among the layers most came through layer 0 at “and”: +8.83" in " ".join(result.stdout.split())
    assert "output right answer" in result.stdout
    assert "±" in result.stdout


def test_json_and_csv(cli: Cli, tmp_path) -> None:
    result = cli(*CIRCUIT, "--json", "-", "--csv", tmp_path / "edges.csv")
    record = json.loads(result.stdout)
    assert record["first_tokens"] == 0  # every answer is one token
    assert record["a"]["tokens"] == ["<bos>", "the", "noun", "feels", "new word", "and"]
    assert [logit["token"] for logit in record["b"]["logits"]] == ["right answer", "other answers"]
    assert {edge["n"] for edge in record["edges"]} == {1}
    assert all(edge["spread_change"] == 0 for edge in record["edges"])
    first, change = record["places"][0], [place["b"] - place["a"] for place in record["places"]]
    assert (first["layer"], first["token"], first["error"]) == (-1, "new word", 0)  # of one prompt no error is known
    assert [abs(one) for one in change] == sorted(map(abs, change), reverse=True)
    move = record["moves"][0]
    assert (move["source_token"], move["target_token"]) == ("new word", "and")
    assert move["b"] - move["a"] == pytest.approx(15.0, abs=0.01)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "edges.csv").read_text(encoding="utf-8"))))
    assert len(rows) == len(record["edges"])
    assert {"share A", "spread_a", "n"} <= set(rows[0])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--type", "numbers"), "simple_mapping inference"),
        (("--type", "simple_mapping", "--kind", "guess"), "recall"),
        (("--type", "simple_mapping", "--prompts", "0"), "prompts"),
        (("--type", "simple_mapping", "--prompts", "1", "--json", "no/such/folder/x.json"), "folder"),
    ],
)
def test_what_cannot_be_is_one_line(cli: Cli, words, message) -> None:
    result = cli(*CIRCUIT[:3], *words)
    assert result.exit_code == 2
    assert message in result.stderr


def test_the_old_name_still_works_and_is_not_listed(cli: Cli) -> None:
    old = cli("circuit", *CIRCUIT[1:], "--json", "-")
    assert old.exit_code == 0, old.stderr
    assert json.loads(old.stdout) == json.loads(cli(*CIRCUIT, "--json", "-").stdout)
    listed = cli("--help").stdout
    assert "mean-circuit" in listed
    assert not [line for line in listed.splitlines() if "circuit" in line.split()]
