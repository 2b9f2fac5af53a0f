"""Writing is whole or not at all, whatever happens in between."""

import errno
import os
from pathlib import Path

import pytest

from engine.domain.errors import Damaged, InputError, StorageFailed
from engine.domain.runs import LossLog
from engine.store import claims, files

NOBODY = "0123456789abcdef"  # a token that no process holds


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_write_replaces_whole_and_makes_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.json"
    files.write_text(path, "a long first text")
    files.write_text(path, "é")
    assert path.read_bytes() == "é".encode()
    assert names(path.parent) == ["file.json"]


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "disk is full"), (errno.EDQUOT, "disk is full"), (errno.EROFS, "Allow writing there")],
)
def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    path = tmp_path / "file.json"
    files.write_text(path, "old")

    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageFailed, match=words) as caught:
        files.write_text(path, "new")
    assert str(path) in str(caught.value)
    assert path.read_text(encoding="utf-8") == "old"
    assert names(tmp_path) == ["file.json"]


def test_a_library_that_wraps_the_systems_error_is_understood(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="disk is full"), files.new_folder(tmp_path / "set"):
        raise RuntimeError("I/O error: No space left on device (os error 28)")
    assert names(tmp_path) == []


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "one"

    def fail_halfway() -> None:
        with files.new_folder(path) as folder:
            (folder / "half").write_text("x", encoding="utf-8")
            assert not path.exists()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    assert names(path.parent) == []
    with files.new_folder(path) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "file").write_text("x", encoding="utf-8")
    assert (path / "deep" / "file").read_text(encoding="utf-8") == "x"
    assert names(path.parent) == ["one"]


def test_a_taken_folder_is_refused_or_replaced(tmp_path: Path) -> None:
    path = tmp_path / "one"
    for text in ("old", "new"):
        with files.new_folder(path, replace=True) as folder:
            (folder / "file").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="already exists"), files.new_folder(path) as folder:
        (folder / "file").write_text("third", encoding="utf-8")
    assert (path / "file").read_text(encoding="utf-8") == "new"
    assert names(tmp_path) == ["one"]


def test_a_link_in_a_new_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="symbolic link"), files.new_folder(tmp_path / "one") as folder:
        (folder / "link").symlink_to("/etc/passwd")


def test_a_replacement_that_fails_puts_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "resume"
    with files.new_folder(path) as folder:
        (folder / "file").write_text("old", encoding="utf-8")
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name.startswith(".tmp"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(StorageFailed), files.new_folder(path, replace=True) as folder:
        (folder / "file").write_text("new", encoding="utf-8")
    assert (path / "file").read_text(encoding="utf-8") == "old"


def test_clean_takes_back_what_was_moved_aside_by_a_killed_process(tmp_path: Path) -> None:
    aside = tmp_path / f".old-{NOBODY}-0123abcd-resume"
    aside.mkdir()
    (aside / "file").write_text("old", encoding="utf-8")
    (tmp_path / f".tmp-{NOBODY}-0123abcd-resume").mkdir()
    files.clean(tmp_path)
    assert names(tmp_path) == ["resume"]
    assert (tmp_path / "resume" / "file").read_text(encoding="utf-8") == "old"


def test_clean_deletes_what_was_replaced_already(tmp_path: Path) -> None:
    (tmp_path / "resume").mkdir()
    (tmp_path / f".old-{NOBODY}-0123abcd-resume").mkdir()
    (tmp_path / f".tmp-{NOBODY}-0123abcd-x.json").touch()
    files.clean(tmp_path)
    assert names(tmp_path) == ["resume"]


def test_clean_leaves_what_a_living_process_writes(tmp_path: Path) -> None:
    claims.may_write(tmp_path)
    mine = files.sibling(tmp_path / "one")
    mine.mkdir()
    foreign = tmp_path / ".tmp-notes"  # not one of ours
    foreign.touch()
    files.clean(tmp_path)
    assert mine.exists()
    assert foreign.exists()


def test_leftovers_of_before_there_were_claims_are_cleaned_up(tmp_path: Path) -> None:
    left = tmp_path / f".tmp-{os.getpid()}-0123abcd-one"
    left.touch()
    assert list(files.leftovers(tmp_path)) == [left]


def test_remove_vanishes_at_once(tmp_path: Path) -> None:
    with files.new_folder(tmp_path / "one") as folder:
        (folder / "file").touch()
    files.remove(tmp_path / "one")
    files.remove(tmp_path / "one")  # nothing there: nothing to do
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "EOF"),
        (b"{", "EOF"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[1]", "object"),
        (b'{"steps": [1]}', "steps"),
        (b'{"step": ["x"]}', "step.0"),
    ],
)
def test_reading_names_the_file_and_the_reason(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "losses.json"
    path.write_bytes(data)
    with pytest.raises(Damaged, match=reason) as caught:
        files.read_json(path, LossLog)
    assert str(path) in str(caught.value)


def test_reading_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(Damaged, match="missing"):
        files.read_json(tmp_path / "losses.json", LossLog)
    with pytest.raises(Damaged, match="cannot be read"):
        files.read_json(tmp_path, LossLog)


def test_records_survive_exactly(tmp_path: Path) -> None:
    log = LossLog(step=(1,), loss=(1 / 3,), learning_rate=(1e-7,))
    files.write_text(tmp_path / "losses.json", log.to_json())
    assert files.read_json(tmp_path / "losses.json", LossLog) == log
