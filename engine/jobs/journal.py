"""The journals of all jobs of a workspace: one small file a job, shared by the app and the command line.

`jobs/ID.json` is written by the process that does the job. `jobs/ID.cancel` is the flag by which any process asks
for its end.
"""

import logging
import os
import secrets
import time

from engine.domain.errors import Damaged, StorageFailed
from engine.domain.jobs import FINISHED, JobRecord, Request
from engine.store import Store, claims
from engine.store.files import read_json, storing, write_text

_log = logging.getLogger(__name__)


class Journal:
    """Never raises because of what is on the disk: a journal is there to tell, not to stop work."""

    def __init__(self, store: Store) -> None:
        self._store, self.folder = store, store.workspace / "jobs"
        self._read: dict[str, tuple[int, JobRecord | None]] = {}  # file -> (modification time in ns, record)

    def open(self, request: Request, title: str) -> JobRecord:
        """A new record that belongs to this process. Raises StorageFailed where nothing may be written."""
        now = time.time()
        return JobRecord(
            id=time.strftime("%Y%m%d-%H%M%S-", time.gmtime(now)) + secrets.token_hex(3),
            title=title,
            request=request,
            created_at=now,
            heartbeat_at=now,
            pid=os.getpid(),
            claim=self._own_claim(),
        )

    def write(self, record: JobRecord) -> bool:
        """Replace the journal of this job; False where the disk does not let us."""
        try:
            write_text(self.folder / f"{record.id}.json", record.to_json())
        except (StorageFailed, OSError) as error:
            _log.warning("The journal of job %s is behind: %s", record.id, error)
            return False
        return True

    def read_all(self) -> dict[str, JobRecord]:
        """Every journal by job id. Damaged ones are skipped; those of vanished processes become `interrupted`."""
        seen: dict[str, tuple[int, JobRecord | None]] = {}
        for name in self._names():
            entry = self._entry(name)
            if entry:
                seen[name] = entry
        self._read = seen
        records = [self._settled(record) for _, record in seen.values() if record]
        return {record.id: record for record in records}

    def ask_to_cancel(self, job_id: str) -> None:
        """Raise the flag for whichever process does the job. Raises StorageFailed."""
        write_text(self.folder / f"{job_id}.cancel", "")

    def is_canceled(self, job_id: str) -> bool:
        return (self.folder / f"{job_id}.cancel").exists()

    def lower_flag(self, job_id: str) -> None:
        try:
            (self.folder / f"{job_id}.cancel").unlink(missing_ok=True)
        except OSError as error:
            _log.warning("The flag of job %s stays up: %s", job_id, error)

    def may_have_ended(self, record: JobRecord) -> bool:
        """Whether it is on another machine whose locks cannot be seen from here, so that it only counts as living."""
        return record.state not in FINISHED and claims.may_have_ended(self._store.workspace, record.claim)

    def give_up(self, record: JobRecord) -> None:
        """A person says that the process of this job has ended. Ask `may_have_ended` first. Raises StorageFailed."""
        with storing(self.folder):
            claims.give_up(self._store.workspace, record.claim)

    def forget(self, job_id: str) -> None:
        """Raises StorageFailed."""
        with storing(self.folder):
            (self.folder / f"{job_id}.json").unlink(missing_ok=True)
        self.lower_flag(job_id)

    def _names(self) -> list[str]:
        """Of the journals' files, the oldest first."""
        try:
            there = os.listdir(self.folder)  # noqa: PTH208 - a page asks thrice; a Path of each takes longer than a look
        except OSError:
            return []
        return sorted(name for name in there if name.endswith(".json") and not name.startswith("."))

    def _entry(self, name: str) -> tuple[int, JobRecord | None] | None:
        try:
            stamp = os.stat(f"{self.folder}/{name}").st_mtime_ns  # noqa: PTH116 - likewise
        except FileNotFoundError:  # forgotten meanwhile
            return None
        known = self._read.get(name)
        if known and known[0] == stamp:
            return known
        path = self.folder / name
        try:
            record = read_json(path, JobRecord)
        except Damaged as error:
            _log.warning("A journal is left out: %s", error)
            return stamp, None
        if record.id != path.stem:
            _log.warning("A journal is left out: %s says that it is of job %s", path, record.id)
            return stamp, None
        return stamp, record

    def _settled(self, record: JobRecord) -> JobRecord:
        if record.state in FINISHED or claims.is_held(self._store.workspace, record.claim):
            return record
        ended = record.model_copy(
            update={
                "state": "interrupted",
                "finished_at": record.heartbeat_at,
                "error": "The program ended while this was running. Resume continues from what was saved.",
            }
        )
        if self._store.read_only:
            return ended
        self.write(ended)
        self.lower_flag(record.id)
        try:
            self._store.sync()  # it may have saved something that it could no longer index
        except StorageFailed as error:
            _log.warning("The index is behind the files: %s", error)
        return ended

    def _own_claim(self) -> str:
        with storing(self.folder):
            return claims.own(self._store.workspace)
