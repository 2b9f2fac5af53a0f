"""Transcoder sets of a workspace, and which of them explain which checkpoints."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from engine.domain.errors import InputError
from engine.domain.models import TranscoderMeta
from engine.domain.names import CheckpointRef
from engine.store.catalogue import read_meta
from engine.store.files import new_folder, remove, write_text
from engine.store.runs import RunShelf


class TranscoderShelf(RunShelf):
    """`transcoders/NAME/set.json` + layer_0.safetensors …"""

    @contextmanager
    def new_transcoder_set(self, meta: TranscoderMeta) -> Iterator[Path]:
        """Yields a temporary folder for the layers' files; set.json is in it already.

        The same set may be made again (a job that was killed right after it was saved is resumed). Raises InputError
        where another set has the name, NameRefused where the demo has it, StorageFailed.
        """
        path = self._may_write("transcoders", "transcoder set", meta.name)
        if path.exists() and _request(read_meta(path)) != _request(meta):
            raise InputError(f"There is already another transcoder set named “{meta.name}”. Choose another name.")
        with new_folder(path.parent, replace=True) as folder:
            write_text(folder / "set.json", meta.to_json())
            yield folder
        self._note("transcoders", meta.name)

    def transcoder_sets(self, model: str | None = None) -> list[TranscoderMeta]:
        """Newest first, the bundled ones last; of one model where it is named."""
        found = [pair for pair in self._records("transcoders", TranscoderMeta) if model in (None, pair[1].model.name)]
        return [meta for row, meta in sorted(found, key=lambda pair: (pair[0].bundled, -pair[0].stamp, pair[0].name))]

    def transcoder_set(self, name: str) -> TranscoderMeta:
        """Raises NameRefused, NotFound, Damaged."""
        return read_meta(self._locate("transcoders", "transcoder set", name))

    def transcoder_folder(self, name: str) -> Path:
        """Raises NameRefused, NotFound."""
        return self._locate("transcoders", "transcoder set", name).parent

    def delete_transcoder_set(self, name: str) -> None:
        """Graphs that were traced with it stay. Raises NotFound, NameRefused (also for the demo's)."""
        path = self._may_write("transcoders", "transcoder set", name)
        self._locate("transcoders", "transcoder set", name)
        remove(path.parent)
        self._note("transcoders", name)

    def transcoders_for(self, refs: Sequence[str]) -> TranscoderMeta | None:
        """The newest set that has seen all of these checkpoints, or None.

        The base is the same weights in every run of a model: a set that has seen one `RUN@base` has seen all.
        Raises NotFound, InputError for references to runs that do not exist.
        """
        parsed = [CheckpointRef.parse(ref) for ref in refs]
        models = {self.run(ref.run).model for ref in parsed}
        needed = {_seen_as(str(ref)) for ref in parsed}
        for meta in self.transcoder_sets():
            if models == {meta.model} and needed <= {_seen_as(ref) for ref in meta.checkpoints}:
                return meta
        return None


def _request(meta: TranscoderMeta) -> TranscoderMeta:
    """What was asked for, without what was measured."""
    return meta.model_copy(update={"unexplained_variance": ()})


def _seen_as(ref: str) -> str:
    return "@base" if ref.endswith("@base") else ref
