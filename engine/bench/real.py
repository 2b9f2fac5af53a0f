"""A real language model, SmolLM2-135M, traced beside circuit-tracer on TransformerLens: time, memory, the same graph.

Each side runs in a process of its own, so that its peak is its own; transcoders are random, as only their number of
active features counts here. Needs the packages of requirements-real.txt.
"""

import multiprocessing
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from engine.bench.peak import MemorySampler
from engine.bench.row import BenchRow, at_most, faster, not_slower
from engine.bench.setting import Setting
from engine.bench.timing import medians
from engine.domain.graphs import AttributionGraph, GraphKey, NodeKind, TraceSettings
from engine.domain.models import ModelSpec
from engine.store import cache_of, default_workspace
from engine.store.memory import keep_freed, share_arenas

if TYPE_CHECKING:
    from engine.models.base import LoadedModel
    from engine.models.replacement import Replacement

Side = Literal["ours", "theirs"]
N_FEATURES = 512  # of a layer
BATCH = 32  # circuit-tracer's best of 32, 64, 128, 256 and 512 for the shorter prompt, in time and memory
FLOORS = 1.5  # the promise: at most as many times the floor
TOLERANCE = 1e-5  # of the largest |weight|
_MATMULS = 20
_CHECKPOINTS = 5  # traces of either kind
_RANK = 8


@dataclass(frozen=True)
class Case:
    """One prompt. `top_k` features are active on each layer and token, so the size of the graph is known."""

    title: str
    prompt: str
    top_k: int
    rounds: dict[Side, int]  # after one untimed trace of the shorter prompt
    times: float  # the promise: as fast as this
    memory: float  # and with this share of the memory
    compared: bool  # edge by edge, too


SHORT = Case(
    "9 tokens",
    "The capital of France is the city of Paris",
    top_k=8,
    rounds={"ours": 3, "theirs": 2},
    times=3.0,
    memory=0.75,
    compared=True,
)
LONG = Case(
    "20 tokens", "Emma is feeling very happy today. In other words, Emma is feeling so very glad that she",
    top_k=16, rounds={"ours": 3, "theirs": 1}, times=8.0, memory=0.4, compared=False,
)  # fmt: skip


@dataclass(frozen=True)
class _Run:
    """What a process measured."""

    seconds: float
    peak_mb: float
    n_features: int
    floor_s: float  # 0 of the other side
    further: tuple[float, float] | None = None  # seconds of an open checkpoint, and of one that is opened for it


def measure(setting: Setting) -> list[BenchRow]:
    """For each prompt: seconds, MB at the peak of the process, the floor; and how far edges are apart."""
    from engine.models.real_model import real_model

    folder = real_model(cache_of(default_workspace()))
    return [row for case in (SHORT, LONG) for row in _rows(folder, case, setting.folder)]


def _rows(folder: Path, case: Case, scratch: Path) -> list[BenchRow]:
    theirs = _in_child(folder, "theirs", case, scratch)
    ours = _in_child(folder, "ours", case, scratch)
    title = f"trace SmolLM2-135M, {case.title}, {ours.n_features} features"
    rows = [
        faster(title, ours.seconds, "s", than=theirs.seconds, times=case.times),
        not_slower(f"{title}: peak memory", ours.peak_mb, "MB", than=theirs.peak_mb, times=case.memory),
        not_slower(
            f"{title}: against its operations at the speed of a matrix product",
            ours.seconds,
            "s",
            than=ours.floor_s,
            times=FLOORS,
        ),
    ]
    if case.compared:
        apart = float(np.load(scratch / "apart.npy"))
        rows.append(at_most(f"{title}: largest difference of an edge", apart, "of the largest", limit=TOLERANCE))
    if ours.further:
        alone, another = ours.further
        rows.append(
            not_slower("trace a further checkpoint of it, opening it included", another, "s", than=alone, times=1.1)
        )
    return rows


def _in_child(folder: Path, side: Side, case: Case, scratch: Path) -> _Run:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_run, (folder, side, case, scratch))


def _run(folder: Path, side: Side, case: Case, scratch: Path) -> _Run:
    share_arenas()  # as the app and the command line do
    keep_freed()
    return (_ours if side == "ours" else _theirs)(folder, case, scratch)


def _loaded(folder: Path) -> "LoadedModel":
    from engine.models.base import load_base

    return load_base(ModelSpec(name="smollm2", source="folder", location=str(folder)))


def _ours(folder: Path, case: Case, scratch: Path) -> _Run:
    from engine.attribution.trace import trace_graph
    from engine.bench.tracing import largest_difference
    from engine.models.replacement import Replacement

    loaded = _loaded(folder)
    replacement = Replacement(loaded, random_transcoders(loaded, case.top_k))

    def trace(prompt: str, settings: TraceSettings = TraceSettings()) -> AttributionGraph:  # noqa: B008 – frozen
        key = GraphKey(
            checkpoint="run@base", checkpoint_hash="0", prompt=prompt, transcoders="random", transcoders_hash="0",
            settings=settings,
        )  # fmt: skip
        return trace_graph(replacement, key=key)

    seconds, peak, graph = _timed(trace, case, "ours")
    further = None
    if case.compared:
        further = _further(replacement, graph.key, scratch / "adapter")
        whole = trace(case.prompt, TraceSettings(max_edges=graph.n_nodes**2))  # usually the weakest edges are not kept
        dense = np.load(scratch / "theirs.npz")
        apart = largest_difference(whole, dense["matrix"], dense["features"], dense["logits"])
        np.save(scratch / "apart.npy", np.float64(apart))
    n_features = int((graph.kind == NodeKind.FEATURE).sum())
    n_logits = int((graph.kind == NodeKind.LOGIT).sum())
    floor = operations(loaded, len(graph.tokens), case.top_k, n_logits) / matmul_rate(loaded)
    return _Run(seconds, peak, n_features, floor, further)


def _further(replacement: "Replacement", key: GraphKey, folder: Path) -> tuple[float, float]:
    """Of a LoRA checkpoint with random weights, as `_Run.further`."""
    from functools import partial

    from peft import LoraConfig, get_peft_model

    from engine.attribution.trace import trace_graph
    from engine.models.sharing import checkpoint_model, sharing_copy

    loaded = replacement.loaded
    config = LoraConfig(r=_RANK, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    get_peft_model(sharing_copy(loaded.model), config).save_pretrained(folder)
    trace = partial(trace_graph, replacement, key=key)
    held = checkpoint_model(loaded, folder)
    alone, another = medians(
        (lambda: trace(merged=held), lambda: trace(merged=checkpoint_model(loaded, folder))), rounds=_CHECKPOINTS
    )
    return alone, another


def _theirs(folder: Path, case: Case, scratch: Path) -> _Run:
    import gc
    import warnings

    from circuit_tracer import attribute

    from engine.bench.lens import lens_llama
    from engine.bench.tracing import dense_of
    from engine.models.base import encode

    loaded = _loaded(folder)
    tokens = {prompt: encode(loaded, prompt)[0] for prompt in (SHORT.prompt, case.prompt)}
    lens = lens_llama(loaded.model, random_transcoders(loaded, case.top_k), loaded.tokenizer)
    del loaded  # its weights are converted: they need not be held twice
    gc.collect()

    def trace(prompt: str) -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Full backward hook is firing")  # meant so there
            return attribute(tokens[prompt], lens, batch_size=BATCH)

    seconds, peak, graph = _timed(trace, case, "theirs")
    matrix, features, logits = dense_of(graph)
    if case.compared:
        np.savez(scratch / "theirs.npz", matrix=matrix, features=features, logits=logits)
    return _Run(seconds, peak, len(features), 0.0)


def _timed(trace: Any, case: Case, side: Side) -> tuple[float, float, Any]:
    """Seconds of a trace, MB at the peak from the first trace on (loading may take more for a moment), its graph."""
    taken = []
    with MemorySampler() as peak:
        trace(SHORT.prompt)
        for _ in range(case.rounds[side]):
            start = time.perf_counter()
            graph = trace(case.prompt)
            taken.append(time.perf_counter() - start)
    return median(taken), peak.mb, graph


def random_transcoders(loaded: "LoadedModel", top_k: int) -> Any:
    """The same for every process: N_FEATURES a layer, `top_k` active."""
    import torch

    from engine.models.transcoders import new_transcoders

    transcoders = new_transcoders(loaded, N_FEATURES, top_k, scan="random")
    generator = torch.Generator().manual_seed(0)
    for parameter in transcoders.parameters():
        parameter.data.copy_(loaded.d_model**-0.5 * torch.randn(parameter.shape, generator=generator))
    return transcoders.requires_grad_(requires_grad=False)


def operations(loaded: "LoadedModel", n_pos: int, top_k: int, n_logits: int) -> float:
    """Multiplications, each with its addition, that all edges need at least: `top_k` features and an error stand on
    each layer and position, a token below, logits above all at the last position.

    Rows go down alone, or to the layer at which it costs least that they meet columns, which come up to it. At each of
    its positions a vector passes W_O, the pattern and W_V of an attention; at its first one, where it has just begun,
    the matrix that it comes to first takes one position alone. On its way it meets what stands there.
    """
    config = loaded.model.config
    d_model, width, n_layers = loaded.d_model, config.num_attention_heads * config.head_dim, loaded.n_layers
    w_o, w_v = d_model * width, d_model * config.num_key_value_heads * config.head_dim

    def passed(n: int, n_attentions: int, begin: int, n_met: int) -> float:
        """Of a vector with n positions; `begin`: the matrix that it comes to first."""
        each = n * (w_o + w_v) + width * n * n / 2
        first = begin + n * width + n * (w_o + w_v - begin)
        return (first + (n_attentions - 1) * each if n_attentions else 0) + n_met * n * d_model

    def down(p: int, n_attentions: int, n_layers_met: int) -> float:
        return passed(p + 1, n_attentions, w_o, n_layers_met * (top_k + 1))

    def up(p: int, n_attentions: int, n_layers_met: int) -> float:
        return passed(n_pos - p, n_attentions, w_v, n_layers_met * top_k)

    def of_both(middle: int) -> float:
        rows = [(p, layer) for p in range(1, n_pos) for layer in range(middle, n_layers)]
        columns = [(p, layer) for p in range(1, n_pos) for layer in range(middle)]
        total = top_k * sum(down(p, layer - middle, layer - middle) for p, layer in rows)
        total += n_logits * down(n_pos - 1, n_layers - 1 - middle, n_layers - middle)
        total += (top_k + 1) * sum(up(p, middle - layer, middle - layer - 1) for p, layer in columns)
        total += sum(up(p, middle + 1, middle) for p in range(n_pos))
        for p in range(1, n_pos):  # of the rows there, with all columns that begin at q
            n_rows = top_k * (n_layers - middle) + (n_logits if p == n_pos - 1 else 0)
            shared = sum((p - q + 1) * (1 + (middle * (top_k + 1) if q else 0)) for q in range(p + 1))
            total += n_rows * shared * d_model
        return total

    alone = top_k * sum(down(p, layer + 1, layer) for p in range(1, n_pos) for layer in range(n_layers))
    alone += n_logits * down(n_pos - 1, n_layers, n_layers)
    return 2 * min([alone, *map(of_both, range(1, n_layers))])


def matmul_rate(loaded: "LoadedModel") -> float:
    """Operations a second in products of the model's own shape."""
    import torch

    left = torch.randn(4096, loaded.d_model)
    right = torch.randn(loaded.d_model, loaded.d_model)
    left @ right
    start = time.perf_counter()
    for _ in range(_MATMULS):
        left @ right
    return 2 * _MATMULS * left.numel() * loaded.d_model / (time.perf_counter() - start)
