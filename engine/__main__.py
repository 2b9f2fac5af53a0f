"""`python -m engine …`: every action of the app without a browser."""

import os

# Before any tokenizer is loaded: its own threads and ours together would exceed the cores.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from engine.cli.app import app

if __name__ == "__main__":
    app(prog_name="python -m engine")
