"""Another name for a run: whole or not at all, and nothing stays that speaks of the old one.

The run's files are linked into a folder of the new name, with a file that says what it was called. That folder's
rename is the moment at which it happens: what is left to do then, a killed rename's next opening does.
"""

import os
import shutil
from pathlib import Path
from typing import Final

from engine.domain.names import Name
from engine.domain.record import Record
from engine.domain.runs import RunConfig
from engine.store.files import write_text

RENAMED: Final = "renamed.json"  # in a run's folder, until nothing speaks of its old name any more


class FormerName(Record):
    """`renamed.json`"""

    old: Name


def link_run(source: Path, target: Path, config: RunConfig) -> None:
    """All files of a run into the empty folder `target`, and its configuration under the new name.

    A link takes no room; where the drive has none, files are copied. Raises OSError.
    """
    for at, folders, names in os.walk(source):
        to = target / Path(at).relative_to(source)
        for folder in folders:
            (to / folder).mkdir()
        for name in names:
            _link(Path(at, name), to / name)
    write_text(target / RENAMED, FormerName(old=source.name).to_json())
    (target / "run.json").unlink()  # it is a link: writing would replace it, and this says so
    write_text(target / "run.json", config.to_json())
    made = (source / "run.json").stat().st_mtime_ns
    os.utime(target / "run.json", ns=(made, made))  # when it was made, by which lists are ordered


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def renamed(ref: str, old: str, new: str) -> str:
    """RUN@LABEL under the run's new name."""
    run, at, label = ref.partition("@")
    return f"{new}@{label}" if at and run == old else ref
