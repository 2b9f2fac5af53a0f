"""`train` with methods that need settings of their own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.cli.methods import OPTIONS, method_settings
from engine.domain.errors import InputError
from engine.domain.methods import MethodSettings
from engine.store import Store
from tests.cli.conftest import Cli
from tests.tiny import tiny_corpus, tiny_llama


@pytest.fixture
def train(cli: Cli, tmp_path: Path) -> Callable[..., Any]:
    """`train` on a tiny model, two steps."""
    (tmp_path / "tiny.jsonl").write_text(tiny_corpus().to_jsonl(), encoding="utf-8")
    tiny_llama(tmp_path / "llama")
    shared = (
        "train", "--name", "run", "--model", tmp_path / "llama", "--corpus", tmp_path / "tiny.jsonl", "--steps", 2,
        "--capture", "1",
    )  # fmt: skip
    return lambda *more: cli(*shared, *more)


def workspace(tmp_path: Path) -> Store:
    return Store(tmp_path / "workspace", bundled=None)


def test_options_are_put_into_the_settings_one_by_one() -> None:
    base = MethodSettings(critical_rank=7, n_edges=9)
    assert method_settings(dict.fromkeys(OPTIONS), base) == base
    given = {"critical_layers": 3, "layer": [2, 4], "prior": ["one"], "edges": 5, "last_edges": 2, "discover_every": 4}
    assert method_settings(given, base) == MethodSettings(
        critical_rank=7, n_critical=3, critical_layers=(2, 4), prior=("one",), n_edges=5, last_n_edges=2,
        discover_every=4,
    )  # fmt: skip


def test_what_a_setting_cannot_be_is_named_by_its_option() -> None:
    with pytest.raises(InputError, match="“9999” cannot be --critical-rank"):
        method_settings({"critical_rank": 9999}, MethodSettings())


def test_circuit_tuning(train: Callable[..., Any], cli: Cli, tmp_path: Path) -> None:
    options = ("--method", "circuit_tuning", "--edges", 8, "--last-edges", 4, "--discover-every", 1)
    done = train(*options)
    assert done.exit_code == 0, done.output
    assert workspace(tmp_path).tuning("run").n_edges == (8, 4)
    assert cli("train", "--name", "run", "--resume").exit_code == 0
    other = cli("train", "--name", "run", "--resume", "--edges", 9)
    assert other.exit_code == 2
    assert "method_settings.n_edges was 8 and is 9" in other.stderr


def test_circuit_lora_with_a_prior(train: Callable[..., Any], tmp_path: Path) -> None:
    """The prior may be a file; layers that are given need no probe run."""
    assert train("--method", "circuit_lora", "--layer", 1, "--critical-rank", 16).exit_code == 0
    assert [info.name for info in workspace(tmp_path).runs()] == ["run"]
    refused = train("--name", "other", "--method", "circuit_lora", "--critical-layers", 3)
    assert refused.exit_code == 2
    assert "3 critical layers were asked for, and this model has 2 layers" in refused.stderr
    done = train("--name", "two", "--method", "circuit_lora", "--prior", tmp_path / "tiny.jsonl", "--probe-steps", 1)
    assert "two-probe-tiny" in [info.name for info in workspace(tmp_path).runs()], done.output
