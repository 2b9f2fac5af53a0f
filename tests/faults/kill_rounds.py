"""Kill a case at a moment, look at what is left as the app would, resume it, and hold the end to an undisturbed one."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Any

from engine.domain.record import Record
from engine.jobs import JobManager
from engine.store import Store
from tests.faults.kill_cases import Call, Case, World, written
from tests.faults.kill_server import opened
from tests.faults.small_disks import small_disk
from tests.tiny import tiny_corpus

MODES = ("delay", "fsync", "rename", "unlink", "index")
# Not the workspace's: its index, who is at work in it, what was asked for.
_BESIDE = ("index.*", "claims/*", "jobs/*", "*.lock")
# What grows while a job works, so that it is neither as before nor as at the end.
_GROWING = (
    "runs/*/losses.json",
    "runs/*/decisions.json",
    "runs/*/tuning.json",
    "runs/*/resume/*",
    "series/*",
    "circuits/*",
)
_PAGE = 4096
_MEASURED = frozenset({"wall_time_s", "prepared_s", "trace_s", "refresh_s", "waited_s", "peak_bytes"})


class Server:
    """The warm process; see kill_server.py."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.kill_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        assert self.answer() == {"ready": True}

    def answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the server ended"
        return json.loads(line)

    def order(self, workspace: Path, does: Record | Call, mode: str = "none", at: float = 0) -> dict[str, Any]:
        assert self.process.stdin is not None
        told = workspace.parents[1] / "told.json"  # not on the disk of the workspace, which may be full
        told.unlink(missing_ok=True)
        order = {"workspace": str(workspace), "told": str(told), "mode": mode, "at": at, **written(does)}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        answer = self.answer()
        none("the process broke off", {} if answer["killed"] or told.exists() else answer)
        return answer if answer["killed"] else answer | json.loads(told.read_text(encoding="utf-8"))

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@dataclass
class Calm:
    """What a case does where nothing disturbs it."""

    does: Record | Call
    before: Path  # copies of the workspace
    after: Path
    size: dict[str, float]  # how long it takes and how often it touches the disk

    @cached_property
    def contents(self) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """Before and after."""
        return contents(self.before), contents(self.after)

    @property
    def growth(self) -> int:
        """Bytes that it writes at least."""
        before, after = self.contents
        new = (len(data) for path, data in after.items() if before.get(path) != data)
        return sum(max(size, _PAGE) for size in new) + 16 * _PAGE  # and what it says of itself


@dataclass
class Killing:
    """All cases in one folder: the workspace lies at one place, whatever is done with it."""

    server: Server
    world: World
    seed: int = 20
    calm: dict[str, Calm] = field(default_factory=dict)
    kills: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.workspace = self.world.folder / "now" / "workspace"
        store = Store(self.workspace, bundled=None)
        store.save_corpus(tiny_corpus())
        store.close()
        self._latest = self._copied("nothing")

    def undisturbed(self, case: Case) -> None:
        """Do it in peace, and keep what there was before and after it."""
        before = self.calm[case.after].after if case.after else self._latest
        self._back_to(before)
        store = opened(self.workspace)
        does = case.does(store)
        store.close()
        done = self.server.order(self.workspace, does)
        none("undisturbed", done["error"])
        self._latest = self._copied(case.name)
        self.calm[case.name] = Calm(does, before, self._latest, {"delay": done["seconds"], **done["counts"]})

    def killed(self, name: str, modes: Sequence[str]) -> None:
        """Kill it in each of these ways, resume it every time, then let it finish.

        Raises AssertionError where what is left is not whole, or where it ends otherwise than undisturbed.
        """
        calm = self.calm[name]
        self._back_to(calm.before)
        for mode in (*modes, "none"):
            answer = self.server.order(self.workspace, calm.does, mode, self._moment(calm, mode))
            if not answer["killed"]:  # what was done before is not done again, so it may end before its moment comes
                break
            # Killed before its journal was written, or after its end was: then there is nothing to resume.
            self._look(calm, {"done", "interrupted"})
            self.kills[name, mode] += 1
        none("its end", answer["error"])
        self._look(calm, {"done"})
        none("another end", _differing(contents(self.workspace), calm.contents[1], ""))

    def full(self, name: str) -> str:
        """Do it on a disk that has room for a part of it, then again with room enough. Why it failed, as it said.

        Raises AssertionError as `killed`, and where the reason is not one for a person. Needs the right to mount.
        """
        calm = self.calm[name]
        with small_disk(self.workspace.parent) as disk:
            self._back_to(calm.before)
            disk.leave(round(self.chance.uniform(0, 1.2) * calm.growth))
            first = self.server.order(self.workspace, calm.does)
            none("not in words", "" if not first["error"] or "Free some space" in first["error"] else first["error"])
            opened(self.workspace).close()  # it opens, though nothing can be written
            disk.leave(2**30)
            self._look(calm, {"done", "interrupted", "failed"})
            # It may have been full just after all was done, and before a journal could be written.
            again = self.server.order(self.workspace, calm.does)["error"]
            none("with room again", again if "already exists" not in again else "")
            self._look(calm, {"done", "failed"} if again else {"done"})
            none("another end", _differing(contents(self.workspace), calm.contents[1], ""))
        return str(first["error"])

    def _moment(self, calm: Calm, mode: str) -> float:
        """Not beyond 80 % where it was done before."""
        if mode == "delay":
            return self.chance.uniform(0, 0.8) * calm.size[mode]
        return self.chance.randint(1, int(1 + 0.8 * calm.size.get(mode, 0)))

    def _look(self, calm: Calm, states: set[str]) -> None:
        """What the app sees when it is started again: all that is there is whole, and only that looks finished."""
        store = opened(self.workspace)
        none("what store check finds", store.check())
        manager = JobManager(store)
        none("jobs", {record.title: record.state for record in manager.snapshot() if record.state not in states})
        (before, after), now = calm.contents, contents(self.workspace)
        strange = [path for path, data in now.items() if data not in (before.get(path), after.get(path))]
        none("neither as before nor as at the end", [path for path in strange if not _grows(path)])
        none("lost", sorted((before.keys() & after.keys()) - now.keys()))
        for info in store.runs():
            if info.finished or info.config.imported:
                own = f"runs/{info.name}/"
                none(f"differs in {info.name}", min((_differing(now, then, own) for then in (before, after)), key=len))
        manager.close()
        store.close()

    def _back_to(self, copy: Path) -> None:
        shutil.rmtree(self.workspace, ignore_errors=True)
        shutil.copytree(copy, self.workspace)

    def _copied(self, name: str) -> Path:
        return Path(shutil.copytree(self.workspace, self.world.folder / "copies" / name))


def none(what: str, found: object) -> None:
    """Raises AssertionError where something was found."""
    if found:
        raise AssertionError(f"{what}: {found}")


def _differing(one: dict[str, bytes], other: dict[str, bytes], below: str) -> list[str]:
    names = sorted(name for name in one.keys() | other.keys() if name.startswith(below))
    return [name for name in names if one.get(name) != other.get(name)]


def contents(workspace: Path) -> dict[str, bytes]:
    """Every file of the artefacts; without the times and the memory that were measured."""
    files = ((path.relative_to(workspace).as_posix(), path) for path in workspace.rglob("*") if path.is_file())
    return {name: _same(path) for name, path in files if not any(fnmatch(name, beside) for beside in _BESIDE)}


def _same(path: Path) -> bytes:
    data = path.read_bytes()
    if path.name not in ("state.json", "decisions.json"):
        return data
    return json.dumps(_unmeasured(json.loads(data))).encode()


def _unmeasured(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unmeasured(one) for key, one in value.items() if key not in _MEASURED}
    return [_unmeasured(one) for one in value] if isinstance(value, list) else value


def _grows(path: str) -> bool:
    return any(fnmatch(path, pattern) for pattern in _GROWING)
