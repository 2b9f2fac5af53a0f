"""One attribution graph in the JSON of circuit-tracer's `create_graph_files`, which Neuronpedia takes too.

The fields are those of circuit-tracer 0.5 (`circuit_tracer.frontend.graph_models`, schema version 1) and of
Neuronpedia's graph schema. One thing differs on purpose: there, the error of layer L at position P is `0_L_P`, which is
also feature L of layer 0 at P. Here it is `L_error_P`, so that every id is unique.
"""

import json
from typing import Any

import numpy as np

from engine.analysis.pruning import DEFAULT_PRUNING, node_influence, prune
from engine.domain.feature_names import FeatureNames
from engine.domain.graphs import AttributionGraph, NodeKind, PruneSettings
from engine.domain.version import __version__

_TYPES = {
    NodeKind.FEATURE: "cross layer transcoder",  # the view's word for any transcoder's feature
    NodeKind.ERROR: "mlp reconstruction error",
    NodeKind.TOKEN: "embedding",
    NodeKind.LOGIT: "logit",
}


def tracer_json(
    graph: AttributionGraph,
    settings: PruneSettings = DEFAULT_PRUNING,
    *,
    slug: str,
    names: FeatureNames | None = None,
) -> str:
    """JSON text, to be written as UTF-8. `slug`: the graph's name there.

    `names`: labels become the features' `clerp` (automatic ones say so), groups become supernodes, whose members are
    pinned. A node's `influence` is, as there, the share of all influence that it and the nodes above it carry (for its
    slider).
    """
    pruned = prune(graph, settings)
    linked = np.zeros(graph.n_nodes, dtype=bool)
    linked[graph.source[pruned.edge_mask]] = linked[graph.target[pruned.edge_mask]] = True
    rows = np.flatnonzero(pruned.node_mask & (linked | (graph.kind >= NodeKind.TOKEN))).tolist()
    ids = [_node_id(graph, row) for row in range(graph.n_nodes)]
    supernodes = _supernodes(graph, rows, ids, names)
    model = {
        "metadata": _metadata(graph, settings, slug),
        "qParams": {
            "pinnedIds": list(dict.fromkeys(member for group in supernodes for member in group[1:])),
            "supernodes": supernodes,
            "linkType": "both",
            "clickedId": "",
            "sg_pos": "",
        },
        "nodes": _nodes(graph, rows, ids, names),
        "links": [
            {"source": ids[graph.source[row]], "target": ids[graph.target[row]], "weight": float(graph.weight[row])}
            for row in np.flatnonzero(pruned.edge_mask).tolist()
        ],
    }
    text = json.dumps(model, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
    return text.encode("utf-8", "backslashreplace").decode()  # half a character, which UTF-8 refuses, as its escape


def cumulative_influence(graph: AttributionGraph) -> np.ndarray:
    """(n_nodes,) float64, 0 to 1: of all influence, what the node and all that have more of it carry together."""
    influence = node_influence(graph)
    order = np.argsort(-influence, kind="stable")
    result = np.zeros(graph.n_nodes)
    result[order] = np.cumsum(influence[order]) / max(influence.sum(), 1e-10)
    return result


def _metadata(graph: AttributionGraph, settings: PruneSettings, slug: str) -> dict[str, Any]:
    key = graph.key
    made = {"max_n_logits": key.settings.n_logits, "batch_size": key.settings.batch_size}
    if key.settings.max_feature_nodes is not None:
        made["max_feature_nodes"] = key.settings.max_feature_nodes
    return {
        "slug": slug,
        "scan": key.transcoders,
        "transcoder_list": [],
        "prompt_tokens": list(graph.tokens),
        "prompt": key.prompt,
        "node_threshold": settings.node_threshold,
        "schema_version": 1,
        "info": {
            "description": f"Checkpoint {key.checkpoint} ({key.checkpoint_hash}), replacement score "
            f"{graph.fit.replacement:.3f}, completeness score {graph.fit.completeness:.3f}",
            "generator": {"name": "Tracelapse", "version": __version__},
        },
        "generation_settings": made,
        "pruning_settings": settings.model_dump(),
    }


def _node_id(graph: AttributionGraph, row: int) -> str:
    kind, layer, position, index = _identity(graph, row)
    if kind == NodeKind.FEATURE:
        return f"{layer}_{index}_{position}"
    if kind == NodeKind.ERROR:
        return f"{layer}_error_{position}"
    return f"E_{index}_{position}" if kind == NodeKind.TOKEN else f"{graph.n_layers + 1}_{index}_{position}"


def _identity(graph: AttributionGraph, row: int) -> tuple[NodeKind, int, int, int]:
    kind = NodeKind(int(graph.kind[row]))
    return kind, int(graph.layer[row]), int(graph.position[row]), int(graph.index[row])


def _nodes(
    graph: AttributionGraph, rows: list[int], ids: list[str], names: FeatureNames | None
) -> list[dict[str, Any]]:
    words, cumulative = graph.node_tokens(), cumulative_influence(graph)
    logit_rows = np.flatnonzero(graph.kind == NodeKind.LOGIT).tolist()
    probability = dict(zip(logit_rows, graph.target_probability.tolist(), strict=True))
    likeliest = max(logit_rows, key=lambda row: probability[row], default=None)
    nodes = []
    for row in rows:
        kind, layer, position, index = _identity(graph, row)
        node = {
            "node_id": ids[row],
            "feature": _feature_number(kind, layer, position, index),
            "layer": {NodeKind.TOKEN: "E", NodeKind.LOGIT: str(graph.n_layers + 1)}.get(kind, str(layer)),
            "ctx_idx": position,
            "feature_type": _TYPES[kind],
            "token_prob": probability.get(row, 0.0),
            "is_target_logit": row == likeliest,
            "run_idx": 0,
            "reverse_ctx_idx": 0,
            "jsNodeId": _page_id(kind, layer, position, index),
            "clerp": _clerp(names, layer, index) if kind == NodeKind.FEATURE else "",
            "influence": None if kind == NodeKind.LOGIT else float(cumulative[row]),
            "activation": float(graph.activation[row]) if kind == NodeKind.FEATURE else None,
        }
        if kind == NodeKind.LOGIT:
            node["clerp"] = f'Output "{words[row]}" (p={probability[row]:.3f})'
        nodes.append(node)
    return nodes


def _clerp(names: FeatureNames | None, layer: int, index: int) -> str:
    label = names.label(layer, index) if names else None
    return "" if label is None else f"{label.more} (automatic)" if label.automatic else label.text


def _feature_number(kind: NodeKind, layer: int, position: int, index: int) -> int:
    """A feature's is Cantor's pairing of layer and index: one number for each feature of all layers."""
    if kind == NodeKind.FEATURE:
        return (layer + index) * (layer + index + 1) // 2 + index
    if kind == NodeKind.ERROR:
        return -1
    return position if kind == NodeKind.TOKEN else index


def _page_id(kind: NodeKind, layer: int, position: int, index: int) -> str:
    """What the page hovers together: a feature at all its positions."""
    if kind == NodeKind.FEATURE:
        return f"{layer}_{index}-0"
    if kind == NodeKind.ERROR:
        return f"{layer}_error_{position}-0"
    return f"E_{index}-{position}" if kind == NodeKind.TOKEN else f"L_{index}-{position}"


def _supernodes(
    graph: AttributionGraph, rows: list[int], ids: list[str], names: FeatureNames | None
) -> list[list[str]]:
    """A group is its name and the ids of its members that are in the graph; groups without any are left out."""
    features = [row for row in rows if graph.kind[row] == NodeKind.FEATURE]
    groups = []
    for supernode in names.annotations.supernodes if names else ():
        wanted = set(supernode.features)
        members = [ids[row] for row in features if f"{graph.layer[row]}/{graph.index[row]}" in wanted]
        if members:
            groups.append([supernode.name, *members])
    return groups
