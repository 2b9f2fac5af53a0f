"""What was found out about features, and what a person wrote on them."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from filelock import FileLock
from pydantic import ValidationError

from engine.domain.annotations import Annotations
from engine.domain.errors import InputError
from engine.domain.features import FeatureKey
from engine.domain.graphs import GraphKey
from engine.domain.interventions import Intervention, InterventionKey
from engine.store.catalogue import read_annotations, read_intervention
from engine.store.feature_files import Facts, read_features, write_features
from engine.store.files import write_text
from engine.store.layout import Kind, main_file
from engine.store.shelves import Shelves

_LOCK_S = 30.0


class NoteShelf(Shelves):
    """`features/HASH.safetensors`, `interventions/HASH.json`, `annotations/TRANSCODERS_HASH.json`."""

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

    def _changing(self, kind: Kind, name: str) -> FileLock:
        """Two tabs, or two processes, change one file one after the other, so that neither loses what it wrote."""
        path: Path = self.workspace / main_file(kind, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(path.with_name(f".{path.name}.lock"), timeout=_LOCK_S)
