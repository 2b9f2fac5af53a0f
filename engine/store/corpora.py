"""Corpora and model descriptions of a workspace."""

from engine.domain.corpus import Corpus, CorpusSpec, TaskSpec
from engine.domain.errors import InputError, NameRefused
from engine.domain.models import DEMO_MODEL, ModelSpec
from engine.domain.runs import RunConfig
from engine.store.catalogue import CorpusSummary, read_corpus, read_model
from engine.store.files import new_folder, remove, write_text
from engine.store.infos import CorpusInfo
from engine.store.shelves import Shelves


class CorpusShelf(Shelves):
    """`corpora/NAME/corpus.jsonl` (+ spec.json); `models/NAME.json`."""

    def save_corpus(self, corpus: Corpus, spec: CorpusSpec | TaskSpec | None = None) -> None:
        """Saving equal content again does nothing. Raises NameRefused; InputError where the name has other content."""
        path = self._may_write("corpus", "corpus", corpus.name)
        if self._has_equal(corpus):
            return
        try:
            with new_folder(path.parent) as folder:
                write_text(folder / "corpus.jsonl", corpus.to_jsonl())
                if spec:
                    write_text(folder / "spec.json", spec.to_json())
        except InputError:  # the name was free a moment ago: another process has just saved one
            if not self._has_equal(corpus):
                raise
        self._note("corpus", corpus.name)

    def _has_equal(self, corpus: Corpus) -> bool:
        path = self._find("corpus", corpus.name)
        if path and read_corpus(path).hash != corpus.hash:
            raise InputError(
                f"There is already another corpus named “{corpus.name}”. Choose another name, or delete that one first."
            )
        return path is not None

    def corpus(self, name: str) -> Corpus:
        """Raises NameRefused, NotFound, Damaged."""
        return read_corpus(self._locate("corpus", "corpus", name))

    def corpora(self) -> list[CorpusInfo]:
        """By name."""
        infos = [
            CorpusInfo(name=row.name, bundled=row.bundled, **dict(summary))
            for row, summary in self._records("corpus", CorpusSummary)
        ]
        return sorted(infos, key=lambda info: info.name)

    def delete_corpus(self, name: str) -> None:
        """Raises NotFound, NameRefused; InputError where runs were trained on it, whose curves need its probes."""
        path = self._may_write("corpus", "corpus", name)
        self._locate("corpus", "corpus", name)
        users = [config.name for _, config in self._records("run", RunConfig) if config.corpus == name]
        if users:
            raise InputError(f"The corpus “{name}” is used by {', '.join(users[:5])}. Delete those runs first.")
        remove(path.parent)
        self._note("corpus", name)

    def save_model(self, spec: ModelSpec) -> None:
        """Replaces a description of the same name: runs keep their own copy. Raises NameRefused for “demo”."""
        path = self._may_write("model", "model", spec.name)
        if spec == DEMO_MODEL:
            return
        if spec.name == DEMO_MODEL.name:
            raise NameRefused(f"“{spec.name}” is the bundled model. Use another name.")
        write_text(path, spec.to_json())
        self._note("model", spec.name)

    def delete_model(self, name: str) -> None:
        """It is offered no more; its files and its runs stay. Raises NotFound, NameRefused (also for the demo's)."""
        if name == DEMO_MODEL.name:
            raise NameRefused(f"“{name}” is the bundled model and cannot be removed.")
        path = self._may_write("model", "model", name)
        self._locate("model", "model", name)
        remove(path)
        self._note("model", name)

    def model(self, name: str) -> ModelSpec:
        """Raises NameRefused, NotFound, Damaged."""
        return DEMO_MODEL if name == DEMO_MODEL.name else read_model(self._locate("model", "model", name))

    def models(self) -> list[ModelSpec]:
        """The bundled model first, then by name."""
        known = sorted((spec for _, spec in self._records("model", ModelSpec)), key=lambda spec: spec.name)
        return [DEMO_MODEL, *(spec for spec in known if spec.name != DEMO_MODEL.name)]
