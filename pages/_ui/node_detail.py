"""One node: what feeds it and what it feeds, on both sides."""

import pandas as pd
import streamlit as st

from engine.domain.diffs import GraphDiff
from engine.figures.names import node_name
from engine.figures.tables import neighbours
from pages._ui.text import plain

MOST = 30


def node_detail(diff: GraphDiff, node: str, *, height: int) -> None:
    """Signed lists of its inputs and outputs. Says so where a setting has taken the node away."""
    found = diff.nodes[diff.nodes["id"] == node]
    if found.empty:
        st.caption("The selected node is not among those that these settings keep.")
        return
    row = found.iloc[0]
    name = node_name(row["kind"], int(row["layer"]), row["token"], int(row["index"]))
    inputs, outputs = neighbours(diff, node)
    values = f"influence on the output: {row['a']:.3f} in A, {row['b']:.3f} in B"
    if row["kind"] == "feature":
        values += f"; activation: {row['activation_a']:.2f} in A, {row['activation_b']:.2f} in B"
    st.markdown(f"**{plain(name)}** · {row['status']}", help=values)
    parts = {f"Inputs ({len(inputs)})": inputs, f"Outputs ({len(outputs)})": outputs}
    for tab, (title, table) in zip(st.tabs(list(parts)), parts.items(), strict=True):
        with tab:
            _list(table, height=height - 36, key=f"{title} {node}")


def _list(table: pd.DataFrame, *, height: int, key: str) -> None:
    if table.empty:
        st.caption("None that these settings keep.")
        return
    number = st.column_config.NumberColumn(format="%+.2g", width=70)
    st.dataframe(
        table[["node", "in A", "in B", "status"]].head(MOST), hide_index=True, row_height=26, height=height, key=key,
        column_config={"in A": number, "in B": number},
    )  # fmt: skip
