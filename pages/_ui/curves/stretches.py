"""The figures behind when and where it was learned, as a table and as a file."""

import pandas as pd
import streamlit as st

from engine.analysis.learned import stretch_table
from engine.figures.tables import to_csv
from engine.workflows.learned import Learned
from pages._ui.text import words


def stretches_table(found: Learned) -> None:
    """A row a constraint type and stretch between checkpoints; nothing where there is one stretch alone."""
    if len(found.steps) < 3:
        return
    tables = [stretch_table(mean, found.steps).assign(constraint_type=name) for name, mean in found.means.items()]
    rows = pd.concat(tables, ignore_index=True)
    rows = rows[["constraint_type", *(name for name in rows if name not in ("constraint_type", "layers")), "layers"]]
    with st.expander("How far it moved between checkpoints, as a table", icon=":material/table_rows:"):
        shown = rows.assign(constraint_type=rows["constraint_type"].map(words))
        numbers = [str(name) for name in rows.select_dtypes("float")]
        st.dataframe(
            shown.rename(columns={"constraint_type": "constraint type", "layers": "most in layers"}),
            hide_index=True, height=260, key="curves stretches",
            column_config={name: st.column_config.NumberColumn(format="%+.3f") for name in numbers},
        )  # fmt: skip
        st.download_button(
            "Download the moves (CSV)", lambda: to_csv(rows.assign(run=found.run)),
            file_name=f"learned-{found.run}.csv", mime="text/csv", icon=":material/download:", on_click="ignore",
        )  # fmt: skip
