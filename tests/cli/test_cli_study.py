"""`study`: its table, its JSON, and what is left when its process is stopped or killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from engine.store import Store
from tests.cli.conftest import Cli
from tests.studies import fake_runs
from tests.studies.fake_runs import order_corpus, pids

# The command line as it is, with work that takes no model.
WITH_FAKES = (
    "import engine.studies.execute as execute; from tests.studies import fake_runs; execute.do_run = fake_runs.work\n"
    "from engine.cli.app import app\n"
    "app()"
)


@pytest.fixture
def workspace() -> Store:
    return Store.open()  # the test's own, by TRACELAPSE_HOME


def study_file(tmp_path: Path, grids: str) -> Path:
    path = tmp_path / "tried.yaml"
    path.write_text(f"name: tried\nn_steps: 4\ncapture_every: 2\n{grids}\n", encoding="utf-8")
    return path


def test_a_study_of_a_corpus_of_its_own(cli: Cli, tmp_path: Path, workspace: Store) -> None:
    file = study_file(tmp_path, "make: [{name: words, seed: 3, n_probes: 5}]\ngrids: [{corpora: [words]}]")
    told = cli("study", file, "--workers", 1, "--json", tmp_path / "out.json")
    assert told.exit_code == 0, told.output
    assert "tried: 1 of 1 runs" in told.stdout
    assert f"python -m engine study {file} --only words-lora-s0" in told.stdout
    assert "Do simple mappings learn faster than spatial relationships?" in told.stdout
    record = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    (group,) = record["groups"]
    assert (group["corpus"], group["n"], group["steps"]["value"]) == ("words", 1, 4.0)
    assert 0 <= group["spatial_relationship paraphrase"]["value"] <= 1
    assert record["runs"][0]["command"].startswith("python -m engine train --name words-lora-s0 --corpus words")
    assert (record["n_asked"], record["study"]["n_runs"], record["study"]["failed"]) == (1, 1, {})
    # The probes that the base cannot answer with the known word are not in it: some of 5 x 4 kinds x 2 types at most.
    n_probes = len(workspace.corpus("words").probes)
    assert 0 < n_probes <= 40


def test_the_table_has_a_row_for_each_way_to_train(
    cli: Cli, tmp_path: Path, workspace: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.studies.execute.do_run", fake_runs.work)
    workspace.save_corpus(order_corpus("orders", tmp_path, s2="fail"))
    file = study_file(tmp_path, "grids: [{corpora: [orders], methods: [lora, tokens], seeds: 0-1}, {corpora: [orders], seeds: [2]}]")  # fmt: skip  # noqa: E501
    told = cli("study", file, "--only", "*-s0", "--only", "orders-lora-s2", "--only", "orders-tokens-s1")
    assert told.exit_code == 0, told.output
    assert "3 of 5 runs" in told.stdout
    assert "--only orders-lora-s0\n" in told.stdout
    assert "--only 'orders-tokens-s*'\n" in told.stdout
    assert "orders-lora-s2" in told.stdout.rpartition("run without a result")[2]
    rows = json.loads(cli("study", file, "--only", "orders-lora-s0", "--json", "-").stdout)["groups"]
    assert [(row["method"], row["n"]) for row in rows] == [("lora", 1), ("tokens", 2)]
    assert [row["seconds"]["value"] for row in rows] == [1.0, 1.0]  # what the fake says of each


def test_what_cannot_be_done_is_one_line(cli: Cli, tmp_path: Path, workspace: Store) -> None:
    before = workspace.studies()
    file = study_file(tmp_path, "grids: [{corpora: [nothing]}]")
    for words, says in (
        (("study", tmp_path / "no.yaml"), "There is no study file"),
        (("study", file), "No corpus named “nothing”"),
        (("study", file, "--only", "else"), "nothing-lora-s0"),
        (("study", file, "--workers", 0), "workers"),
        (("study", file, "--json", tmp_path), "it is a folder"),
    ):
        result = cli(*words)
        assert result.exit_code == 2, result.output
        assert says in result.stderr
        assert "Traceback" not in result.stderr
    assert workspace.studies() == before


def test_killed_as_a_whole_it_goes_on_where_it_was(tmp_path: Path, workspace: Store) -> None:
    workspace.save_corpus(order_corpus("orders", tmp_path, s1="wait once"))
    file = study_file(tmp_path, "grids: [{corpora: [orders], seeds: 0-2}]")
    with running(file) as process:
        wait_for(lambda: "orders-lora-s0" in workspace.outcomes("tried") and pids(tmp_path, "orders-lora-s1"))
        process.kill()
    # Its worker ends the run, cleans up, and goes.
    wait_for((tmp_path / "orders-lora-s1-stopped").exists)
    wait_for(lambda: not psutil.pid_exists(pids(tmp_path, "orders-lora-s1")[0]))
    with running(file) as process:
        out, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert "3 of 3 runs" in out
    assert [len(pids(tmp_path, f"orders-lora-s{seed}")) for seed in range(3)] == [1, 2, 1]


def test_ctrl_c_keeps_what_is_done(tmp_path: Path, workspace: Store) -> None:
    workspace.save_corpus(order_corpus("orders", tmp_path, s1="wait"))
    file = study_file(tmp_path, "grids: [{corpora: [orders], seeds: 0-2}]")
    with running(file) as process:
        wait_for(lambda: "orders-lora-s0" in workspace.outcomes("tried") and pids(tmp_path, "orders-lora-s1"))
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "Stopped."
    assert "Traceback" not in said
    assert (tmp_path / "orders-lora-s1-stopped").exists()
    assert workspace.study("tried").n_runs == 1
    assert list(workspace.study_tables("tried").runs["run"]) == ["orders-lora-s0"]


@contextmanager
def running(file: Path) -> "Iterator[subprocess.Popen[str]]":
    command = [sys.executable, "-c", WITH_FAKES, "study", str(file), "--workers", "1"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        yield process


def wait_for(so: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not so():
        assert time.monotonic() < end, "it did not happen within a minute"
        time.sleep(0.05)


def test_a_study_of_methods_shows_what_it_compares_and_not_its_search(
    cli: Cli, tmp_path: Path, workspace: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.studies.execute.do_run", fake_runs.work)
    workspace.save_corpus(order_corpus("orders", tmp_path, **{"lr0.002": "7", "lr0.004": "5"}))
    file = study_file(
        tmp_path,
        "asks: methods\nsearch: {factors: [1, 2], seeds: [9]}\n"
        "grids: [{corpora: [orders], seeds: 0-1, search: true}, {corpora: [orders], variant: big, rank: 16}]",
    )
    told = cli("study", file, "--workers", 1)
    assert told.exit_code == 0, told.output
    assert "5 of 5 runs" in told.stdout
    assert "Is CircuitLoRA better than LoRA" in told.stdout
    assert "--only 'orders-lora-s[0-9]*'\n" in told.stdout  # and not the runs of the search, which begin alike
    rows = json.loads(cli("study", file, "--json", "-").stdout)["groups"]
    assert [(row["variant"], row["n"], row["learning_rate"]) for row in rows] == [("", 2, 0.002), ("big", 1, 0.002)]
    assert rows[0]["accuracy"]["value"] == 0.7
    assert "orders paraphrase" not in rows[0]
