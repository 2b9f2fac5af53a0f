"""Keep with a study what rankings are worth, so that its findings tell it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.bench.ranked import RankedPrompt
from engine.domain.errors import InputError
from engine.domain.studies import RANKING_COLUMNS, Study
from engine.store import Store

if TYPE_CHECKING:
    import pandas as pd

DIGITS = 5


def keep_rankings(store: Store, name: str, ranked: Sequence[RankedPrompt]) -> Study:
    """Put them into the study's table, in the place of those of the same model, and answer its questions again.

    Raises InputError (a study that asks other questions; nothing was ranked), NotFound, Damaged, StorageFailed.
    """
    import pandas as pd

    from engine.studies.findings import findings

    study = store.study(name)
    if study.spec.asks != "measures":
        raise InputError(f"The study “{name}” does not ask what rankings are worth: its file needs “asks: measures”.")
    if not ranked:
        raise InputError("No ranking was held to patching. Add --only rankings, or --only rankings-real.")
    tables = store.study_tables(name)
    new, old = rankings_table(ranked), tables.rankings
    if len(old):
        new = pd.concat([old[~old["model"].isin(new["model"])], new], ignore_index=True)
    tables = replace(tables, rankings=new)
    study = study.model_copy(update={"findings": findings(tables, study.spec, command=study.command)})
    store.save_study(study, tables)
    return study


def rankings_table(ranked: Sequence[RankedPrompt]) -> "pd.DataFrame":
    """`StudyTables.rankings`."""
    import pandas as pd

    rows = [
        {
            "model": one.model,
            "run": one.run,
            "what": one.what,
            "prompt": one.prompt,
            "ranking": name,
            "is_default": name == one.default,
            "correlation": worth.correlation,
            **{f"first_{size}": share for size, share in worth.shares.items()},
        }
        for one in ranked
        for name, worth in one.worths.items()
    ]
    return pd.DataFrame(rows, columns=list(RANKING_COLUMNS)).round(DIGITS)
