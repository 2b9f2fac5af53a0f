"""A first trace waits for the libraries that it computes with, and for no other."""

import subprocess
import sys
from pathlib import Path

_NOT_NEEDED = (
    "peft", "pandas", "pyarrow", "datasets", "sklearn", "networkx", "matplotlib", "altair", "streamlit", "nnsight",
    "transformer_lens", "transformers.trainer", "engine.training", "engine.studies", "engine.export",
)  # fmt: skip
_PROGRAM = f"""
import sys
from engine.cli.app import app
try:
    app()
except SystemExit as end:
    print("LOADED", end.code, *sorted(set({_NOT_NEEDED}) & set(sys.modules)))
"""


def test_nothing_is_loaded_that_it_does_not_need(tmp_path: Path) -> None:
    words = ("--workspace", str(tmp_path), "trace", "demo-lora@base", "the cat feels blarf and")
    done = subprocess.run([sys.executable, "-c", _PROGRAM, *words], capture_output=True, text=True)
    assert done.stdout.rpartition("LOADED")[2].split() == ["0"], done.stdout + done.stderr
    assert "edges that contribute most to the output" in done.stdout
