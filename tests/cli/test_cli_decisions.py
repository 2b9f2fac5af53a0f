"""`train` with policies: options, their errors, what is told and written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.cli.deciding import decision_settings
from engine.domain.decisions import DecisionSettings
from engine.domain.errors import InputError
from engine.store import Store
from tests.cli.conftest import Cli
from tests.tiny import tiny_corpus, tiny_llama


@pytest.fixture
def train(cli: Cli, tmp_path: Path) -> Callable[..., Any]:
    """`train` on a tiny model; at learning rate 0 nothing moves."""
    (tmp_path / "tiny.jsonl").write_text(tiny_corpus().to_jsonl(), encoding="utf-8")
    tiny_llama(tmp_path / "llama")
    shared = (
        "train", "--name", "run", "--model", tmp_path / "llama", "--corpus", tmp_path / "tiny.jsonl", "--lr", 0,
        "--steps", 8, "--capture", "1", "--every", 2, "--batch-size", 6,
    )  # fmt: skip
    return lambda *more: cli(*shared, *more)


def workspace(tmp_path: Path) -> Store:
    return Store(tmp_path / "workspace", bundled=None)


def test_settings_are_read_one_by_one() -> None:
    base = DecisionSettings(patience=7)
    assert decision_settings((), base) == base
    found = decision_settings(
        ("loss_drop=0.5", " probe_kind = recall ", "n_prompts=3", "loss_drop=0.25", "measure=edge_jaccard"), base
    )
    assert found == DecisionSettings(
        patience=7, loss_drop=0.25, probe_kind="recall", n_prompts=3, measure="edge_jaccard"
    )


@pytest.mark.parametrize(
    ("pair", "says"),
    [
        ("patience", "“patience” has no value. Write --decide KEY=VALUE"),
        ("patients=3", "“patients” is not a policy setting. Choose one of patience, loss_drop"),
        ("=3", "“” is not a policy setting"),
        ("patience=0", "“0” is not a valid patience. Input should be greater than or equal to 1."),
        ("patience=many", "“many” is not a valid patience"),
        ("probe_kind=magic", "“magic” is not a probe kind. Use recall, paraphrase"),
        ("loss_drop=", "“” is not a valid loss_drop"),
    ],
)
def test_what_cannot_be_is_named(pair: str, says: str) -> None:
    with pytest.raises(InputError) as refused:
        decision_settings((pair,), DecisionSettings())
    assert says in str(refused.value)


def test_a_run_that_a_policy_ends_is_told(train: Callable[..., Any], tmp_path: Path) -> None:
    done = train("--stopping", "probe_plateau", "--patience", 2, "--json", tmp_path / "train.json")
    assert done.exit_code == 0, done.output
    assert "Stopped at step 4. The paraphrase probes are flat from base to step" in " ".join(done.stdout.split())
    told = json.loads((tmp_path / "train.json").read_text(encoding="utf-8"))
    assert told["stopped_at"] == 4
    assert [one["step"] for one in told["decisions"]] == [row["step"] for row in told["checkpoints"]] == [0, 2, 4]
    assert told["run"]["decisions"]["patience"] == 2


def test_options_of_a_run_that_is_resumed_stay_as_they_were(
    train: Callable[..., Any], cli: Cli, tmp_path: Path
) -> None:
    options = ("--stopping", "loss_plateau", "--curriculum", "under_learned", "--decide", "least_share=0.5")
    assert train(*options, "--no-watch").exit_code == 0
    config = workspace(tmp_path).run("run")
    assert (config.stopping, config.curriculum, config.watch) == ("loss_plateau", "under_learned", False)
    assert config.decisions == DecisionSettings(least_share=0.5)
    assert cli("train", "--name", "run", "--resume").exit_code == 0
    assert cli("train", "--name", "run", "--resume", "--decide", "least_share=0.5").exit_code == 0
    other = cli("train", "--name", "run", "--resume", "--patience", 9)
    assert other.exit_code == 2
    assert "decisions.patience was 3 and is 9" in other.stderr
    assert "least_share" not in other.stderr


def test_a_plain_run_says_nothing_of_decisions(train: Callable[..., Any], tmp_path: Path) -> None:
    done = train()
    assert done.exit_code == 0, done.output
    assert "topped" not in done.stdout
    assert not (tmp_path / "workspace" / "runs" / "run" / "decisions.json").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--stopping", "magic"), "“magic”. Available: none, loss_plateau"),
        (("--curriculum", "magic"), "“magic”. Available: uniform, under_learned"),
        (("--decide", "patients=3"), "“patients” is not a policy setting"),
        (("--patience", 0), "“0” is not a valid patience"),
    ],
)
def test_what_is_refused_leaves_no_run(
    train: Callable[..., Any], tmp_path: Path, options: tuple[Any, ...], says: str
) -> None:
    result = train(*options)
    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert workspace(tmp_path).runs() == []
