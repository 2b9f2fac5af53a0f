"""Studies of a workspace: the outcome of each run, tables of all, and what was found."""

import gzip
from pathlib import Path
from typing import get_args

from engine.domain.errors import Damaged
from engine.domain.names import check_name
from engine.domain.studies import Questions, RunOutcome, Study, StudyTables
from engine.store.catalogue import read_study
from engine.store.files import read_json, write_bytes, write_text
from engine.store.layout import inside, main_file
from engine.store.shelves import Shelves

_TABLES = ("runs", "captures", "components", "circuits", "taught", "rankings", "acted")
_TEXTS = ("variant", "critical_layers", "subject", "layer_change")  # columns in which an empty text is one
_LATER = _TABLES[2:]  # a study of before has none


class StudyShelf(Shelves):
    """`studies/NAME/study.json` and its tables as NAME.csv.gz; results/RUN.json while it is being done."""

    def save_study(self, study: Study, tables: StudyTables | None = None) -> Path:
        """Its folder. The tables are written first: study.json stands for them. Raises NameRefused, StorageFailed.

        The bundled study may be done again under its name, which then stands for the new one in this workspace.
        """
        path = self._own(study.spec.name)
        for name in _TABLES if tables else ():
            table = getattr(tables, name)
            if not len(table.columns):
                continue
            text: str = table.to_csv(index=False)
            # The same table, the same bytes: no time in the header.
            write_bytes(path.with_name(f"{name}.csv.gz"), gzip.compress(text.encode(), mtime=0))
        write_text(path, study.to_json())
        self._note("study", study.spec.name)
        return path.parent

    def study(self, name: str) -> Study:
        """Raises NameRefused, NotFound, Damaged."""
        return read_study(self._locate("study", "study", name))

    def studies(self) -> list[Study]:
        """Newest first; the bundled ones last, by what they ask, since the times of their files tell nothing."""
        order = get_args(Questions)
        rows = sorted(self._records("study", Study), key=lambda p: (order.index(p[1].spec.asks), p[0].name))
        return [study for _, study in sorted(rows, key=lambda p: (p[0].bundled, 0 if p[0].bundled else -p[0].stamp))]

    def study_tables(self, name: str) -> StudyTables:
        """Those that a study of before has not are empty. Raises NameRefused, NotFound, Damaged."""
        import pandas as pd  # 0.4 s that the first page does not need

        folder = self._locate("study", "study", name).parent
        tables = []
        for table in _TABLES:
            path = folder / f"{table}.csv.gz"
            if table in _LATER and not path.exists():
                tables.append(pd.DataFrame())
                continue
            try:
                read = pd.read_csv(path, compression="gzip", dtype=dict.fromkeys(_TEXTS, str))
            except (OSError, EOFError, ValueError, pd.errors.ParserError) as error:
                raise Damaged(path, f"it is not a table ({error})") from error
            tables.append(read.fillna({name: "" for name in _TEXTS if name in read}))
        return StudyTables(*tables)

    def save_outcome(self, study: str, outcome: RunOutcome) -> None:
        """One finished run of a study, at once. Raises NameRefused, StorageFailed."""
        write_text(self._outcomes(study) / f"{outcome.config.name}.json", outcome.model_dump_json() + "\n")

    def outcomes(self, study: str) -> dict[str, RunOutcome]:
        """By run, what is finished so far; damaged ones are left out, so that they are done again."""
        found = {}
        for path in sorted(self._outcomes(study).glob("*.json")):
            try:
                found[path.stem] = read_json(path, RunOutcome)
            except Damaged:
                continue
        return found

    def _own(self, study: str) -> Path:
        return inside(self.workspace, self.workspace / main_file("study", check_name(study)))

    def _outcomes(self, study: str) -> Path:
        return self._own(study).with_name("results")
