"""`circuits` on a tiny run: what is told, as tables and as data, and what is refused."""

import csv
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import engine
from engine.cli.circuit_text import show_circuit
from engine.domain.components import SHARES
from engine.store import Store
from tests.cli.conftest import Cli
from tests.figures.component_makers import random_scores, side
from tests.workflows.component_runs import copied, two_runs

QUICK = ("--n-pairs", 8, "--steps", 2, "--groups", 2)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return two_runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(autouse=True)
def here(made: Path) -> Store:
    """The store that the commands use, with the runs `one` and `two`."""
    return copied(made, Store(Path(os.environ["TRACELAPSE_HOME"])))


def test_find_then_show_then_change(cli: Cli, tmp_path: Path) -> None:
    result = cli("circuits", "find", "one", *QUICK, "--shares", "0.5,1", "--json", tmp_path / "found.json")
    assert result.exit_code == 0, result.stderr
    assert "one@25%" in result.stdout
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert [one["checkpoint"] for one in found] == ["one@base", "one@25%", "one@50%", "one@100%"]
    assert [point["share"] for point in found[0]["points"]] == [0.5, 1.0]

    files = {name: tmp_path / f"circuit.{name}" for name in ("json", "csv", "graphml")}
    result = cli(
        "circuits", "show", "one@100%", "--share", 0.5, "--json", files["json"], "--csv", files["csv"],
        "--graphml", files["graphml"], "--top", 3,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    told = json.loads(files["json"].read_text(encoding="utf-8"))
    assert f"{len(told['edges'])} of 46 edges" in result.stdout
    assert f"{len(told['nodes'])} of 8 nodes are left after pruning" in result.stdout
    assert "The 3 largest edges" in result.stdout
    assert "faithfulness" in result.stdout
    rows = list(csv.DictReader(files["csv"].read_text(encoding="utf-8").splitlines()))
    assert [row["source"] for row in rows] == [edge["source"] for edge in told["edges"]]
    assert files["graphml"].read_text(encoding="utf-8").count("<edge ") == len(rows)

    result = cli("circuits", "change", "one", "--share", 0.5, "--critical", 1, "--json", tmp_path / "change.json")
    assert result.exit_code == 0, result.stderr
    assert "one, circuits of 50% of all edges" in result.stdout
    assert "Δ_S of edges" in result.stdout
    assert "`analyse one` traces them" in result.stdout
    change = json.loads((tmp_path / "change.json").read_text(encoding="utf-8"))
    assert [step["step"] for step in change["steps"]] == [0, 1, 2, 4]
    assert "edges_appeared" not in change["steps"][0]
    for before, after in zip(change["steps"], change["steps"][1:], strict=False):
        assert after["n_edges"] - before["n_edges"] == after["edges_appeared"] - after["edges_vanished"]
    assert len(change["critical"]) == 1
    merged = json.loads(cli("circuits", "change", "one", "--share", 0.5, "--qkv", "merged", "--json", "-").stdout)
    assert merged["steps"][3]["n_nodes"] == change["steps"][3]["n_nodes"]
    assert merged["critical"] == [0, 1]  # five, or all layers


def test_of_circuits_found_in_two_ways_one_is_shown_as_on_the_page_and_the_other_named(cli: Cli) -> None:
    assert cli("circuits", "find", "one", *QUICK, "--shares", "").exit_code == 0
    other = (*QUICK[:2], "--steps", 1, *QUICK[4:])
    found = cli("circuits", "find", "one@base", *other, "--shares", "").stdout
    assert "Found by EAP (1 point). `circuits show RUN@CKPT --steps 1` shows one" in " ".join(found.split())
    shown = " ".join(cli("circuits", "show", "one@base", "--share", 0.5).stdout.split())
    assert shown.startswith("one@base, found with 8 prompt pairs of “tiny” by EAP-IG (2 points)")
    assert "in other ways, too: with “tiny” by EAP (1 point) (--pairs tiny --steps 1)." in shown
    assert (
        "by EAP (1 point)"
        in " ".join(cli("circuits", "show", "one@base", "--steps", 1, "--share", 0.5).stdout.split())[:80]
    )
    assert "with --steps 9" in cli("circuits", "show", "one@base", "--steps", 9).stderr


def test_the_notebook_has_a_table_of_what_it_asked_for(cli: Cli, here: Store) -> None:
    assert cli("circuits", "find", "one@base", *QUICK).exit_code == 0  # in another way: none of its rows
    table = engine.open(here.workspace).find_circuits("one@base", "one@100%", n_steps=1, n_pairs=8)
    assert list(table["checkpoint"].unique()) == ["one@base", "one@100%"]
    assert (set(table["n_steps"]), set(table["n_pairs"]), set(table["pairs"])) == ({1}, {8}, {"tiny"})
    assert table["n_edges"].iloc[-1] == 46
    whole = table[table["share"] == 1.0]["faithfulness"].dropna()
    assert ((whole - 1).abs() < 1e-5).all()
    assert len(table) == 2 * len(SHARES)


def test_sizes_of_a_circuit(cli: Cli) -> None:
    assert cli("circuits", "find", "one@base", *QUICK, "--shares", "").exit_code == 0

    def n_edges(*size: object) -> int:
        return len(json.loads(cli("circuits", "show", "one@base", *size, "--json", "-").stdout)["edges"])

    assert n_edges("--n", 46) == n_edges("--share", 1) == 46
    assert 0 < n_edges("--n", 20, "--how", "greedy") <= 20
    assert n_edges("--threshold", 1e-12) <= 46
    for size, message in {
        ("--n", 47): "47 edges",
        ("--share", 1.5): "share",
        ("--n", 0): "0 edges",
        ("--n", 5, "--share", 0.5): "one size",
        ("--threshold", 1e9): "The circuit is empty",
    }.items():
        result = cli("circuits", "show", "one@base", *size)
        assert result.exit_code == 2
        assert message in result.stderr


def test_robustness_and_union(cli: Cli, tmp_path: Path) -> None:
    result = cli(
        "circuits", "robustness", "one@100%", *QUICK, "--share", 0.5, "--levels", "0.5", "--json", tmp_path / "r.json"
    )
    assert result.exit_code == 0, result.stderr
    assert "disjoint parts of the data" in result.stdout
    assert "50% of the tokens replaced" in result.stdout
    told = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert [one["subject"] for one in told["subjects"]] == ["tuned", "base", "random"]

    parts = ("--part", "one@50%", "--part", "two@100%:tiny")
    result = cli("circuits", "union", "one@100%", *parts, *QUICK, "--shares", "0.01,1", "--json", tmp_path / "u.json")
    assert result.exit_code == 0, result.stderr
    assert "The union of one@50% on “tiny”, two@100% on “tiny”, measured at one@100%" in result.stdout
    assert "Left out: 1%" in result.stdout
    told = json.loads((tmp_path / "u.json").read_text(encoding="utf-8"))
    assert [point["share"] for point in told["points"]] == [1.0]


PAIR = {
    "split": "pair", "id": "p", "clean": "a blarf king is", "corrupted": "a gleem king is", "answer": "happy",
    "corrupted_answer": "sad", "constraint_type": "simple_mapping",
}  # fmt: skip


def test_pairs_of_a_file(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps(PAIR) + "\n", encoding="utf-8")
    result = cli("circuits", "find", "one@base", "--pairs", path, *QUICK, "--shares", "", "--json", "-")
    assert result.exit_code == 0, result.stderr
    (found,) = json.loads(result.stdout)
    assert (found["pairs"], found["n_pairs"], found["points"]) == ("mine", 1, [])
    path.with_stem("odd").write_text(json.dumps(PAIR | {"clean": "a blarf is"}) + "\n", encoding="utf-8")
    result = cli("circuits", "find", "one@base", "--pairs", path.with_stem("odd"), *QUICK)
    assert result.exit_code == 2
    assert "tokens" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("find", "nobody"), "No run named “nobody”"),
        (("find", "one@x33"), "“one@x33” is not a checkpoint"),
        (("find", "one@base", "--pairs", "gone"), "gone"),
        (("find", "one@base", "--shares", "0.5,2"), "“2” is not a share"),
        (("find", "one@base", "--steps", "1", "--metric", "kl"), "plain EAP"),
        (("find", "one@base", "--n-pairs", "0"), "n_pairs"),
        (("find", "one@base", "--metric", "guess"), "guess"),
        (("show", "one@base"), "circuits find one@base"),
        (("change", "one"), "circuits find one"),
        (("robustness", "one@base", "--groups", "1"), "2 parts or more"),
        (("union", "one@base", "--part", "one@50%"), "two or more parts"),
        (("union", "one@base", "--part", "one@50%", "--part", "two@50%:gone"), "gone"),
    ],
)
def test_what_cannot_be_done(cli: Cli, words: tuple[str, ...], message: str) -> None:
    result = cli("circuits", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1 or "Usage" in result.stderr


def test_more_critical_layers_than_there_are(cli: Cli) -> None:
    assert cli("circuits", "find", "one", *QUICK, "--shares", "").exit_code == 0
    result = cli("circuits", "change", "one", "--share", 0.5, "--critical", 3)
    assert result.exit_code == 2
    assert "the model has 2 layers" in result.stderr


def test_show_and_change_need_no_torch(cli: Cli) -> None:
    assert cli("circuits", "find", "one", *QUICK, "--shares", "").exit_code == 0
    code = (
        "import sys; from engine.cli.app import app\n"
        "for words in (['show', 'one@base'], ['change', 'one']):\n"
        "    try: app(['circuits', *words, '--share', '0.5'])\n"
        "    except SystemExit as end: print('LOADED', end.code, *sorted(set(sys.modules) & {'torch', 'transformers'}))"
    )
    result = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert [line for line in result.stdout.splitlines() if line.startswith("LOADED")] == ["LOADED 0"] * 2, result.stderr


@pytest.mark.parametrize(("n", "told"), [(4, True), (20, False)])
def test_a_circuit_of_few_pairs_says_so(capsys: pytest.CaptureFixture[str], n: int, told: bool) -> None:
    scores = replace(random_scores(1), n_pairs=np.array([n]))
    show_circuit(scores, side(scores).circuit, None, top=3)
    said = " ".join(capsys.readouterr().out.split())
    assert ("Found with 4 prompt pairs. With so few, which edges, heads and MLPs matter most" in said) == told
