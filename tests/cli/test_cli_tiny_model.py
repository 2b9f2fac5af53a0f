"""Every action on a model from a folder: train, resume, probe, curves, trace, compare, jobs, store."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from typer.testing import Result

from engine.domain.jobs import TrainTranscoders
from engine.domain.models import TranscoderTraining
from engine.jobs import run_inline
from engine.models.adapters import merged_weights
from engine.models.base import load_base
from engine.store import Store
from tests.cli.tiny_run import PROMPT, Run, trained_run

SCORES = ("step", "constraint_type", "probe_kind", "n", "accuracy", "low", "high", "mean_p", "mean_rank", "logit_diff")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained_run(tmp_path_factory.mktemp("cli"))


def data(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_training_tells_its_checkpoints(run: Run) -> None:
    told = json.loads((run.folder / "train.json").read_text(encoding="utf-8"))  # type: ignore[attr-defined]
    assert [row["checkpoint"] for row in told["checkpoints"]] == ["tiny@base", "tiny@50%", "tiny@100%"]
    assert told["run"]["corpus"] == "tiny-words"
    assert told["run"]["model"]["name"] == "tiny-llama"


def test_runs_lists_it(run: Run) -> None:
    assert "tiny" in [row["run"] for row in data(run("runs", "--json", "-")) if not row["bundled"]]
    assert "tiny-words" in run("runs").stdout


def test_curves_and_probe_give_the_same_rows(run: Run) -> None:
    rows = data(run("curves", "tiny", "--json", "-"))
    assert [tuple(row) for row in rows] == [SCORES] * 3
    assert [row["step"] for row in rows] == [0, 2, 4]
    assert all(0 <= row["low"] <= row["accuracy"] <= row["high"] <= 1 for row in rows)
    again = data(run("probe", "tiny", "--json", "-"))
    assert [row["mean_p"] for row in again] == pytest.approx([row["mean_p"] for row in rows], rel=1e-4)
    assert "inference" in (table := run("curves", "tiny").stdout)
    assert f"{round(rows[-1]['accuracy'] * rows[-1]['n'])} of {rows[-1]['n']} (" in table  # they are few


def test_a_finished_run_resumed_stays_as_it_is(run: Run) -> None:
    assert run("train", "--name", "tiny", "--resume").exit_code == 0
    again = run("train", "--name", "tiny", "--resume", "--steps", 9)
    assert again.exit_code == 2
    assert "9" in again.stderr


def test_a_taken_name_is_refused(run: Run) -> None:
    again = run("train", "--name", "tiny", "--corpus", "tiny-words", "--model", "FOLDER/tiny-llama", "--steps", 4)
    assert again.exit_code == 2
    assert "tiny" in again.stderr


def test_checkpoints_from_elsewhere_become_a_run(run: Run) -> None:
    ours = run.folder / "workspace" / "runs" / "tiny" / "checkpoints"  # type: ignore[attr-defined]
    for step in (2, 4):
        theirs = run.folder / "out" / f"checkpoint-{step}"  # type: ignore[attr-defined]
        theirs.mkdir(parents=True)
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            shutil.copy(ours / f"step-{step:06}" / name, theirs)
    words = ("--name", "theirs", "--model", "tiny-llama", "--corpus", "tiny-words")
    told = run("import-adapter", "FOLDER/out", *words)
    assert told.exit_code == 0, told.output
    assert "base, 50%, 100%" in told.stdout
    same = ("step", "n", "accuracy", "mean_rank")
    tiny, theirs_too = (data(run("curves", name, "--json", "-")) for name in ("tiny", "theirs"))
    assert [[row[key] for key in same] for row in tiny] == [[row[key] for key in same] for row in theirs_too]
    again = run("import-adapter", "FOLDER/nothing", "--name", "other", "--model", "tiny-llama")
    assert again.exit_code == 2
    assert "nothing" in again.stderr


def test_a_merged_model_is_compared_as_any_run(run: Run) -> None:
    """What PEFT merged and transformers saved, against the base, with a set over both."""
    folder: Path = run.folder  # type: ignore[attr-defined]
    store = Store(folder / "workspace")
    loaded = load_base(store.run("tiny").model)
    merged_weights(loaded, store.checkpoint("tiny@100%").adapter).save_pretrained(folder / "merged")
    (found,) = data(run("import", "FOLDER/merged", "--preview", "--json", "-"))["checkpoints"]
    assert (found["kind"], found["step"], found["taken"]) == ("full", 1, True)
    told = run("import", "FOLDER/merged", "--name", "merged", "--model", "tiny-llama", "--corpus", "tiny-words")
    assert told.exit_code == 0, told.output
    assert "base, 100%" in told.stdout
    small = TranscoderTraining(n_features=32, top_k=4, n_steps=20, n_texts=50)
    both = TrainTranscoders(name="both", checkpoints=("merged@base", "merged@100%"), training=small)
    run_inline(store, both, on_progress=lambda *_: None)
    record = data(run("compare", "merged@base", "merged@100%", PROMPT, "--json", "-"))
    assert record["a"]["transcoders"] == record["b"]["transcoders"] == "both"
    assert record["acted"]["sum"] == pytest.approx(record["acted"]["after"] - record["acted"]["before"], rel=0.01)
    theirs = data(run("where", "tiny@100%", "merged@100%", PROMPT, "--json", "-"))["acted"]
    assert theirs["after"] == pytest.approx(theirs["before"], abs=1e-4)  # the same model, another way
    assert run("store", "check").exit_code == 0


def test_trace(run: Run) -> None:
    record = data(run("trace", "tiny@100%", PROMPT, "--json", "-"))
    everything = data(run("trace", "tiny@step4", PROMPT, "--all", "--json", "-"))
    assert record["checkpoint"] == "tiny@100%" == everything["checkpoint"]
    assert {"nodes", "edges", "scores", "logits", "tokens"} <= set(record)
    assert {"id", "activation", "influence"} <= set(record["nodes"][0])
    assert {"source", "target", "weight", "share"} <= set(record["edges"][0])
    assert len(record["nodes"]) < len(everything["nodes"])
    assert {node["id"] for node in record["nodes"]} <= {node["id"] for node in everything["nodes"]}
    shown = run("trace", "tiny@100%", PROMPT)
    assert "Replacement score" in shown.stdout


def test_compare(run: Run) -> None:
    record = data(run("compare", "tiny@base", "tiny@100%", PROMPT, "--json", "-"))
    assert (record["a"]["checkpoint"], record["b"]["checkpoint"]) == ("tiny@base", "tiny@100%")
    assert [logit["token_id"] for logit in record["a"]["logits"]] == [
        logit["token_id"] for logit in record["b"]["logits"]
    ]
    assert sum(record["summary"]["edges"].values()) == len(record["edges"])
    everything = data(run("compare", "tiny@base", "tiny@100%", PROMPT, "--all", "--json", "-"))
    assert len(everything["edges"]) > len(record["edges"])
    assert_parts_add_up(everything)
    shown = run("compare", "tiny@base", "tiny@100%", PROMPT)
    assert "smiles" in shown.stdout
    assert "edge similarity" in shown.stdout


def assert_parts_add_up(record: Any) -> None:
    """Of all edges and nodes: what flows into a node is its part but for constants, and sources make the logit."""
    for side in "ab":
        told = record["parts"][side]
        assert told["tokens"] + told["errors"] + told["left_out"] + told["constants"] == pytest.approx(
            told["logit"], abs=1e-4
        )
        nodes = {node["id"]: node for node in record["nodes"]}
        out_of: dict[str, float] = {}
        for edge in record["edges"]:
            out_of[edge["source"]] = out_of.get(edge["source"], 0.0) + edge[f"flow_{side}"]
        for name, flow in out_of.items():
            assert flow == pytest.approx(nodes[name][f"part_{side}"], abs=1e-3)
        assert any(abs(flow) > 1e-3 for flow in out_of.values())
        of_places = sum(node[f"part_{side}"] for node in nodes.values() if node["kind"] in ("feature", "error"))
        assert sum(place[side] for place in record["places"]) == pytest.approx(of_places, abs=1e-3)
    assert {"source", "target", "source_token", "target_token", "a", "b"} == set(record["moves"][0])
    assert record["acted"]["sum"] == pytest.approx(record["acted"]["after"] - record["acted"]["before"], rel=0.01)


def test_where_training_acted(run: Run) -> None:
    told = data(run("where", "tiny@base", "tiny@100%", PROMPT, "--answer", "smiles", "--json", "-"))
    assert (told["a"], told["b"], told["prompt"]) == ("tiny@base", "tiny@100%", PROMPT)
    acted = told["acted"]
    change = acted["after"] - acted["before"]
    assert acted["answer"] == "smiles"
    assert abs(change) > 1e-6
    assert acted["sum"] == pytest.approx(change, rel=0.01)
    assert acted["left"] == pytest.approx(change - acted["sum"])
    for parts in (acted["places"], acted["matrices"]):
        assert sum(row["part"] for row in parts) == pytest.approx(acted["sum"], rel=1e-5)
    assert set(acted["places"][0]) == {"layer", "position", "token", "part"}
    sizes = [abs(row["part"]) for row in acted["places"]]
    assert sizes == sorted(sizes, reverse=True)
    assert [(step["a"], step["b"]) for step in acted["steps"]] == [
        ("tiny@base", "tiny@50%"),
        ("tiny@50%", "tiny@100%"),
    ]
    assert set(acted["effects"][0]) == {"layer", "kind", "head", "position", "token", "effect"}
    assert {row["kind"] for row in acted["effects"]} == {"MLP", "head"}
    assert acted["steps"][0]["after"] == acted["steps"][1]["before"]
    assert sum(step["sum"] for step in acted["steps"]) == pytest.approx(acted["sum"])
    shown = run("where", "tiny@base", "tiny@100%", PROMPT, "--answer", "smiles").stdout
    for words in (
        "By token",
        "blarf",
        "base to 50%",
        "The largest matrices",
        "q_proj",
        "The largest heads",
        "What matters most",
    ):
        assert words in shown


def test_where_over_the_probes_of_a_type(run: Run) -> None:
    """There is one such probe: the mean is what the prompt alone gives."""
    command = ("where", "tiny@base", "tiny@100%", "--type", "simple_mapping", "--kind", "inference")
    mean = data(run(*command, "--json", "-"))["acted"]
    alone = data(run("where", "tiny@base", "tiny@100%", PROMPT, "--answer", "smiles", "--json", "-"))["acted"]
    assert (mean["type"], mean["kind"], mean["probes"], mean["words"]) == ("simple_mapping", "inference", 1, ["blarf"])
    assert mean["change"]["mean"] == pytest.approx(alone["after"] - alone["before"])
    assert mean["change"]["low"] is None
    word = sum(row["part"] for row in alone["places"] if row["token"].strip() == "blarf")
    assert {row["role"]: row["part"] for row in mean["roles"]}["new word"] == pytest.approx(word)
    shown = run(*command).stdout
    for words in (
        "simple mapping · inference (1 prompt)",
        "By role",
        "new word",
        "base to 50%",
        "mlp.down_proj",
        "blarf",
    ):
        assert words in shown
    for wrong, says in (
        ((), "either a prompt or --type"),
        ((PROMPT, "--type", "simple_mapping"), "either a prompt or --type"),
        (("--type", "simple_mapping", "--answer", "smiles"), "Leave out --answer"),
        (("--type", "spatial"), "simple_mapping inference"),
    ):
        refused = run("where", "tiny@base", "tiny@100%", *wrong)
        assert refused.exit_code == 2
        assert says in refused.stderr


def test_where_of_a_contrast(run: Run) -> None:
    words = ("--answer", "smiles", "--answer", "cries", "--against", "slow")
    told = data(run("where", "tiny@base", "tiny@100%", PROMPT, *words, "--json", "-"))["acted"]
    assert told["answer"] == "mean of smiles and cries − slow"
    assert (told["answers"], told["against"]) == (["smiles", "cries"], ["slow"])
    assert (
        "“mean of smiles and cries − slow” changes by" in run("where", "tiny@base", "tiny@100%", PROMPT, *words).stdout
    )
    twice = run("where", "tiny@base", "tiny@100%", PROMPT, "--answer", "smiles", "--against", "smiles")
    assert twice.exit_code == 2
    assert "named twice" in twice.stderr


def test_where_of_a_checkpoint_and_itself_and_of_an_answer_that_is_none(run: Run) -> None:
    assert "have the same weights" in run("where", "tiny@50%", "tiny@50%", PROMPT).stdout
    of_type = ("where", "tiny@50%", "tiny@50%", "--type", "simple_mapping", "--kind", "inference")
    assert "have the same weights" in run(*of_type).stdout
    nothing = data(run(*of_type, "--json", "-"))["acted"]
    assert (nothing["places"], nothing["change"]["mean"], nothing["sum"]["mean"]) == ([], 0, 0)
    refused = run("where", "tiny@base", "tiny@100%", PROMPT, "--answer", "unheard")
    assert refused.exit_code == 2
    assert "unheard" in refused.stderr


def test_which_examples_taught_it(run: Run) -> None:
    told = data(run("taught", "tiny", PROMPT, "--answer", "smiles", "--json", "-"))
    assert (told["checkpoint"], told["prompt"], told["answer"].strip()) == ("tiny@100%", PROMPT, "smiles")
    assert told["captures"] == ["tiny@base", "tiny@50%", "tiny@100%"]
    assert {one["id"] for one in told["examples"]} == {"e0", "e1", "e2", "e3"}
    pushes = [one["push"] for one in told["examples"]]
    assert pushes == sorted(pushes, reverse=True)
    shown = run("taught", "tiny@50%", "--type", "simple_mapping", "--first", 2).stdout
    assert "1 probe of the type simple_mapping" in shown
    assert shown.count("is blarf so it feels happy") == 2
    refused = run("taught", "tiny@base", PROMPT)
    assert refused.exit_code == 2
    assert "before training" in refused.stderr


def test_circuit_traces_what_is_missing(run: Run) -> None:
    command = ("mean-circuit", "tiny@50%", "tiny@100%", "--type", "simple_mapping", "--prompts", 5, "--json", "-")
    record = data(run(*command))
    assert record["a"]["prompt"] == "simple mapping · inference (1 prompt)"
    pair = data(run("compare", "tiny@50%", "tiny@100%", PROMPT, "--json", "-"))
    p = {logit["token"].strip(): logit["probability"] for logit in pair["b"]["logits"]}
    assert record["b"]["logits"][0]["probability"] == pytest.approx(p["smiles"])


def test_an_unknown_checkpoint_lists_those_that_exist(run: Run) -> None:
    result = run("trace", "tiny@33%", PROMPT)
    assert result.exit_code == 2
    assert "tiny@50%" in result.stderr or "50%" in result.stderr


@pytest.mark.parametrize(
    ("prompt", "says"), [("", "empty"), ("   ", "empty"), ("the cat is zzz", "zzz"), ("the " * 200, "tokens")]
)
def test_prompts_that_the_model_cannot_take(run: Run, prompt: str, says: str) -> None:
    for command in (("trace", "tiny@100%"), ("compare", "tiny@base", "tiny@100%")):
        result = run(*command, prompt)
        assert result.exit_code == 2, result.output
        assert says in result.stderr
        shown = prompt.strip() and prompt != prompt.strip()  # its edges are told first
        assert result.stderr.count("\n") == (2 if shown else 1)


def test_markup_in_a_prompt_is_text(run: Run) -> None:
    result = run("trace", "tiny@100%", "the [red]cat[/red]")
    assert result.exit_code == 2
    assert "[red]cat[/red]" in result.stderr


def test_jobs_remember_what_was_done(run: Run) -> None:
    jobs = data(run("jobs", "--json", "-"))
    assert {"done"} <= {job["state"] for job in jobs}
    assert {"train"} <= {job["request"]["action"] for job in jobs}
    finished = next(job for job in jobs if job["state"] == "done")
    for option in ("--cancel", "--resume"):
        result = run("jobs", option, finished["id"])
        assert result.exit_code == 2
        assert "done" in result.stderr
    assert run("jobs", "--cancel", "../x").exit_code == 2


def test_the_store_is_whole_until_a_file_is_damaged(run: Run) -> None:
    assert run("store", "check").exit_code == 0
    weights = next((run.folder / "workspace" / "runs").rglob("adapter_model.safetensors"))  # type: ignore[attr-defined]
    whole = weights.read_bytes()
    try:
        weights.write_bytes(whole[: len(whole) // 2])
        result = run("store", "check", "--json", "-")
        assert result.exit_code == 2
        assert str(weights) in result.stdout
    finally:
        weights.write_bytes(whole)
    assert run("store", "rebuild").exit_code == 0
    assert run("store", "check").exit_code == 0


def test_the_same_in_a_process_of_its_own(run: Run, tmp_path: Path) -> None:
    workspace = run.folder / "workspace"  # type: ignore[attr-defined]
    command = [sys.executable, "-m", "engine", "curves", "tiny", "--json", "-"]
    environment = {**os.environ, "TRACELAPSE_HOME": str(workspace), "PYTHONIOENCODING": "ascii"}
    result = subprocess.run(command, capture_output=True, env=environment)
    assert result.returncode == 0, result.stderr.decode()
    assert len(json.loads(result.stdout.decode("utf-8"))) == 3


def test_a_job_canceled_from_elsewhere_ends_with_130_and_can_be_resumed(run: Run) -> None:
    workspace, name = run.folder / "workspace", "cancelled"  # type: ignore[attr-defined]
    command = [
        sys.executable, "-m", "engine", "train", "--workspace", str(workspace), "--model", "tiny-llama", "--corpus",
        "tiny-words", "--steps", "2", "--name", name,
    ]  # fmt: skip
    with (
        FileLock(workspace / "train.lock"),  # another training: the job waits until it is stopped
        subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process,
    ):
        job = wait_for(lambda: next((j for j in data(run("jobs", "--json", "-")) if is_waiting(j)), None))
        assert run("jobs", "--cancel", job["id"]).exit_code == 0
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "Stopped."
    assert "Traceback" not in said
    stopped = next(j for j in data(run("jobs", "--json", "-")) if j["id"] == job["id"])
    assert stopped["state"] == "cancelled"  # as files have it
    assert "canceled" in run("jobs").stdout  # as texts have it
    resumed = run("jobs", "--resume", job["id"])
    assert resumed.exit_code == 0, resumed.output
    assert data(run("curves", name, "--json", "-"))[-1]["step"] == 2


def is_waiting(job: dict[str, Any]) -> bool:
    return job["state"] == "running" and "waiting" in job["progress"]["message"]


def wait_for(reading: Callable[[], Any]) -> Any:
    end = time.monotonic() + 180
    while time.monotonic() < end:
        if found := reading():
            return found
        time.sleep(0.2)
    raise AssertionError("it did not happen within three minutes")
