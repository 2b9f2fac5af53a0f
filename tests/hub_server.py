"""A Hugging Face hub on 127.0.0.1, as far as it is asked: what a repository holds, its revisions, its files."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

_LARGE = 4000  # bytes; from there on a file is in LFS, by its sha256


class LocalHub:
    """`hub.repos["owner/name"]["main"]` is the folder of a revision; `hub.asked` is what was asked of it, in order."""

    def __init__(self) -> None:
        self.repos: dict[str, dict[str, Path]] = {}
        self.gated: set[str] = set()  # what is in them is told, but no file is given
        self.broken: set[str] = set()  # names of files that cannot be given
        self.asked: list[str] = []
        self.go_on = threading.Event()  # cleared: of safetensors files only the first half is sent
        self.go_on.set()
        self.half_sent = threading.Event()

    def weights_asked(self) -> list[str]:
        """Names of weights whose bytes were fetched."""
        return [one for one in self.asked if one.startswith("GET") and one.endswith((".safetensors", ".bin"))]

    def folder(self, repo: str, revision: str) -> Path | None:
        revisions = self.repos[repo]
        return revisions.get(revision) or next((one for one in revisions.values() if commit_of(one) == revision), None)


def commit_of(folder: Path) -> str:
    """The same for the same files."""
    digest = hashlib.sha1(usedforsecurity=False)
    for path in _files(folder):
        digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _about(folder: Path, path: Path) -> dict[str, object]:
    data = path.read_bytes()
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    row: dict[str, object] = {"rfilename": path.relative_to(folder).as_posix(), "size": len(data), "blobId": blob}
    if len(data) > _LARGE:
        row["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return row


class _Handler(BaseHTTPRequestHandler):
    hub: LocalHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(self.path.partition("?")[0])
        self.hub.asked.append(f"{self.command} {path}")
        of_api = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(refs)|/revision/(.+))?", path)
        of_file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        found = of_api or of_file
        if found is None or found[1] not in self.hub.repos:
            self._refuse(404, "RepoNotFound")
        elif of_api and of_api[2]:
            names = self.hub.repos[of_api[1]]
            refs = [{"name": name, "ref": f"refs/heads/{name}", "targetCommit": "0"} for name in names]
            self._send(json.dumps({"branches": refs, "tags": [], "converts": []}).encode())
        else:
            revision = (of_api[3] or "main") if of_api else found[2]
            folder = self.hub.folder(found[1], revision)
            if folder is None:
                self._refuse(404, "RevisionNotFound")
            elif of_api:
                rows = [_about(folder, one) for one in _files(folder)]
                self._send(json.dumps({"id": found[1], "sha": commit_of(folder), "siblings": rows}).encode())
            elif found[1] in self.hub.gated:
                self._refuse(403, "GatedRepo")
            else:
                self._file(folder, folder / found[3])

    def _file(self, folder: Path, path: Path) -> None:
        if not path.is_file():
            self._refuse(404, "EntryNotFound")
            return
        if path.name in self.hub.broken and self.command == "GET":
            self._refuse(410, "")  # of 500 and more the client tries again for half a minute
            return
        about = _about(folder, path)
        lfs = about.get("lfs")
        mark = lfs["sha256"] if isinstance(lfs, dict) else about["blobId"]
        headers = {"ETag": f'"{mark}"', "X-Repo-Commit": commit_of(folder)}
        self._send(path.read_bytes(), headers, halting=path.suffix == ".safetensors")

    def _send(self, data: bytes, headers: dict[str, str] | None = None, *, halting: bool = False) -> None:
        start = int(re.sub(r"\D", "", self.headers.get("Range", "0").partition("-")[0]) or 0)
        self.send_response(206 if start else 200)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if self.command == "HEAD":
            return
        half = start + (len(data) - start) // 2
        try:
            self.wfile.write(data[start:half])
            self.wfile.flush()
            if halting and not self.hub.go_on.is_set():
                self.hub.half_sent.set()
                self.hub.go_on.wait(60)
            self.wfile.write(data[half:])
        except OSError:  # the other end is gone
            self.close_connection = True

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def running(cache: Path, patch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """A hub that huggingface_hub asks, here and in processes started from here, with a cache of its own."""
    from huggingface_hub import constants
    from huggingface_hub.utils import reset_sessions

    hub = LocalHub()
    handler = type("_Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        patch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        patch.setenv("HF_HUB_OFFLINE", "0")
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr(constants, "HF_HUB_CACHE", str(cache))
        reset_sessions()
        try:
            yield hub
        finally:
            hub.go_on.set()
            server.shutdown()
            thread.join()
            reset_sessions()
