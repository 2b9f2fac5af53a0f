"""`kill -9` at any moment, and a disk that is full at any moment: every finished artefact is whole, the job shows as
stopped, resuming completes it, and all bits are those of a workspace in which nothing was ever interrupted.

Each kind of job and each way to delete or rename is killed once, and some find the disk full. So many times,
over all cases, also the long ones, with how often they have been killed, and found the disk full, at the end:

    TRACELAPSE_KILLS=1000 TRACELAPSE_FULL_DISKS=200 .venv/bin/python -m pytest -n 0 -o log_cli=true \
        -o log_cli_level=WARNING tests/faults/test_fault_kill.py
"""

import logging
import os
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from tests.faults.kill_cases import KINDS, LONG, WITHOUT, World, cases, world
from tests.faults.kill_rounds import MODES, Killing, Server
from tests.faults.small_disks import may_mount

_log = logging.getLogger(__name__)
N_KILLS, N_FULL = (int(os.environ.get(name, "0")) for name in ("TRACELAPSE_KILLS", "TRACELAPSE_FULL_DISKS"))
_LONG_S = 3.0  # cases that take longer have every fifth turn
_FULL_EVERY = 9  # of the cases, in the short form


@pytest.fixture
def killing(tmp_path: Path) -> Iterator[Killing]:
    """All that was done in peace; in the short form without what takes long."""
    server = Server()
    made = Killing(server, world(tmp_path))
    for case in cases(made.world):
        if case.name not in LONG or N_KILLS or N_FULL:
            made.undisturbed(case)
    yield made
    server.close()


def test_each_kind_of_job_is_killed_or_says_why_not(tmp_path: Path) -> None:
    killed = {case.kind for case in cases(World(tmp_path)) if case.name not in LONG}
    assert [kind.__name__ for kind in KINDS if kind not in killed | WITHOUT.keys()] == []
    assert not killed & WITHOUT.keys()


def test_killed_and_full_at_any_moment(killing: Killing) -> None:
    """One test of both: what they begin with takes as long as they do."""
    faults: list[str] = []
    for number, name in enumerate(killing.calm if not N_KILLS else ()):
        note(faults, name, partial(killing.killed, name, [MODES[number % len(MODES)]]))
    turns = turns_of(killing)
    while killing.kills.total() < N_KILLS:
        name = next(turns)
        note(faults, name, partial(killing.killed, name, killing.chance.sample(MODES, len(MODES))))
        if name == list(killing.calm)[-1]:
            _log.warning("%d killed so far", killing.kills.total())
    _log.warning("%d killed: %s", killing.kills.total(), dict(killing.kills))
    if may_mount(killing.world.folder / "disk"):  # else calls that fail stand in for it (test_fault_disk_full.py)
        told: list[str] = []
        for name in [next(turns) for _ in range(N_FULL)] or list(killing.calm)[::_FULL_EVERY]:
            note(faults, name, lambda name=name: told.append(killing.full(name)))  # type: ignore[misc]
        _log.warning("of %d, %d found the disk full", len(told), sum(map(bool, told)))
        assert any(told)
    assert faults == []


def turns_of(killing: Killing) -> Iterator[str]:
    """Every case in turn, for ever."""
    for turn in count():
        yield from (name for name, calm in killing.calm.items() if calm.size["delay"] < _LONG_S or turn % 5 == 0)


def note(faults: list[str], name: str, attempt: Callable[[], object]) -> None:
    """A fault does not end the others."""
    try:
        attempt()
    except AssertionError as error:
        faults.append(f"{name}: {error}")
        _log.warning("fault in %s", faults[-1])
