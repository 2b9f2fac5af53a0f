"""The model with every edge outside a circuit patched to what it carries in the corrupted run.

The input of v is then the corrupted stream plus, for each u → v in the circuit, what u writes now minus what it writes
in the corrupted run. Attention itself (positions, norms of q and k, caps, masks) is the model's own code: only the
outputs of the projections are replaced, each head's computed from its own q, k and v input. Where a norm follows the
attention (Gemma 2), its scale is that of the run itself, so that the heads of a layer change each other's size.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from engine.components.batches import input_weight_bytes, micro_batches, refuse_long_pairs, written_tokens
from engine.components.metrics import values
from engine.components.model import ComponentModel
from engine.components.pairs import TokenPairs
from engine.components.passes import Passes
from engine.components.tape import Tape, at, letting_through, taped
from engine.domain.components import Circuit
from engine.domain.edge_measures import Metric
from engine.domain.errors import InputError
from engine.domain.jobs import CancelToken, Report


class CircuitRuns(NamedTuple):
    """A metric, float64."""

    patched: np.ndarray  # (n_circuits, n_pairs) where the model keeps only the edges of a circuit
    clean: np.ndarray  # (n_pairs,) what it is with all edges
    corrupted: np.ndarray  # (n_pairs,) and with none


@torch.no_grad()
def run_circuits(
    model: PreTrainedModel,
    pairs: TokenPairs,
    circuits: Sequence[Circuit],
    metric: Metric,
    *,
    report: Report | None = None,
    cancel: CancelToken | None = None,
) -> CircuitRuns:
    """The metric of every pair, in the whole model and in each circuit alone.

    Raises InputError for a circuit of another model, ModelUnavailable for a family without hooks, Canceled between
    runs.
    """
    parts = ComponentModel(model)
    for circuit in circuits:
        if circuit.shape != parts.shape:
            raise InputError(
                f"The circuit is one of another model: it has {circuit.shape.n_layers} layers of "
                f"{circuit.shape.n_heads} heads, this model {parts.shape.n_layers} of {parts.shape.n_heads}. "
                "Take a circuit that was found in a checkpoint of this model."
            )
    found = np.zeros((len(circuits), len(pairs)))
    ends = np.zeros((2, len(pairs)))
    refuse_long_pairs(parts, pairs, besides=input_weight_bytes(parts))
    batches = list(micro_batches(pairs, written_tokens(parts)))
    weights = [parts.input_weights(number) for number in range(parts.shape.n_layers)]
    with parts.prepared():
        for number, rows in enumerate(batches):
            runs = _Runs(parts, weights, pairs.part(rows), metric)
            ends[0, rows], ends[1, rows] = runs.clean, runs.corrupted
            for place, circuit in enumerate(circuits):
                if cancel is not None:
                    cancel.check()
                found[place, rows] = runs.patched(circuit)
                if report is not None:
                    done = (number * len(circuits) + place + 1) / (len(batches) * len(circuits))
                    report(done, f"ran circuit {place + 1} of {len(circuits)} on part {number + 1} of {len(batches)}")
    return CircuitRuns(found, ends[0], ends[1])


class _Runs:
    """The clean and the corrupted run of some pairs, and the patched ones between them."""

    def __init__(
        self, parts: ComponentModel, weights: Sequence[torch.Tensor], pairs: TokenPairs, metric: Metric
    ) -> None:
        """weights: a layer an entry, of the heads' inputs."""
        self._parts, self._weights, self._pairs, self._metric = parts, weights, pairs, metric
        self._passes = Passes(parts, pairs)
        with taped(parts, last=self._passes.last) as clean:
            self._logits = self._passes.logits(self._passes.clean)[:, 0]
        self._embedded = clean.embedded
        with taped(parts) as self._tape:
            corrupted = at(self._passes.logits(self._passes.corrupted), self._passes.last)[:, 0]
        self.clean, self.corrupted = self._values(self._logits), self._values(corrupted)  # (n,) float64

    def patched(self, circuit: Circuit) -> np.ndarray:
        """(n,) float64"""
        edges = torch.from_numpy(circuit.edges).to(self._parts.device)
        with (
            taped(self._parts, start=self._embedded) as now,
            self._patching(_Streams(self._parts, self._tape, now, edges)),
        ):
            logits = self._passes.logits(self._passes.clean)[:, 0]
        return self._values(logits)

    def _values(self, logits: torch.Tensor) -> np.ndarray:
        found: np.ndarray = values(logits, self._pairs, self._metric, self._logits).double().cpu().numpy()
        return found

    @contextmanager
    def _patching(self, streams: "_Streams") -> Iterator[None]:
        parts, last = self._parts, self._passes.last
        shape = parts.shape

        def projected(number: int, which: int) -> Any:
            first = shape.head_input(number, 0, which)  # type: ignore[arg-type]
            n_rows = shape.n_heads * (3 if len(parts.layers[number].projections) == 1 else 1)
            rows = slice(which * shape.n_heads, which * shape.n_heads + n_rows)

            def hook(module: nn.Module, args: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
                inputs = streams.at(first, n_rows, self._tape.streams[number])  # (n_rows, n, n_pos, d_model)
                x, _ = parts.standardised(parts.layers[number].before_attention, inputs)
                weight, offset = self._weights[number], parts.input_offsets[number]
                heads = torch.bmm(x.flatten(1, 2), weight[rows].transpose(1, 2)).unflatten(1, x.shape[1:3])
                if offset is not None:
                    heads = heads + offset[rows][:, None, None]
                return parts.joined(heads.permute(1, 2, 0, 3)).to(output.dtype)  # from (n, n_pos, n_rows, d_head)

            return hook

        def stream(row: int, corrupted: torch.Tensor, place: torch.Tensor | None) -> Any:
            def hook(module: nn.Module, args: tuple[Any, ...]) -> tuple[torch.Tensor]:
                patched = streams.at(row, 1, corrupted)[0].to(args[0].dtype)
                return (patched.reshape(args[0].shape) if place is None else at(patched, place),)

            return hook

        with ExitStack() as hooks:
            for number, layer in enumerate(parts.layers):
                for which, projection in enumerate(layer.projections):
                    hooks.callback(projection.register_forward_hook(projected(number, which)).remove)
                mlp = stream(shape.mlp_input(number), self._tape.mlp_inputs[number], None)
                hooks.callback(layer.mlp_entry.register_forward_pre_hook(mlp).remove)
            narrow = not parts.family.whole_final
            final = stream(shape.logits_input, self._tape.final, last if narrow else None)
            if not narrow:
                hooks.callback(parts.unembedding.register_forward_pre_hook(letting_through(last)).remove)
            hooks.callback(parts.final_norm.module.register_forward_pre_hook(final).remove)
            yield


class _Streams:
    """Patched streams of a run that is going on."""

    def __init__(self, parts: ComponentModel, corrupted: Tape, now: Tape, edges: torch.Tensor) -> None:
        self._parts, self._corrupted, self._now, self._edges = parts, corrupted, now, edges
        self._changed = corrupted.embedded.new_zeros(
            parts.shape.n_sources, *corrupted.embedded.shape, dtype=torch.float32
        )
        self._n_heads = self._n_mlps = -1  # layers whose outputs are in `changed`; -1: not even `input`

    def at(self, first: int, n_rows: int, corrupted: torch.Tensor) -> torch.Tensor:
        """(n_rows, n, n_pos, d_model) float32: of these inputs, whose stream is `corrupted` in the corrupted run."""
        self._catch_up()
        edges = self._edges[first : first + n_rows].float()  # (n_rows, n_sources)
        changed = edges @ self._changed.flatten(1)
        return corrupted.float() + changed.unflatten(1, corrupted.shape)

    def _catch_up(self) -> None:
        """What the run has written by now; sources that have not run yet are zeros."""
        parts, now, corrupted = self._parts, self._now, self._corrupted
        if self._n_heads < 0:
            self._changed[0] = now.embedded.float() - corrupted.embedded.float()
            self._n_heads = self._n_mlps = 0
        for number in range(self._n_heads, len(now.heads)):
            change = (now.heads[number].float() - corrupted.heads[number].float()).unflatten(-1, (parts.n_heads, -1))
            start, mlp = parts.shape.head_source(number, 0), parts.shape.mlp_source(number)
            self._changed[start:mlp] = torch.einsum("bthe,hed->hbtd", change, parts.output_weights(number))
        for number in range(self._n_mlps, len(now.mlps)):
            self._changed[parts.shape.mlp_source(number)] = now.mlps[number].float() - corrupted.mlps[number].float()
        self._n_heads, self._n_mlps = len(now.heads), len(now.mlps)
