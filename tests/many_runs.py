"""A workspace with many runs: copies of the bundled ones under other names, with other losses and scores."""

import json
import random
import shutil
from pathlib import Path

from engine.store import BUNDLED


def copy_runs(workspace: Path, n: int) -> list[str]:
    """`copy-0`, `copy-1`, …: each learns a little worse than the one before. Gives their names."""
    names = [f"copy-{place}" for place in range(n)]
    for place, name in enumerate(names):
        folder = workspace / "runs" / name
        shutil.copytree(BUNDLED / "runs" / ("demo-tokens" if place % 3 == 2 else "demo-lora"), folder)
        _change(folder / "run.json", lambda run, name=name, place=place: run | {"name": name, "seed": place})
        worse = random.Random(place)
        _change(folder / "losses.json", lambda log, by=place: log | {"loss": [loss + by / 10 for loss in log["loss"]]})
        for path in folder.glob("checkpoints/*/probes.json"):
            _change(
                path,
                lambda probes, by=place, worse=worse: (
                    probes | {"correct": [right and worse.random() > by / 20 for right in probes["correct"]]}
                ),
            )
    return names


def _change(path: Path, change: object) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")  # type: ignore[operator]
