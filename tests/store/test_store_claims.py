"""Whose process is it: a claim lives exactly as long as its process, seen from wherever."""

import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from filelock import FileLock

from engine.domain.errors import StorageFailed
from engine.store import Store, claims, drives, files

ROOT = Path(__file__).parents[2]
UNSHARE = (["unshare", "-Urpf"], ["unshare", "-rpf"], ["unshare", "-pf"])  # what is allowed differs

# Claims a workspace, leaves a half-written file, tells both and waits to be killed: python -c … WORKSPACE
HOLDER = """
import sys, time
from pathlib import Path
from engine.store import Store, claims, files
store = Store(Path(sys.argv[1]), bundled=None)
left = files.sibling(store.workspace / "one.json")
left.touch()
print(claims.own(store.workspace), left.name, flush=True)
time.sleep(60)
"""
# Opens the workspace as the app does and says whether the claim is held: python -c … WORKSPACE TOKEN
LOOKER = """
import sys
from pathlib import Path
from engine.store import Store, claims
print(claims.is_held(Store(Path(sys.argv[1]), bundled=None).workspace, sys.argv[2]))
"""


def namespace() -> list[str]:
    """The command before another that gives it process ids of its own."""
    for command in UNSHARE:
        try:
            if subprocess.run([*command, "true"], capture_output=True).returncode == 0:
                return command
        except FileNotFoundError:
            break
    pytest.skip("no second namespace of process ids is allowed here")


def started(before: list[str], workspace: Path) -> "subprocess.Popen[str]":
    command = [*before, sys.executable, "-c", HOLDER, str(workspace)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, start_new_session=True)


def told(process: "subprocess.Popen[str]") -> tuple[str, str]:
    assert process.stdout is not None
    token, left = process.stdout.readline().split()
    return token, left


def look(before: list[str], workspace: Path, token: str) -> str:
    command = [*before, sys.executable, "-c", LOOKER, str(workspace), token]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout.strip()


@pytest.fixture
def holder(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    process = started([], tmp_path)
    yield process
    process.kill()
    process.communicate()


def test_kill_9_frees_a_claim_at_once(tmp_path: Path, holder: "subprocess.Popen[str]") -> None:
    token, left = told(holder)
    assert claims.is_held(tmp_path, token)
    assert claims.holder(tmp_path, token).startswith(f"process {holder.pid} on ")
    Store(tmp_path, bundled=None)
    assert (tmp_path / left).exists()
    holder.kill()
    holder.wait()
    assert not claims.is_held(tmp_path, token)
    Store(tmp_path, bundled=None)
    assert not (tmp_path / left).exists()
    assert list((tmp_path / claims.FOLDER).glob(f"{token}*")) == []


def test_another_container_sees_that_the_holder_lives(tmp_path: Path, holder: "subprocess.Popen[str]") -> None:
    before = namespace()
    token, left = told(holder)
    assert look(before, tmp_path, token) == "True"
    assert (tmp_path / left).exists()
    holder.kill()
    holder.wait()
    assert look(before, tmp_path, token) == "False"
    assert not (tmp_path / left).exists()


def test_a_holder_in_another_container_is_seen(tmp_path: Path) -> None:
    """Its process id is 1 or 2 there, and another process has it here."""
    process = started(namespace(), tmp_path)
    try:
        token, left = told(process)
        Store(tmp_path, bundled=None)
        assert claims.is_held(tmp_path, token)
        assert (tmp_path / left).exists()
    finally:
        os.killpg(process.pid, 9)
        process.communicate()


def test_a_process_that_ends_takes_its_claim_along(tmp_path: Path) -> None:
    code = HOLDER.replace("time.sleep(60)", "")
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=ROOT, capture_output=True)
    assert list((tmp_path / claims.FOLDER).iterdir()) == []


def test_reading_claims_nothing(tmp_path: Path) -> None:
    Store(tmp_path, bundled=None).runs()
    assert not (tmp_path / claims.FOLDER).exists()


def test_a_workspace_made_again_is_claimed_again(tmp_path: Path) -> None:
    claims.may_write(tmp_path)
    first = claims.own(tmp_path)
    assert claims.own(tmp_path) == first
    for path in (tmp_path / claims.FOLDER).iterdir():
        path.unlink()
    second = claims.own(tmp_path)
    assert second != first
    assert claims.is_held(tmp_path, second)


@pytest.mark.parametrize(
    ("theirs", "ours", "held"),
    [
        ("ext4", "ext4", False),  # one kernel only can have it: this machine was started again
        ("nfs4", "nfs4", False),  # the server has the locks of all
        ("ext4", "nfs4", True),  # the holder is the server itself
        ("", "", True),
        ("nfs4", "", True),
    ],
)
def test_a_lock_that_is_free_under_another_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, theirs: str, ours: str, held: bool
) -> None:
    folder = tmp_path / claims.FOLDER
    folder.mkdir()
    about = claims.Claimant(pid=1, host="elsewhere", boot="another", namespace="", drive=theirs)
    (folder / "0a.json").write_text(about.to_json(), encoding="utf-8")
    (folder / "0a.lock").touch()
    monkeypatch.setattr(claims, "drive_of", lambda _: ours)
    assert claims.is_held(tmp_path, "0a") is held
    assert claims.may_have_ended(tmp_path, "0a") is held
    claims.give_up(tmp_path, "0a")  # a person knows better
    assert not claims.is_held(tmp_path, "0a")


MOUNTS = r"""22 1 0:21 / / rw,relatime - ext4 /dev/a rw
30 22 0:40 / /mnt/home rw,relatime shared:1 - nfs4 server:/home rw,vers=4.2,local_lock=none
31 22 0:41 / /mnt/home/fast rw,relatime - nfs server:/fast rw,vers=3,local_lock=flock
32 22 0:42 / /mnt/with\040blank rw - fuse.sshfs me@there rw
"""


@pytest.mark.parametrize(
    ("folder", "drive", "warned"),
    [
        ("/var", "ext4", False),
        ("/mnt/home/me", "nfs4", False),
        ("/mnt/homes", "ext4", False),
        ("/mnt/home/fast/x", "", True),
        ("/mnt/with blank/x", "", True),
    ],
)
def test_what_a_drive_does_with_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, folder: str, drive: str, warned: bool
) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS, encoding="utf-8")
    monkeypatch.setattr(drives, "_MOUNTS", table)
    assert drives.drive_of(Path(folder)) == drive
    assert ("one machine at a time" in drives.warning_of(Path(folder))) is warned


def test_locks_are_tried(tmp_path: Path) -> None:
    assert drives.locks_work(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_another_process_that_cleans_up_the_file_of_the_trial_proves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locks: list[Path] = []

    def lock(path: Path) -> FileLock:
        locks.append(path)
        if len(locks) in (2, 3):  # between the two locks; before both
            path.unlink()
        return FileLock(path, timeout=0, fallback_to_soft=False)

    monkeypatch.setattr(drives, "_lock", lock)
    assert drives.locks_work(tmp_path)
    assert len(set(locks)) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_drive_on_which_two_locks_are_held_at_once_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drives, "_lock", lambda _: nullcontext())
    assert not drives.locks_work(tmp_path)


@pytest.mark.parametrize("number", [None, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_without_locks_a_workspace_is_only_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int | None
) -> None:
    """None: every lock is given to everybody."""
    files.write_text(tmp_path / "models" / "broken.json", "")
    real = fcntl.flock

    def flock(descriptor: int, operation: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if not path.is_relative_to(tmp_path):
            real(descriptor, operation)
        elif number is not None:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", flock)
    store = Store(tmp_path, bundled=None)
    assert "Locks do not work on the drive" in store.read_only
    with pytest.raises(StorageFailed, match="Locks do not work"):
        files.write_text(tmp_path / "models" / "new.json", "")
    assert [problem.path.name for problem in store.unreadable()] == ["broken.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["models"]
