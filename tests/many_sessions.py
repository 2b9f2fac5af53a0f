"""Many people at once: sessions that click through the pages of one server while two runs train.

`python -m tests.many_sessions FOLDER [--sessions 20] [--minutes 30] [--think 6] [--steps 1500]` makes a workspace below
FOLDER, starts the app on it and tells what went wrong in a page or in the server's log, how long pages took, and how
the server's memory went: the slope after the first third, in MB a minute. One run trains in the app, another by the
command line; when one ends the next begins. Of buttons that begin a job few are pressed; nothing is deleted.

What pages keep in memory is bounded by TRACELAPSE_KEEP_MB, here 200 where nothing is said, so that it is full soon:
what grows after that is a leak.
"""

import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlencode

import psutil

from engine.bench.server import ROOT, Server, app_server, wait_until_up
from engine.domain.jobs import Train
from engine.jobs import JobManager
from engine.store import BUNDLED, Store
from engine.store.kept import VARIABLE
from tests.many_runs import copy_graphs, copy_runs
from tests.session_client import Visitor

N_RUNS, N_GRAPHS = 8, 10
SAMPLE_S = 5.0
_NEVER = re.compile(
    r"delete|free it|cancel|stop|dismiss|start training|create|import|add|rename|hub|resume", re.IGNORECASE
)
_JOBS = re.compile(r"find|trace|compare|measure|label|group|run it|start|describe|ablate|try", re.IGNORECASE)
_WRONG = re.compile(r"Traceback|ERROR|CRITICAL|Uncaught|Unexpected error|RuntimeError|coroutine .* was never awaited")


@dataclass
class Found:
    """What all sessions found; a list is appended to by many threads."""

    errors: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)  # of each answer that a person waited for
    did: Counter[str] = field(default_factory=Counter)
    memory: list[tuple[float, float]] = field(default_factory=list)  # (minutes since the start, MB of the server)
    n_trained: int = 0


class Person(threading.Thread):
    """Opens the app, goes from page to page, sets widgets and presses buttons until the end; at times in a new tab."""

    def __init__(
        self, url: str, seed: int, until: float, think_s: float, links: Sequence[tuple[str, str]], found: Found
    ):
        super().__init__(name=f"person-{seed}", daemon=True)
        self._url, self._seed, self._until, self._think_s = url, seed, until, think_s
        self._links, self._found = links, found
        self._chance = random.Random(seed)

    def run(self) -> None:
        n_tabs = 0
        while time.monotonic() < self._until:
            try:
                self._visit(self._seed + 1000 * n_tabs)
            except Exception:  # noqa: BLE001 - a session that breaks off is what is looked for
                self._found.errors.append(f"{self.name}: {traceback.format_exc()}")
            n_tabs += 1

    def _visit(self, seed: int) -> None:
        """One tab, for some forty acts."""
        visitor = Visitor(self._url, seed)
        self._found.did["tab"] += 1
        try:
            while time.monotonic() < self._until and self._chance.random() > 1 / 40:
                visitor.look(min(self._chance.expovariate(1 / self._think_s), 5 * self._think_s))
                did, took = self._act(visitor)
                self._found.did[did] += 1
                self._found.seconds.append(took)
        finally:
            self._found.errors += visitor.errors
            visitor.close()

    def _act(self, visitor: Visitor) -> tuple[str, float]:
        kind = self._chance.random()
        states = visitor.settable()
        buttons = [name for name, label in visitor.buttons().items() if self._dares(label)]
        if kind < 0.5 and states:
            return f"set on {visitor.page or 'home'}", visitor.set(self._chance.choice(states))
        if kind < 0.65 and buttons:
            return f"press on {visitor.page or 'home'}", visitor.press(self._chance.choice(buttons))
        if kind < 0.8:
            return "follow a link", visitor.go(*self._chance.choice(self._links))
        return "open a page", visitor.go(self._chance.choice(list(visitor.pages)))

    def _dares(self, label: str) -> bool:
        return not _NEVER.search(label) and (not _JOBS.search(label) or self._chance.random() < 0.05)


class Trainer(threading.Thread):
    """Keeps one run training in the app, begun on its page, and one by the command line."""

    def __init__(self, url: str, workspace: Path, until: float, n_steps: int, found: Found) -> None:
        super().__init__(name="trainer", daemon=True)
        self._url, self._workspace, self._until, self._n_steps, self._found = url, workspace, until, n_steps, found

    def run(self) -> None:
        manager = JobManager(Store(self._workspace))
        other: subprocess.Popen[bytes] | None = None
        try:
            while time.monotonic() < self._until:
                others = _pid(other)
                if not any(isinstance(job.request, Train) and job.pid != others for job in manager.active()):
                    self._begin_in_the_app()
                if other is None or other.poll() is not None:
                    self._note_end(other)
                    other = self._begin_by_the_command_line()
                time.sleep(3.0)
        except Exception:  # noqa: BLE001
            self._found.errors.append(f"trainer: {traceback.format_exc()}")
        finally:
            if other is not None:
                other.terminate()
                other.wait()

    def _begin_in_the_app(self) -> None:
        visitor = Visitor(self._url, 0)
        visitor.go("train")
        steps = next(one for one in visitor.elements("number_input") if one.label == "Steps")
        state = next(one for one in visitor.settable() if one.id == steps.id)
        state.double_value = self._n_steps
        visitor.set(state)
        visitor.press(next(name for name, label in visitor.buttons().items() if label == "Start training"))
        self._found.did["training in the app"] += 1
        self._found.errors += visitor.errors
        visitor.close()

    def _begin_by_the_command_line(self) -> "subprocess.Popen[bytes]":
        self._found.did["training by the command line"] += 1
        name = f"other-{self._found.did['training by the command line']}"
        command = [sys.executable, "-m", "engine", "--workspace", str(self._workspace), "train"]
        command += ["--name", name, "--steps", str(self._n_steps)]
        with (self._workspace.parent / f"{name}.log").open("wb") as log:
            return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    def _note_end(self, other: "subprocess.Popen[bytes] | None") -> None:
        if other is not None and other.returncode:
            self._found.errors.append(f"a training by the command line ended with {other.returncode}")


def _pid(process: "subprocess.Popen[bytes] | None") -> int:
    return process.pid if process else 0


def links_of(store: Store) -> list[tuple[str, str]]:
    """(page, query) of addresses that people keep: comparisons, runs, circuits."""
    compared = [known.key for known in store.comparisons()]
    runs = [info.name for info in store.runs()]
    found = [("compare", urlencode({"a": key.a, "b": key.b, "prompt": key.prompt})) for key in compared]
    found += [("train", urlencode({"run": run})) for run in runs]
    found += [("curves", urlencode({"runs": f"{a},{b}"})) for a, b in pairwise(runs)]
    found += [("circuits", urlencode({"run": run})) for run in runs]
    return [
        *found,
        ("models", "view=runs"),
        ("models", "view=import"),
        ("methods", "from=your+runs"),
        ("tour", "step=5"),
    ]


def watch(server: Server, until: float, found: Found) -> None:
    """The memory of the server's own process, and whether it lives."""
    began = time.monotonic()
    while time.monotonic() < until:
        try:
            found.memory.append(((time.monotonic() - began) / 60, server.process.memory_info().rss / 1e6))
        except psutil.NoSuchProcess:
            found.errors.append("the server ended")
            return
        time.sleep(SAMPLE_S)


def slope(memory: Sequence[tuple[float, float]]) -> float:
    """MB a minute after the first third, by least squares."""
    after = [pair for pair in memory if pair[0] >= memory[-1][0] / 3]
    return statistics.linear_regression(*zip(*after, strict=True)).slope if len(after) > 1 else 0.0


def wrong_in(log: Path) -> list[str]:
    """What a server's log tells of faults, with the lines around each."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return ["\n".join(lines[max(0, row - 1) : row + 25]) for row, line in enumerate(lines) if _WRONG.search(line)]


def told(found: Found, log: Path) -> dict[str, object]:
    """The report."""
    seconds = sorted(found.seconds)
    errors = [*found.errors, *wrong_in(log)]
    return {
        "errors": len(errors),
        "answers": len(seconds),
        "median answer, s": round(statistics.median(seconds), 2) if seconds else None,
        "95 % of answers within, s": round(seconds[int(0.95 * len(seconds))], 2) if seconds else None,
        "slope after a third, MB a minute": round(slope(found.memory), 2),
        "memory, MB, by minute": [round(mb) for _, mb in found.memory[:: max(1, round(60 / SAMPLE_S))]],
        "did": dict(found.did.most_common()),
        "what went wrong": errors[:20],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--think", type=float, default=6.0, help="seconds between two acts of a person, on average")
    parser.add_argument("--steps", type=int, default=1500, help="of each training; 0: none")
    asked = parser.parse_args(arguments)
    workspace = asked.folder.resolve() / "workspace"
    copy_graphs(workspace, copy_runs(workspace, N_RUNS), N_GRAPHS)
    store = Store(workspace, bundled=BUNDLED)
    links, found = links_of(store), Found()
    store.close()
    os.environ.setdefault(VARIABLE, "200")
    with app_server(workspace) as server:
        wait_until_up(server)
        until = time.monotonic() + 60 * asked.minutes
        threads: list[threading.Thread] = [
            Person(server.url, seed, until, asked.think, links, found) for seed in range(1, asked.sessions + 1)
        ]
        if asked.steps:
            threads.append(Trainer(server.url, workspace, until, asked.steps, found))
        for thread in threads:
            thread.start()
        watch(server, until, found)
        for thread in threads:
            thread.join(180)
    log = next(workspace.parent.glob("server-*.log"))
    report = told(found, log)
    (workspace.parent / "report.json").write_text(json.dumps(report | {"samples": found.memory}), encoding="utf-8")
    sys.stdout.write(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    return 1 if report["errors"] else 0


if __name__ == "__main__":
    sys.exit(main())
