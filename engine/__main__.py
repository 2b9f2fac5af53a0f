"""`python -m engine …`: every action of the app without a browser."""

import os
import sys

# Before any tokenizer is loaded: its own threads and ours together would exceed the cores.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from engine.cli.app import app

if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]  # a pipe may say ASCII
    app(prog_name="python -m engine")
