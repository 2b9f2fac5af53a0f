"""`python -m engine …`, or `tracelapse …` where it is installed: every action of the app without a browser."""

import os
import sys

# Before any tokenizer is loaded: its own threads and ours together would exceed the cores.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from engine.models.libraries import made_to_stay
from engine.store.memory import keep_freed, share_arenas

with made_to_stay():
    from engine.cli.app import app


def main(name: str = "tracelapse") -> None:
    """Runs the command that the process was started with."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]  # a pipe may say ASCII
    share_arenas()
    keep_freed()
    app(prog_name=name)


if __name__ == "__main__":
    main("python -m engine")
