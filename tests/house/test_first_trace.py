"""A first trace waits for the libraries that it computes with, and for no other."""

import subprocess
import sys
from pathlib import Path

from engine.bench.first_trace import _OURS

_NOT_NEEDED = (
    "peft", "pandas", "pyarrow", "datasets", "sklearn", "networkx", "matplotlib", "altair", "streamlit", "nnsight",
    "transformer_lens", "transformers.trainer", "engine.training", "engine.studies", "engine.figures",
)  # fmt: skip
_LOADED = f"sys.stdout.write(' '.join(sorted(set({_NOT_NEEDED}) & set(sys.modules))))"


def test_nothing_is_loaded_that_it_does_not_need(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _OURS + _LOADED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == ""
