"""`features` on the bundled demo: as text, as JSON, once looked up without torch; and what it refuses."""

import json
import os
import subprocess
import sys

import pytest

from tests.cli.conftest import Cli

CHECKPOINT = "demo-lora@100%"


def test_facts_are_looked_up_once_and_then_shown_without_torch(cli: Cli) -> None:
    looked_up = cli("features", "demo-lora@step300", "3/207", "1/3", "3/207")
    assert looked_up.exit_code == 0, looked_up.output
    assert looked_up.stdout.count("Feature 3/207 in demo-lora@100%: active on ") == 1
    assert looked_up.stdout.count("Feature 1/3 ") == 1
    assert "Promotes " in looked_up.stdout
    assert "Suppresses " in looked_up.stdout
    code = (
        "import sys; from engine.cli.app import app\n"
        "try: app()\n"
        "except SystemExit as end: print('LOADED', end.code, *sorted(set(sys.modules) & {'torch', 'transformers'}))"
    )
    command = [sys.executable, "-c", code, "features", CHECKPOINT, "3/207", "1/3"]
    again = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=os.environ)
    shown, _, loaded = again.stdout.rpartition("LOADED")
    assert loaded.split() == ["0"], again.stderr
    assert shown == looked_up.stdout


def test_json_has_everything(cli: Cli) -> None:
    result = cli("features", CHECKPOINT, "3/207", "--transcoders", "demo-shared", "--json", "-")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert (record["checkpoint"], record["transcoders"]) == (CHECKPOINT, "demo-shared")
    (feature,) = record["features"]
    assert (feature["layer"], feature["index"]) == (3, 207)
    assert sum(feature["counts"]) == feature["n_active"] == round(feature["density"] * feature["n_tokens"])
    peaks = [max(text["activation"]) for text in feature["texts"]]
    assert peaks == sorted(peaks, reverse=True)
    assert peaks[0] == pytest.approx(feature["max_activation"])
    assert all(len(text["tokens"]) == len(text["activation"]) for text in feature["texts"])
    assert all(row["effect"] > 0 for row in feature["promoted"])
    assert all(row["effect"] < 0 for row in feature["suppressed"])


def test_labels_that_are_there_are_told(cli: Cli) -> None:
    result = cli("label-features", CHECKPOINT, "demo-tokens@100%", "--json", "-")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert record["transcoders"] == "demo-shared"
    assert record["labels"]["3/566"] == {"label": "and, often → smiles", "automatic": True}
    assert len(record["labels"]) > 2000
    assert cli("label-features", "nobody@base").exit_code == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((CHECKPOINT, "3-207"), "names no feature. Write layer and index, as 3/217"),
        ((CHECKPOINT, "feature/3/1/207"), "names no feature"),
        ((CHECKPOINT, "[red]x[/red]"), "[red]x[/red]"),
        ((CHECKPOINT, "9/1"), "Feature 9/1 does not exist: this transcoder set has layers 0 to 3"),
        ((CHECKPOINT, "0/1", "--transcoders", "other"), "“other”"),
        (("demo-lora@33%x", "0/1"), "33%x"),
        ((CHECKPOINT, "0/1", "--json", "/nowhere/x.json"), "/nowhere"),
    ],
)
def test_what_it_refuses(cli: Cli, words: tuple[str, ...], says: str) -> None:
    result = cli("features", *words)
    assert result.exit_code == 2, result.output
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
