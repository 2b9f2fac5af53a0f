"""What every command shares: help without torch, one-line errors, exit codes, the workspace, JSON."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.cli.app import workspace_first
from engine.cli.output import plain, show_table, write_json
from tests.cli.conftest import Cli

COMMANDS = (
    ("demo", "build"), ("demo", "check"), ("corpus", "make"), ("corpus", "check"),
    ("corpus", "task"), ("corpus", "tasks"), ("train",), ("runs",), ("probe",),
    ("trace",), ("compare",), ("curves",), ("import",), ("import-adapter",), ("jobs",),
    ("store", "check"), ("store", "rebuild"), ("bench",),
)  # fmt: skip
SLOW = {"torch", "transformers", "peft", "circuit_tracer", "transformer_lens", "pandas", "streamlit", "accelerate"}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(cli: Cli, command: tuple[str, ...]) -> None:
    result = cli(*command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.stdout


def test_help_loads_nothing_slow() -> None:
    code = (
        "import sys; sys.argv = ['engine', '--help']\n"
        "from engine.cli.app import app\n"
        "try: app()\n"
        "except SystemExit: print('LOADED', *sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(result.stdout.rpartition("LOADED")[2].split())
    assert "typer" in loaded
    assert not loaded & SLOW


class TestErrors:
    @pytest.mark.parametrize(
        ("args", "says"),
        [
            (("bogus",), "bogus"),
            (("curves",), "RUN"),
            (("train", "--name", "x", "--steps", "0"), "--steps"),
            (("train", "--name", "x", "--steps", "many"), "--steps"),
            (("curves", "../../etc/passwd"), "is not a valid name"),
            (("curves", "no-such-run"), "no-such-run"),
            (("trace", "demo-lora", "the cat"), "RUN@"),
            (("trace", "../x@base", "the cat"), "is not a valid name"),
            (("corpus", "check", "no/such.csv"), "no/such.csv"),
            (("corpus", "make", "--name", "../x"), "Error: “../x” is not a valid name"),
            (
                ("train", "--corpus", "demo", "--name", "x", "--steps", "1000001"),
                "Error: the number of steps is 1,000,001",
            ),
            (("train", "--corpus", "demo", "--name", "x", "--seed", "-3"), "seed: "),
            (("corpus", "make", "--name", "x", "--probes", "0"), "n_probes"),
            (("train", "--name", "x", "--model", "/no/such/folder"), "/no/such/folder"),
            (("train", "--name", "x", "--capture", "2"), "fraction"),
            (("bench", "--only", "nothing"), "nothing"),
        ],
    )
    def test_one_line_and_exit_code_2(self, cli: Cli, args: tuple[str, ...], says: str) -> None:
        result = cli(*args)
        assert result.exit_code == 2
        assert says in result.stderr
        assert result.stderr.count("\n") == 1
        assert "Traceback" not in result.output

    def test_ctrl_c_ends_with_130(self, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("engine.store.Store.runs", interrupted)
        result = cli("runs")
        assert (result.exit_code, result.stderr) == (130, "Stopped.\n")

    def test_a_fault_of_the_program_is_one_line_too(self, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: object) -> None:
            raise RuntimeError("two\nlines")

        monkeypatch.setattr("engine.store.Store.runs", broken)
        result = cli("runs")
        assert result.exit_code == 1
        assert result.stderr.startswith("Error: Unexpected RuntimeError: two lines")
        assert result.stderr.count("\n") == 1

    def test_json_to_where_it_cannot_be_written_is_told_before_the_work(self, cli: Cli, tmp_path: Path) -> None:
        for place in (tmp_path, tmp_path / "none" / "file.json"):
            result = cli("curves", "no-such-run", "--json", place)
            assert result.exit_code == 2
            assert "cannot be written" in result.stderr

    def test_markup_and_escapes_in_what_the_user_wrote_are_shown_as_they_are(self, cli: Cli) -> None:
        result = cli("trace", "[red]x[/red]@\x1b[31mboo", "hi")
        assert "[red]x[/red]" in result.stderr
        assert "\x1b" not in result.stderr


class TestWorkspace:
    def test_the_option_goes_anywhere(self) -> None:
        assert workspace_first(["runs", "--workspace", "w"]) == ["--workspace", "w", "runs"]
        assert workspace_first(["runs", "--workspace=w", "--json", "-"]) == ["--workspace=w", "runs", "--json", "-"]
        assert workspace_first(["trace", "a@base", "--", "--workspace"]) == ["trace", "a@base", "--", "--workspace"]
        assert workspace_first(["runs", "--workspace"]) == ["runs", "--workspace"]  # left for the usage error

    def test_it_names_the_folder(self, cli: Cli, tmp_path: Path) -> None:
        assert cli("store", "rebuild", "--workspace", tmp_path / "other").exit_code == 0
        assert (tmp_path / "other" / "index.sqlite").is_file()

    def test_a_file_in_its_place_is_an_error_of_one_line(self, cli: Cli, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x", encoding="utf-8")
        result = cli("--workspace", tmp_path / "file", "runs")
        assert result.exit_code == 2
        assert result.stderr.count("\n") == 1


class TestOutput:
    def test_tables_keep_markup_and_wide_cells(self, capsys: pytest.CaptureFixture[str]) -> None:
        wide = "a " * 60 + "end"
        show_table(("name", "n"), [("[bold]x[/bold]", 1), (wide, 0.12345), ("none", None)])
        out = capsys.readouterr().out
        assert "[bold]x[/bold]" in out
        assert "end" in out
        assert "0.123" in out

    def test_control_characters_are_made_visible(self) -> None:
        assert plain("a\x1b[31mb\nc") == "a\\x1b[31mb\\nc"
        assert plain("naïve ▁ “x”") == "naïve ▁ “x”"

    def test_json_is_utf8_and_has_no_nan(self, tmp_path: Path) -> None:
        file = tmp_path / "x.json"
        write_json([{"a": float("nan"), "b": (1.5, float("inf")), "c": "▁ä"}], str(file))
        assert json.loads(file.read_text(encoding="utf-8")) == [{"a": None, "b": [1.5, None], "c": "▁ä"}]

    def test_json_on_stdout_is_alone_there(self, cli: Cli) -> None:
        result = cli("runs", "--json", "-")
        assert isinstance(json.loads(result.stdout), list)


def test_a_reader_that_goes_away_is_no_fault(tmp_path: Path) -> None:
    shell = f"{sys.executable} -m engine --help | head -n 1; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(
        ["bash", "-c", shell], capture_output=True, text=True, env={**os.environ, "TRACELAPSE_HOME": str(tmp_path)}
    )
    assert "Traceback" not in result.stderr
