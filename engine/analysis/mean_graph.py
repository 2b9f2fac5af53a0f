"""One side of a mean circuit as an attribution graph, so that whatever shows a graph shows it."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from engine.domain.diffs import WEIGHT
from engine.domain.graphs import AttributionGraph, Fit, NodeKind

RIGHT_ANSWER, OTHER_ANSWERS = "right answer", "other answers"


def mean_graph(
    graphs: Sequence[AttributionGraph],
    answers: Sequence[str],
    nodes: pd.DataFrame,
    edges: pd.DataFrame,
    *,
    side: Literal["a", "b"],
    title: str,
    names: Sequence[str],
) -> AttributionGraph:
    """The nodes and edges of the tables (of `engine.analysis.aggregate`) that exist on `side`, with its mean values.

    tokens are the slots' `names`, token_ids their numbers; the targets are the right answer (`answers`, one a graph)
    and all other outputs together: their mean probability, and the mean logit (of the others: of their sum). The fit
    is the mean; `key.prompt` is the title.
    """
    there = (nodes[side] > 0) | nodes["kind"].isin(("token", "logit"))
    code = nodes["kind"].map({kind.name.lower(): int(kind) for kind in NodeKind}).to_numpy(dtype=np.uint8)
    order = np.flatnonzero(there)[np.argsort(code[there], kind="stable")]
    own = nodes.iloc[order]
    row = pd.Index(own["id"])
    source, target = (row.get_indexer(edges[end]) for end in ("source", "target"))
    weight = edges[WEIGHT[side]].to_numpy(dtype=np.float32)
    real = (source >= 0) & (target >= 0) & (weight != 0)
    outputs = own[own["kind"] == "logit"]
    first = graphs[0]
    return AttributionGraph(
        key=first.key.model_copy(update={"prompt": title, "targets": ()}),
        kind=code[order],
        layer=own["layer"].to_numpy(dtype=np.int32),
        position=own["position"].to_numpy(dtype=np.int32),
        index=own["index"].to_numpy(dtype=np.int64),
        activation=own[f"activation_{side}"].to_numpy(dtype=np.float32),
        source=source[real].astype(np.int32),
        target=target[real].astype(np.int32),
        weight=weight[real],
        n_layers=first.n_layers,
        tokens=tuple(names),
        token_ids=np.arange(len(names), dtype=np.int64),
        target_tokens=tuple(outputs["token"]),
        target_probability=outputs[side].to_numpy(dtype=np.float32),
        target_logit=np.array([_logit(graphs, answers, token) for token in outputs["token"]], dtype=np.float32),
        fit=_fit([graph.fit for graph in graphs]),
    )


def _logit(graphs: Sequence[AttributionGraph], answers: Sequence[str], role: str) -> float:
    """Mean over the prompts that have such an output; several outputs of one prompt count as their sum."""
    found = []
    for graph, answer in zip(graphs, answers, strict=True):
        right = np.array([token.strip() == answer.strip() for token in graph.target_tokens], dtype=bool)
        logits = graph.target_logit[right if role == RIGHT_ANSWER else ~right]
        if len(logits):
            found.append(float(np.logaddexp.reduce(logits.astype(np.float64))))
    return float(np.mean(found))


def _fit(fits: Sequence[Fit]) -> Fit:
    measured = [fit.unexplained_variance for fit in fits if fit.unexplained_variance is not None]
    return Fit(
        replacement=float(np.mean([fit.replacement for fit in fits])),
        completeness=float(np.mean([fit.completeness for fit in fits])),
        error_share=float(np.mean([fit.error_share for fit in fits])),
        unexplained_variance=float(np.mean(measured)) if measured else None,
    )
