"""A workspace with many runs: copies of the bundled ones under other names, with other losses and scores.

`python -m tests.many_runs FOLDER [TIMES]` makes the one that the pages are measured on (`tests/page_times.py`).
"""

import json
import os
import random
import shutil
import sys
from pathlib import Path

from engine.domain.graphs import Comparison, ComparisonKey, GraphKey
from engine.domain.jobs import JobRecord, MeasureProbes
from engine.store import BUNDLED, Store
from engine.store.layout import main_file


def copy_runs(workspace: Path, n: int) -> list[str]:
    """`copy-0`, `copy-1`, …: each learns a little worse than the one before. Gives their names."""
    names = [f"copy-{place}" for place in range(n)]
    for place, name in enumerate(names):
        folder = workspace / "runs" / name
        shutil.copytree(
            BUNDLED / "runs" / ("demo-tokens" if place % 3 == 2 else "demo-lora"), folder, copy_function=_copy
        )
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


def _copy(source: str, target: str) -> None:
    """Weights are not written to: a link takes no room."""
    if source.endswith(".safetensors"):
        try:
            os.link(source, target)
            return
        except OSError:  # another drive
            pass
    shutil.copy2(source, target)


def _change(path: Path, change: object) -> None:
    path.write_text(json.dumps(change(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")  # type: ignore[operator]


def copy_graphs(workspace: Path, runs: list[str], n: int) -> None:
    """`n` graphs of each run (10 at most have other bytes, the rest other prompts), and a comparison with each second.

    They are those of demo-lora under other keys.
    """
    stored = Store(workspace / "none", bundled=BUNDLED)
    keys = [key for key in stored.graph_keys() if key.checkpoint.startswith("demo-lora@")]
    stored.close()
    shutil.rmtree(workspace / "none")
    files = {key: (BUNDLED / main_file("graph", key.hash)).read_bytes() for key in keys}
    for run in runs:
        made: list[GraphKey] = []
        for place in range(n):
            old = keys[place % len(keys)]
            prompt = old.prompt if place < len(keys) else f"{old.prompt} {place}"
            label = old.checkpoint.partition("@")[2]
            key = old.model_copy(update={"checkpoint": f"{run}@{label}", "prompt": prompt})
            path = workspace / main_file("graph", key.hash)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(_with_key(files[old], key))
            made.append(key)
        for a, b in zip(made[::2], made[1::2], strict=False):
            named = ComparisonKey(a=a.checkpoint, b=b.checkpoint, prompt=a.prompt, transcoders=a.transcoders)
            path = workspace / main_file("comparison", named.hash)
            path.parent.mkdir(exist_ok=True)
            path.write_text(Comparison(key=named, graph_a=a, graph_b=b).to_json(), encoding="utf-8")


def copy_corpora(workspace: Path, n: int) -> None:
    """`corpus-0`, `corpus-1`, …: the bundled one, each with one more training text than the one before."""
    lines = (BUNDLED / "corpora" / "demo" / "corpus.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    example = json.loads(lines[0])
    for place in range(n):
        path = workspace / main_file("corpus", f"corpus-{place}")
        path.parent.mkdir(parents=True)
        more = [json.dumps(example | {"id": f"more-{number}"}) + "\n" for number in range(place + 1)]
        path.write_text("".join([*more, *lines]), encoding="utf-8")


def add_jobs(workspace: Path, runs: list[str]) -> None:
    """A finished job of each run."""
    (workspace / "jobs").mkdir(exist_ok=True)
    for place, run in enumerate(runs):
        record = JobRecord(
            id=f"20260101-{place:06d}-abcdef", title=f"probing {run}", request=MeasureProbes(run=run), state="done",
            created_at=1e9 + place, started_at=1e9 + place, finished_at=1e9 + place + 1,
        )  # fmt: skip
        (workspace / "jobs" / f"{record.id}.json").write_text(record.to_json(), encoding="utf-8")


def make_large(workspace: Path, times: int) -> list[str]:
    """A workspace of `times` x (50 runs, 500 graphs, 250 comparisons, 5 corpora, 50 jobs); the runs' names."""
    runs = copy_runs(workspace, 50 * times)
    copy_graphs(workspace, runs, 10)
    copy_corpora(workspace, 5 * times)
    add_jobs(workspace, runs)
    return runs


def _with_key(file: bytes, key: GraphKey) -> bytes:
    """A safetensors file: the length of its head in 8 bytes, the head, the arrays."""
    length = int.from_bytes(file[:8], "little")
    head = json.loads(file[8 : 8 + length])
    about = json.loads(head["__metadata__"]["graph"]) | {"key": json.loads(key.model_dump_json())}
    head["__metadata__"]["graph"] = json.dumps(about)
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + file[8 + length :]


if __name__ == "__main__":
    make_large(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
