"""`analyse` and `change` on a tiny run: what is told, as tables and as data."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import engine
from engine.domain.decisions import DecisionSettings, RunDecisions
from engine.domain.runs import RunConfig
from engine.store import Store
from engine.workflows.watching import CircuitWatcher
from tests.attribution.parts import BACKWARD_HOOK, SMALL, Never, workspace
from tests.cli.conftest import Cli

pytestmark = pytest.mark.filterwarnings(BACKWARD_HOOK)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.workflows.transcoders.SHARED_TRAINING", SMALL)
    monkeypatch.setattr("engine.workflows.watched_sets.SHARED_TRAINING", SMALL)


@pytest.fixture
def here(tmp_path: Path) -> Store:
    """The store that the commands use, with the runs `one` and `two`."""
    store = Store(Path(os.environ["TRACELAPSE_HOME"]))
    workspace(store, "llama", tmp_path / "base")
    return store


def test_analyse_then_change(here: Store, cli: Cli, tmp_path: Path) -> None:
    result = cli("analyse", "one", "--prompts", 2, "--json", tmp_path / "series.json")
    assert result.exit_code == 0, result.stderr
    assert "one, simple_mapping: meaning overlap; without the circuit" in result.stdout
    assert "16 graphs with the transcoders shared-one-" in result.stdout
    stored = json.loads((tmp_path / "series.json").read_text(encoding="utf-8"))
    assert len(stored["graphs"]) == 16

    result = cli("change", "one", "--json", tmp_path / "change.json")
    assert result.exit_code == 0, result.stderr
    assert (
        "one, spatial_relationship, traced afterwards: circuit change (influence of nodes) since the" in result.stdout
    )
    assert "When the circuits settled" in result.stdout
    assert "So “not above the noise floor” does not mean “no change”." in " ".join(result.stdout.split())
    assert "A slow, steady drift also passes this rule." in " ".join(result.stdout.split())
    for policy in ("none", "loss_plateau", "probe_plateau", "circuit_saturation"):
        assert policy in result.stdout
    told = json.loads((tmp_path / "change.json").read_text(encoding="utf-8"))
    first = result.stdout.index("From one@base to one@100% the right answer’s logit, minus the mean logit, changes by")
    assert first < result.stdout.index("circuit change (influence of nodes)")  # the logit's difference leads
    assert "one, simple mapping · paraphrase (2 prompts): how far the right answer’s logit moved" in result.stdout
    by_type = {one["type"]: one for one in told["acted"]}
    assert list(by_type) == ["simple_mapping", "spatial_relationship"]
    steps = by_type["simple_mapping"]["steps"]
    assert [(step["from_step"], step["to_step"]) for step in steps] == [(0, 1), (1, 2), (2, 4)]
    whole = by_type["simple_mapping"]["change"]["mean"]
    assert sum(step["change"]["mean"] for step in steps) == pytest.approx(whole)
    assert told["series"] == here.series("one")[0].key.hash
    assert told["causal"] == stored["causal"]
    previous = [row for row in told["changes"] if (row["to"], row["measure"]) == ("previous", "influence")]
    assert [(row["step"], row["to_step"]) for row in previous] == [(1, 0), (2, 1), (4, 2)] * 2
    for row in previous:
        edges = [
            floor["edge"]
            for floor in told["floors"]
            if (floor["constraint_type"], floor["measure"]) == (row["constraint_type"], "influence")
            and floor["step"] in (row["step"], row["to_step"])
        ]
        assert row["edge"] == max(edges)
        assert row["said"] == (
            "within" if row["change"] <= row["edge"] else "change" if row["low"] > row["edge"] else "unclear"
        )
    assert [one["policy"] for one in told["stopping"]] == [
        "none",
        "loss_plateau",
        "probe_plateau",
        "circuit_saturation",
    ]
    assert [one["constraint_type"] for one in told["saturation"]] == ["simple_mapping", "spatial_relationship"]


def test_where_training_acted_needs_no_graphs(here: Store, cli: Cli, tmp_path: Path) -> None:
    result = cli("analyse", "one", "--prompts", 1, "--no-graphs", "--json", tmp_path / "acted.json")
    assert result.exit_code == 0, result.stderr
    assert here.series("one") == []
    told = json.loads((tmp_path / "acted.json").read_text(encoding="utf-8"))
    result = cli("change", "one", "--json", tmp_path / "change.json")
    assert "Circuit change was not measured: run `analyse one --kind paraphrase`." in result.stdout
    change = json.loads((tmp_path / "change.json").read_text(encoding="utf-8"))
    assert change["acted"] == told["acted"]
    assert (change["changes"], change["stopping"], change["series"]) == ([], [], None)
    for checkpoint in here.checkpoints("two")[1:]:
        (checkpoint.folder / "state.json").unlink()
    here.sync()
    result = cli("analyse", "two", "--no-graphs")
    assert result.exit_code == 2
    assert "When and where “two” learned cannot be measured. The base is the only checkpoint" in result.stderr
    # Nor is anybody sent to a command that would refuse as well.
    result = cli("change", "two")
    assert result.exit_code == 2
    assert "When and where “two” learned cannot be measured. The base is the only checkpoint" in result.stderr


def test_what_was_seen_while_it_trained_is_told_where_nothing_was_traced_afterwards(here: Store, cli: Cli) -> None:
    config: RunConfig = here.run("one")
    watching = CircuitWatcher(here, config.model_copy(update={"decisions": DecisionSettings(min_fit=0)}), Never())
    base, first, *_ = here.checkpoints("one")
    here.save_decisions(
        "one", RunDecisions(readings=(watching.take_reading(base, None), watching.take_reading(first, base)))
    )
    result = cli("change", "one")
    assert "Where training acted on “one” was not measured on its paraphrase probes. `analyse one" in result.stdout
    assert "one, simple_mapping, traced during training: circuit change (influence of nodes)" in result.stdout
    told = json.loads(cli("change", "one", "--json", "-").stdout)
    assert told["series"] is None
    assert {(row["step"], row["to_step"]) for row in told["changes"]} == {(1, 0)}
    assert told["overlap"] == told["causal"] == told["floors"] == []
    # Looks are at paraphrase probes: of others nothing is known.
    result = cli("change", "one", "--kind", "inference")
    assert result.exit_code == 2


def test_what_cannot_be_told(here: Store, cli: Cli) -> None:
    result = cli("change", "two")
    assert result.exit_code == 2
    assert "Neither where training acted on “two” nor its circuits were measured on its paraphrase" in result.stderr
    assert "analyse two --kind paraphrase" in result.stderr
    for command in ("analyse", "change"):
        result = cli(command, "nobody")
        assert result.exit_code == 2
        assert "No run named “nobody”" in result.stderr
        result = cli(command, "one", "--kind", "guess")
        assert result.exit_code == 2
        assert "“guess” is not a probe kind. Use recall, paraphrase, inference, retention." in result.stderr
    result = cli("analyse", "one", "--transcoders", "no-such")
    assert result.exit_code == 2
    assert "no-such" in result.stderr
    assert cli("analyse", "one", "--prompts", 0).exit_code == 2


def test_fewer_others_than_features_is_said(here: Store) -> None:
    from engine.cli.analysis import _ablated

    assert _ablated(12.5, 12.5) == "12"
    assert _ablated(30, 8) == "30 (others: 8)"


def test_change_needs_no_torch(here: Store, cli: Cli) -> None:
    assert cli("analyse", "one", "--prompts", 1).exit_code == 0
    code = (
        "import sys; from engine.cli.app import app\n"
        "try: app()\n"
        "except SystemExit as end: print('LOADED', end.code, *sorted(set(sys.modules) & {'torch', 'transformers'}))"
    )
    command = [sys.executable, "-c", code, "change", "one"]
    result = subprocess.run(command, capture_output=True, text=True, env=os.environ)
    assert result.stdout.rpartition("LOADED")[2].split() == ["0"], result.stderr


def test_a_notebook_has_it_too(here: Store) -> None:
    found = engine.open(here.workspace).learned("one", prompts=1)
    assert "From one@base to one@100% the right answer’s logit, minus the mean logit, changes by" in found.summary
    assert found.moves["constraint_type"].tolist() == ["simple_mapping"] * 3 + ["spatial_relationship"] * 3
    assert found.moves["to"].tolist() == [1, 2, 4] * 2
    assert found.moments["constraint_type"].tolist() == ["simple_mapping", "spatial_relationship"]
    assert found.moments["rest"].isna().all()  # of one word nothing is known for sure
