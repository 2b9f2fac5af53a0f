"""Component circuits of a workspace: scores of edges, and what was measured on circuits."""

from engine.domain.components import CircuitReport, ComponentKey, ComponentScores
from engine.domain.errors import NotFound
from engine.store.catalogue import read_circuit
from engine.store.component_files import read_components, write_components
from engine.store.files import write_text
from engine.store.layout import main_file
from engine.store.shelves import Shelves


class ComponentShelf(Shelves):
    """`components/HASH.safetensors`, `circuits/HASH.json`; both named by what was asked for."""

    def save_components(self, scores: ComponentScores) -> None:
        """Replaces those of the same key. Raises StorageFailed; ValueError where they contradict themselves."""
        write_components(self.workspace / main_file("components", scores.key.hash), scores)
        self._note("components", scores.key.hash)

    def components(self, name: str) -> ComponentScores:
        """The scores whose key has this hash. Raises NotFound, Damaged."""
        path = self._find("components", name)
        if path is None:
            raise NotFound("component scores", name)
        return read_components(path)

    def component_keys(self, run: str | None = None) -> list[ComponentKey]:
        """What made the stored scores, newest first, the bundled ones last; of one run where it is given."""
        pairs = self._records("components", ComponentKey, parent=run)
        return [key for row, key in sorted(pairs, key=lambda pair: (pair[0].bundled, -pair[0].stamp, pair[0].name))]

    def save_circuit_report(self, report: CircuitReport) -> None:
        """Replaces one of the same kind and key. Raises StorageFailed."""
        write_text(self.workspace / main_file("circuit", report.hash), report.to_json())
        self._note("circuit", report.hash)

    def circuit_report(self, name: str) -> CircuitReport:
        """The report of this hash. Raises NotFound, Damaged."""
        path = self._find("circuit", name)
        if path is None:
            raise NotFound("circuit report", name)
        return read_circuit(path)

    def circuit_reports(self, run: str | None = None) -> list[CircuitReport]:
        """Newest first, the bundled ones last; a damaged one is left out here and told by `unreadable`."""
        rows = sorted(self._listed("circuit", parent=run), key=lambda row: (row.bundled, -row.stamp, row.name))
        paths = [self._find("circuit", row.name) for row in rows]
        return [read_circuit(path) for path in paths if path is not None]
