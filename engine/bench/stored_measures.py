"""What a graph's measures cost beside its tracing, and what a graph, a pair and a difference take on the disk.

On SmolLM2-135M with random transcoders, a prompt of 9 tokens in the base and in a copy whose weights have moved a
little, so that most edges of the one are edges of the other too.
"""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.analysis.diff import diff_graphs
from engine.analysis.pairs import features_of, only_kept_by
from engine.analysis.records import diff_record
from engine.bench.real import SHORT, random_transcoders
from engine.bench.row import BenchRow, at_most, plain
from engine.bench.setting import Setting
from engine.bench.timing import seconds
from engine.domain.diffs import DiffSettings
from engine.domain.graphs import AttributionGraph, GraphKey, GraphPair, PairMeasures, PruneSettings
from engine.domain.models import ModelSpec
from engine.store import cache_of, default_workspace
from engine.store.files import write_blocks
from engine.store.json_blocks import json_blocks

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from engine.attribution.trace import Traced
    from engine.models.replacement import Replacement

MOVED = 0.002  # of each weight's own size, at random
N_EDGES = 150_000  # of the difference that is written as JSON
PARTS, GRADIENTS, GRAPH_MB, PAIR_MB, JSON_S = 0.1, 0.2, 3.0, 1.0, 2.0  # the promises
KEY = GraphKey(
    checkpoint="run@base", checkpoint_hash="0", prompt=SHORT.prompt, transcoders="random", transcoders_hash="0"
)


def measure(setting: Setting) -> list[BenchRow]:
    """Seconds of parts and gradients as shares of the trace; MB of a graph, of a pair; seconds of `compare --json`."""
    from engine.attribution.gradients import feature_gradients
    from engine.attribution.logit_parts import logit_parts
    from engine.attribution.trace import graph_of, trace_prompt
    from engine.models.base import load_base
    from engine.models.real_model import real_model
    from engine.models.replacement import Replacement

    folder = real_model(cache_of(default_workspace()))
    loaded = load_base(ModelSpec(name="smollm2", source="folder", location=str(folder)))
    replacement = Replacement(loaded, random_transcoders(loaded, SHORT.top_k))
    targets = _targets(replacement)
    keys = [KEY.model_copy(update={"checkpoint": name, "targets": targets}) for name in ("run@base", "run@100%")]
    models = (None, _moved(loaded.model))
    traced = [trace_prompt(replacement, key=key, merged=model) for key, model in zip(keys, models, strict=True)]
    tracing = seconds(lambda: trace_prompt(replacement, key=keys[0]))
    graphs = [graph_of(each, key, loaded.tokenizer) for each, key in zip(traced, keys, strict=True)]
    one, position = traced[0], graphs[0].position
    parts = seconds(lambda: logit_parts(one.dense, one.activations, one.logits, one.left_out, position))
    features = features_of(graphs[0], graphs[1])

    def gradients(side: int) -> np.ndarray:
        return feature_gradients(replacement, models[side], SHORT.prompt, targets, features)

    own = seconds(lambda: gradients(0))
    sizes = _stored(setting, graphs, traced, [gradients(side) for side in (0, 1)])
    title = f"SmolLM2-135M, {SHORT.title}"
    return [
        at_most(f"parts of 10 logits, beside the trace: {title}", parts / tracing, "of it", limit=PARTS),
        at_most(f"gradients of 10 logits, beside the trace: {title}", own / tracing, "of it", limit=GRADIENTS),
        at_most(f"a stored graph: {title}, {graphs[0].n_edges:,} edges", sizes[0], "MB", limit=GRAPH_MB),
        at_most("what a pair has for each other's edges and features", sizes[1], "MB", limit=PAIR_MB),
        *_json_rows(graphs, setting.folder),
    ]


def _targets(replacement: "Replacement") -> tuple[int, ...]:
    """The base's ten most probable tokens."""
    from engine.models.base import encode

    loaded = replacement.loaded
    logits = loaded.model(input_ids=encode(loaded, SHORT.prompt)).logits[0, -1]
    return tuple(logits.topk(10).indices.tolist())


def _moved(model: "PreTrainedModel") -> "PreTrainedModel":
    import torch

    moved = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in moved.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator), alpha=MOVED * float(weight.std()))
    return moved


def _stored(
    setting: Setting, graphs: list[AttributionGraph], traced: "list[Traced]", gradients: list[np.ndarray]
) -> tuple[float, float]:
    """MB of the first graph, and of what each of the two has for what only the other has."""
    store, (a, b) = setting.store, graphs
    for graph in graphs:
        store.save_graph(graph)
    weights = [
        each.weights(*only_kept_by(other, graph)) for each, graph, other in zip(traced, (a, b), (b, a), strict=True)
    ]
    pair = GraphPair.of(a.key, b.key)
    if pair.first != a.key:
        weights, gradients = weights[::-1], gradients[::-1]
    store.save_pair_measures(PairMeasures(pair, *weights, *gradients))
    files = (Path("graphs", f"{a.key.hash}.safetensors"), Path("pairs", f"{pair.hash}.safetensors"))
    sizes = [(store.workspace / file).stat().st_size / 1e6 for file in files]
    return sizes[0], sizes[1]


def _json_rows(graphs: list[AttributionGraph], folder: Path) -> list[BenchRow]:
    """The N_EDGES strongest edges of both graphs, all of them in the difference."""
    few = [_strongest(graph) for graph in graphs]
    everything = DiffSettings(prune=PruneSettings(node_threshold=1.0, edge_threshold=0.999999))
    diff = diff_graphs(few[0], few[1], everything)
    file = folder / "difference.json"
    taken = seconds(lambda: write_blocks(file, (block.encode() for block in json_blocks(diff_record(diff)))))
    written = json.loads(file.read_text(encoding="utf-8"))
    return [
        at_most(f"a difference of {len(written['edges']):,} edges as JSON", taken, "s", limit=JSON_S),
        plain("its size", file.stat().st_size / 1e6, "MB"),
    ]


def _strongest(graph: AttributionGraph) -> AttributionGraph:
    rows = np.sort(np.argsort(-np.abs(graph.weight), kind="stable")[:N_EDGES])
    return replace(
        graph, source=graph.source[rows], target=graph.target[rows], weight=graph.weight[rows], uncut=None, parts=None
    )
