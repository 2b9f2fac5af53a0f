"""What was found out about features, what a person wrote on them, and what they are called."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from engine.domain.annotations import Annotations
from engine.domain.errors import InputError, StorageFailed
from engine.domain.feature_names import AutomaticLabels, FeatureNames, FoundLabels
from engine.domain.features import FeatureKey
from engine.domain.graphs import GraphKey
from engine.domain.interventions import Intervention, InterventionKey
from engine.store.catalogue import read_annotations, read_automatic_labels, read_intervention
from engine.store.feature_files import Facts, read_features, write_features
from engine.store.files import storing, write_packed_json, write_text
from engine.store.kept import kept_values
from engine.store.layout import Kind, main_file
from engine.store.shelves import Shelves

_LOCK_S = 30.0


class NoteShelf(Shelves):
    """`features/HASH.safetensors`, `interventions/HASH.json`; by TRANSCODERS_HASH `annotations/` and `labels/`."""

    def features(self, key: FeatureKey, only: Collection[tuple[int, int]] | None = None) -> Facts:
        """Facts by (layer, index), of all or of those in `only`; of both shelves together. Raises Damaged.

        What is not stored is not in it.
        """
        found: Facts = {}
        for shelf in filter(None, (self.bundled, self.workspace)):
            path = shelf / main_file("features", key.hash)
            if path.exists():
                found |= read_features(path, only)
        return found

    def save_features(self, key: FeatureKey, facts: Facts) -> None:
        """Adds to what is stored under the key. Raises StorageFailed, Damaged."""
        path = self.workspace / main_file("features", key.hash)
        with self._changing("features", key.hash):
            before = read_features(path) if path.exists() else {}
            write_features(path, key, before | facts)
        self._note("features", key.hash)

    def feature_keys(self, checkpoint: str) -> list[FeatureKey]:
        """What facts are stored of a checkpoint (RUN@LABEL), newest first."""
        rows = self._records("features", FeatureKey, parent=checkpoint)
        return [key for _, key in sorted(rows, key=lambda row: (row[0].bundled, -row[0].stamp))]

    def intervention(self, key: InterventionKey) -> Intervention | None:
        """The stored result, or None. Raises Damaged."""
        path = self._find("intervention", key.hash)
        return read_intervention(path) if path else None

    def interventions(self, graph: GraphKey) -> list[Intervention]:
        """All that was tried on the graph's checkpoint, prompt and outputs. Raises Damaged."""
        rows = self._records("intervention", InterventionKey, parent=graph.checkpoint)
        found = [self.intervention(key) for _, key in rows if key.graph == graph]
        return [one for one in found if one is not None]

    def save_intervention(self, intervention: Intervention) -> None:
        """Raises StorageFailed."""
        name = intervention.key.hash
        write_text(self.workspace / main_file("intervention", name), intervention.to_json())
        self._note("intervention", name)

    def annotations(self, transcoders_hash: str) -> Annotations:
        """What was written on the set's features; empty where nothing was. Raises Damaged."""
        path = self._find("annotations", transcoders_hash)
        return read_annotations(path) if path else Annotations(transcoders_hash=transcoders_hash)

    def automatic_labels(self, transcoders_hash: str) -> AutomaticLabels:
        """Of the set's features; empty where none was measured. Nobody changes what is returned. Raises Damaged."""
        path = self._find("labels", transcoders_hash)
        return _labels_of(path) if path else AutomaticLabels(transcoders_hash=transcoders_hash)

    def add_automatic_labels(self, transcoders_hash: str, found: FoundLabels, *, replace: bool = False) -> None:
        """Adds to what is stored, or takes its place. Raises StorageFailed, Damaged."""
        with self._changing("labels", transcoders_hash):
            none = AutomaticLabels(transcoders_hash=transcoders_hash)
            labels = (none if replace else self.automatic_labels(transcoders_hash)).added(found)
            write_packed_json(self.workspace / main_file("labels", transcoders_hash), labels)
        self._note("labels", transcoders_hash)

    def feature_names(self, transcoders_hash: str) -> FeatureNames:
        """What the set's features are called: one answer for everyone who names one. Raises Damaged."""
        return FeatureNames(self.annotations(transcoders_hash), self.automatic_labels(transcoders_hash))

    def set_label(self, transcoders_hash: str, feature: str, text: str) -> None:
        """Writes on the feature LAYER/INDEX; an empty text takes its label away. Raises InputError, StorageFailed."""

        def change(old: Annotations) -> dict[str, object]:
            labels = {name: label for name, label in old.labels.items() if name != feature}
            return {"labels": labels | {feature: text} if text.strip() else labels}

        self._annotate(transcoders_hash, change)

    def set_supernode(self, transcoders_hash: str, name: str, features: Sequence[str]) -> None:
        """Names a group of features LAYER/INDEX, in place of one of the same name; without features it is taken away.

        Raises InputError, StorageFailed.
        """

        def change(old: Annotations) -> dict[str, object]:
            others = [group.model_dump() for group in old.supernodes if group.name != " ".join(name.split())]
            return {"supernodes": [*others, {"name": name, "features": sorted(set(features))}] if features else others}

        self._annotate(transcoders_hash, change)

    def _annotate(self, transcoders_hash: str, change: Callable[[Annotations], dict[str, object]]) -> None:
        with self._changing("annotations", transcoders_hash):
            old = self.annotations(transcoders_hash)
            try:
                new = Annotations.model_validate(old.model_dump() | change(old))
            except ValidationError as error:
                reason = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
                raise InputError(f"This cannot be saved for a feature: {reason}.") from error
            write_text(self.workspace / main_file("annotations", transcoders_hash), new.to_json())
        self._note("annotations", transcoders_hash)

    @contextmanager
    def _changing(self, kind: Kind, name: str) -> Iterator[None]:
        """Two tabs, or two processes, change one file one after the other, so that neither loses what it wrote.

        Raises StorageFailed.
        """
        path: Path = self.workspace / main_file(kind, name)
        lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=_LOCK_S)
        try:
            with storing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                lock.acquire()
        except Timeout as error:
            raise StorageFailed(
                f"{path} has been locked by another process for {_LOCK_S:g} s. End that process, then try again."
            ) from error
        try:
            yield
        finally:
            lock.release()


def _labels_of(path: Path) -> AutomaticLabels:
    """As the file is now: pages ask at every rerun, and a set of 16,000 features is half a megabyte."""
    status = path.stat()
    key = "labels", path, status.st_size, status.st_mtime_ns
    return kept_values().get(key, lambda: read_automatic_labels(path))
