"""The Hugging Face hub: the one place that speaks with it, always because a person asked for something there.

Everything goes through huggingface_hub into its own cache: what other programs downloaded is found there. Gigabytes are
downloaded by a process of its own, which a cancel ends; what it has is kept and gone on with.
"""

import glob
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any, Final

from huggingface_hub import HfApi, constants, hf_hub_download, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from huggingface_hub.utils import tqdm as bars
from requests.exceptions import ConnectionError as NoConnection
from requests.exceptions import Timeout

from engine.domain.errors import ModelUnavailable
from engine.domain.foreign import one_line
from engine.domain.hub import HubFile, HubFolder, HubId
from engine.domain.jobs import CancelToken, Report
from engine.domain.numbers import memory
from engine.store.files import object_in

_MODEL: Final = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")  # what a model is read from; never pickles
_MOST_NAMED: Final = 8  # revisions
_POLL_S: Final = 0.2
# It ends with the process that started it, whatever ends that.
_CHILD: Final = """
import json, os, sys, threading
asked = json.loads(sys.stdin.readline())
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(1)), daemon=True).start()
from huggingface_hub import snapshot_download
from huggingface_hub.utils import disable_progress_bars
disable_progress_bars()
try:
    snapshot_download(**asked)
except Exception as error:
    print(" ".join(str(error).split()) or type(error).__name__, file=sys.stderr, flush=True)
    os._exit(1)
os._exit(0)
"""


def list_files(hub: HubId) -> HubFolder:
    """What lies there, by one request; without a network what of it is in the cache. Raises ModelUnavailable."""
    with _told(hub):
        try:
            info = HfApi(endpoint=_endpoint()).model_info(
                hub.name, revision=hub.revision or None, files_metadata=True, timeout=constants.DEFAULT_REQUEST_TIMEOUT
            )
        except (NoConnection, Timeout, OfflineModeIsEnabled):
            return _listed_here(hub)
    blobs, snapshot, files = _cache_of(hub) / "blobs", _cache_of(hub) / "snapshots" / str(info.sha), []
    for one in info.siblings or ():
        mark = str((one.lfs and one.lfs.sha256) or one.blob_id or one.rfilename)
        there = _is_plain(one.rfilename) and ((blobs / mark).is_file() or (snapshot / one.rfilename).is_file())
        files.append(HubFile(name=one.rfilename, n_bytes=one.size or 0, mark=mark, here=there))
    return HubFolder(id=hub, commit=str(info.sha), files=_below(hub, files))


def fetch_small(folder: HubFolder) -> Path:
    """Its files, which are small, in the cache; returns where the folder then lies. Raises ModelUnavailable."""
    if not folder.offline and folder.files:
        with _told(folder.id):
            # By the revision's name, so that the cache knows it without a network.
            found = Path(snapshot_download(revision=folder.id.revision or None, **_asked(folder)))
        if found.name != folder.commit or not all((found / one.name).is_file() for one in folder.files):
            raise ModelUnavailable(f"{folder.id} changed, or could not be asked, while it was looked at. Look again.")
    return place_of(folder)


def fetch(folder: HubFolder, report: Report, cancel: CancelToken) -> Path:
    """Its files in the cache; returns where the folder then lies.

    Raises ModelUnavailable (also where the disk has no room for them), Canceled: what was downloaded so far is kept.
    """
    snapshot = _cache_of(folder.id) / "snapshots" / folder.commit
    if all((snapshot / one.name).is_file() for one in folder.files):
        return place_of(folder)
    wanted, blobs = folder.missing_bytes, _cache_of(folder.id) / "blobs"
    n_bytes = sum(wanted.values())
    _refuse_no_room(folder.id, n_bytes)

    def tell() -> None:
        done = sum(_size(blobs / mark) or _size(blobs / f"{mark}.incomplete") for mark in wanted)
        report(min(done / max(n_bytes, 1), 1.0), f"downloading {folder.id}: {memory(done)} of {memory(n_bytes)}")
        cancel.check()

    if said := _in_a_process({"revision": folder.commit, **_asked(folder)}, tell):
        raise ModelUnavailable(
            f"{folder.id} could not be downloaded: {said[:300]}. Try again: what is here already is kept."
        )
    return place_of(folder)


def fetch_model(location: str, report: Report, cancel: CancelToken) -> None:
    """A base model's files in the cache; what lies there whole is not asked for again. `location`: its id, with
    @REVISION where it has one.

    Raises ModelUnavailable (also where it is no model), Canceled.
    """
    if cached_model(location):
        return
    hub = _model_id(location)
    listing = list_files(hub)
    names = {one.name for one in listing.files if "/" not in one.name}
    if "config.json" not in names:
        is_adapter = "adapter_config.json" in names
        raise ModelUnavailable(
            f"{hub} is an adapter, not a model. Import it as checkpoints, and name the model that it was trained from."
            if is_adapter
            else f"{hub} is no model that transformers reads: it has no config.json. Give the id of another one."
        )
    fetch(listing.only({name for name in names if any(fnmatch(name, one) for one in _MODEL)}), report, cancel)


def model_folder(location: str) -> Path:
    """Where a base model's files lie in the cache; only what does not lie there whole is downloaded.

    So a run's base stays what it was when it was added, and using it asks nobody. Raises ModelUnavailable.
    """
    if here := cached_model(location):
        return here
    hub = _model_id(location)
    with _told(hub):
        return Path(
            snapshot_download(
                hub.name, revision=hub.revision or None, allow_patterns=list(_MODEL), ignore_patterns=["*/*"],
                endpoint=_endpoint(), cache_dir=constants.HF_HUB_CACHE,
            )
        )  # fmt: skip


def cached_model(location: str) -> Path | None:
    """Where a base model's files lie in the cache; None where they are not all there. Asks nobody.

    Raises ModelUnavailable where it is no id.
    """
    hub = _model_id(location)
    with _told(hub):
        found = try_to_load_from_cache(
            hub.name, "config.json", revision=hub.revision or None, cache_dir=constants.HF_HUB_CACHE
        )
    folder = Path(found).parent if isinstance(found, str) else None
    if folder is None or not (folder / "tokenizer.json").is_file():
        return None
    shards = object_in(folder / "model.safetensors.index.json").get("weight_map")
    if isinstance(shards, dict) and not (folder / "model.safetensors").is_file():
        return folder if all((folder / str(name)).is_file() for name in shards.values()) else None
    return folder if any(folder.glob("*.safetensors")) else None


def published_file(name: str, file: str, *, folder: str | None, revision: str | None) -> Path:
    """One file of a published transcoder set in the cache. Raises what huggingface_hub raises."""
    return Path(hf_hub_download(repo_id=name, revision=revision, filename=file, subfolder=folder))


def published_files(name: str, patterns: Sequence[str], *, revision: str | None) -> Path:
    """The files of a published transcoder set, in a folder of the cache. Raises what huggingface_hub raises."""
    return Path(snapshot_download(name, revision=revision, allow_patterns=list(patterns)))


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


def _model_id(location: str) -> HubId:
    name, _, revision = location.partition("@")
    return HubId(name=name, revision=revision)


def _cache_of(hub: HubId) -> Path:
    return Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=hub.name, repo_type="model"))


def place_of(folder: HubFolder) -> Path:
    """Where it lies in the cache, if it does."""
    return _cache_of(folder.id) / "snapshots" / folder.commit / folder.id.folder


def _asked(folder: HubFolder) -> dict[str, Any]:
    return {
        "repo_id": folder.id.name, "allow_patterns": [glob.escape(one.name) for one in folder.files],
        "endpoint": _endpoint(), "cache_dir": constants.HF_HUB_CACHE,
    }  # fmt: skip


def _listed_here(hub: HubId) -> HubFolder:
    snapshot = Path(
        snapshot_download(
            hub.name, revision=hub.revision or None, local_files_only=True, cache_dir=constants.HF_HUB_CACHE
        )
    )
    files = [
        HubFile(
            name=path.relative_to(snapshot).as_posix(), n_bytes=path.stat().st_size, mark=path.resolve().name, here=True
        )
        for path in sorted(snapshot.rglob("*"))
        if path.is_file()
    ]
    return HubFolder(id=hub, commit=snapshot.name, files=_below(hub, files), offline=True)


def _below(hub: HubId, files: Sequence[HubFile]) -> tuple[HubFile, ...]:
    """Those in the id's folder that have a name which stays in it. Raises ModelUnavailable where it has none."""
    start = f"{hub.folder}/" if hub.folder else ""
    plain = [one for one in files if one.name.startswith(start) and _is_plain(one.name)]
    if hub.folder and not plain:
        raise ModelUnavailable(f"{hub.name} has no folder “{hub.folder}”. Look at what it has: give {hub.name} alone.")
    return tuple(plain)


def _is_plain(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts and not set(name) & set("\\:\0")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _refuse_no_room(hub: HubId, n_bytes: int) -> None:
    cache = Path(constants.HF_HUB_CACHE)
    free = shutil.disk_usage(next(place for place in (cache, *cache.parents) if place.is_dir())).free
    if n_bytes > free:
        raise ModelUnavailable(
            f"{hub} is {memory(n_bytes)} to download, and the disk of the Hugging Face cache ({cache}) has "
            f"{memory(free)} left. Free some space, or start Tracelapse with HF_HOME naming a larger disk."
        )


def _in_a_process(asked: dict[str, Any], tell: Callable[[], None]) -> str:
    """`snapshot_download(**asked)`; `tell` is called now and then, and may raise. Returns what went wrong."""
    command = [sys.executable, "-P", "-c", _CHILD]
    pipe = subprocess.PIPE
    with subprocess.Popen(  # noqa: S603  Python itself, and what it is given is data
        command, stdin=pipe, stderr=pipe, stdout=subprocess.DEVNULL, text=True, encoding="utf-8"
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        try:
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
            while process.poll() is None:
                tell()
                try:
                    process.wait(_POLL_S)
                except subprocess.TimeoutExpired:
                    continue
        except BaseException:
            process.kill()
            raise
        if process.returncode == 0:
            return ""
        lines = process.stderr.read().strip().splitlines()
        return lines[-1] if lines else f"the download ended with {process.returncode}"


def _revisions(hub: HubId) -> str:
    """Which there are. Not knowing them is no error of its own."""
    try:
        refs = HfApi(endpoint=_endpoint()).list_repo_refs(hub.name)
    except (OSError, ValueError):
        return "Check the spelling."
    names = [one.name for one in (*refs.branches, *refs.tags)]
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return f"It has {', '.join(names[:_MOST_NAMED])}{more}." if names else "Check the spelling."


@contextmanager
def without_bars() -> Iterator[None]:
    """huggingface_hub draws bars on the terminal, across ours. Of the whole process, so around threads, not in them."""
    bars.get_lock()  # once for good: downloads at a time that each make one take it from under the others
    if are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


@contextmanager
def _told(hub: HubId) -> Iterator[None]:
    """What huggingface_hub raises, in words. Raises ModelUnavailable."""
    revision = f" --revision {hub.revision}" if hub.revision else ""
    elsewhere = (
        f"On a machine with network run `huggingface-cli download {hub.name}{revision} --local-dir FOLDER`, "
        "copy the folder here and use it as a local folder."
    )
    try:
        yield
    except GatedRepoError as error:
        raise ModelUnavailable(
            f"{hub} is gated: accept its license at https://huggingface.co/{hub.name}, run `huggingface-cli login`, "
            "and try again."
        ) from error
    except RevisionNotFoundError as error:
        raise ModelUnavailable(f"{hub.name} has no revision “{hub.revision}”. {_revisions(hub)}") from error
    except RepositoryNotFoundError as error:
        raise ModelUnavailable(
            f"The hub has no model “{hub.name}”, or it is private. Check the spelling, or log in with "
            f"`huggingface-cli login`. If you mean a folder on this machine: there is none called {hub}."
        ) from error
    except HFValidationError as error:
        raise ModelUnavailable(f"“{hub}” is not a hub id. Write OWNER/NAME, such as google/gemma-2-2b.") from error
    except LocalEntryNotFoundError as error:
        raise ModelUnavailable(
            f"{hub} is not on this machine, also as a folder, and there is no network connection. {elsewhere}"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise ModelUnavailable(f"{hub} could not be downloaded: {one_line(error)}. {elsewhere}") from error
