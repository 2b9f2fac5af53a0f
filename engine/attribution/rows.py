"""All rows of a graph: edges into every feature that becomes a node, and into the logits."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from mmap import mmap

import torch
from circuit_tracer.attribution.targets import AttributionTargets
from circuit_tracer.graph import compute_partial_influences

from engine.attribution.effects import Block, Effects, Portion
from engine.attribution.graph_size import GraphSize
from engine.attribution.sources import Sources
from engine.domain.graphs import TraceSettings
from engine.domain.jobs import Report
from engine.domain.numbers import memory, plural
from engine.models.threads import side_by_side
from engine.store.memory import OWN_BLOCK

_BATCHES_RANKED = 4  # circuit-tracer ranks the features that are left again after so many batches
_COPIED_TOGETHER = 256  # rows


class _Work:
    """Does portions of the work, and tells how much is done."""

    def __init__(self, size: GraphSize, report: Report, *, side_by_side: bool) -> None:
        self._share, self._report, self._side_by_side = 0.0, report, side_by_side
        self._message = f"{plural(size.n_nodes, 'feature')}, {memory(size.n_bytes)}"
        self._tell(0.0)

    def do(self, portions: Sequence[Portion], put: Callable[[Block], None]) -> None:
        """Make these, and `put` every block of them where it belongs, maybe in several threads at once."""
        sizes = [portion.share for portion in portions]

        def make(portion: Portion, _: object = None) -> None:
            for block in portion.make():
                put(block)

        if self._side_by_side and len(portions) > 1:
            side_by_side(
                [partial(make, portion) for portion in portions],
                lambda done, _: self._tell(done * sum(sizes)),
                sizes=sizes,
            )
        else:
            for portion, done in zip(portions, accumulate(sizes), strict=True):
                make(portion)
                self._tell(done)
        self._share += sum(sizes)

    def _tell(self, more: float) -> None:
        self._report(min(1.0, self._share + more), self._message)


def edges_into(
    effects: Effects,
    sources: Sources,
    targets: AttributionTargets,
    settings: TraceSettings,
    size: GraphSize,
    report: Report,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Edges (n_nodes, n_nodes), rows are targets and columns sources; which features are nodes (n,), ascending; and
    what active features that are none add to each (n_nodes,).

    Where only some may be nodes, those of most influence are, as circuit-tracer finds them: rows are made in rounds,
    and each round takes those that what is known so far says to be the most influential. `report` is told after every
    batch, and may raise to stop.
    """
    work = _Work(size, report, side_by_side=effects.side_by_side)
    if size.n_nodes < sources.n_features:
        return _into_some(effects, sources, targets, settings, size, work)
    selected = torch.arange(sources.n_features, device=sources.active.device)
    edges = _zeros(sources.n_columns + len(targets), sources.encoders.device)

    def put(block: Block) -> None:
        edges[block.rows, block.columns] = block.effects

    for portions in effects.of_all(targets.logit_vectors, size.middle):
        work.do(portions, put)
    return edges, selected, edges.new_zeros(len(edges))


def _into_some(
    effects: Effects,
    sources: Sources,
    targets: AttributionTargets,
    settings: TraceSettings,
    size: GraphSize,
    work: _Work,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """`edges_into` where only some features may be nodes."""
    n, n_logits = size.n_nodes, len(targets)
    known, nodes = _most_influential(effects, sources, targets, n, settings.batch_size, work)
    selected, order = nodes.sort()
    columns = torch.cat([selected, torch.arange(sources.n_features, sources.n_columns, device=nodes.device)])
    edges = known.new_zeros(len(columns) + n_logits, len(columns) + n_logits)
    left_out = known.new_zeros(len(edges))

    def copy(to: torch.Tensor, rows: torch.Tensor) -> None:
        found = known[rows]
        edges[to, : len(columns)] = found[:, columns]
        left_out[to] = found[:, : sources.n_features].sum(1) - found[:, selected].sum(1)

    for rows in torch.arange(n, device=nodes.device).split(_COPIED_TOGETHER):
        copy(rows, n_logits + order[rows])
    copy(
        torch.arange(len(edges) - n_logits, len(edges), device=nodes.device),
        torch.arange(n_logits, device=nodes.device),
    )
    return edges, selected, left_out


def _shares(sources: Sources, n: int) -> torch.Tensor:
    """(n_features,) of the work, where `n` of them become nodes: a row goes down its layers, with the positions up to
    its own. Which will be ranked highest is not known; they are taken to be as costly as the others."""
    layers, positions, _ = sources.active.unbind(1)
    work = ((layers + 1) * positions).double()
    return work * (sources.n_features / (n * work.sum()))


def _zeros(n: int, device: torch.device) -> torch.Tensor:
    """(n, n) float32. On a processor what is never written to takes no memory: all that features would do to features
    of their own layer and of layers below. Not by `np.zeros`, which asks for pages of 2 MB where the system has any."""
    if device.type != "cpu" or 4 * n * n < OWN_BLOCK:
        return torch.zeros(n, n, device=device)
    return torch.frombuffer(mmap(-1, 4 * n * n), dtype=torch.float32).view(n, n)


def _most_influential(
    effects: Effects,
    sources: Sources,
    targets: AttributionTargets,
    n: int,
    batch_size: int,
    work: _Work,
) -> tuple[torch.Tensor, torch.Tensor]:
    """(n_logits + n, n_columns + n_logits) rows into the logits and `n` features, and which features these are (n,)."""
    into_logits = effects.of_logits(targets.logit_vectors)
    n_logits, device = len(targets), into_logits.device
    known = into_logits.new_zeros(n_logits + n, sources.n_columns + n_logits)
    known[:n_logits, : sources.n_columns] = into_logits
    nodes = torch.arange(sources.n_columns, sources.n_columns + n_logits, device=device)  # of each known row
    shares, place = _shares(sources, n), torch.full((sources.n_features,), -1, device=device)

    def put(block: Block) -> None:
        known[place[block.rows], block.columns] = block.effects

    while (n_known := len(nodes) - n_logits) < n:
        influence = compute_partial_influences(known[: len(nodes)], targets.logit_probabilities, nodes, device=device)
        ranked = torch.argsort(influence[: sources.n_features], descending=True)
        wanted = ranked[place[ranked] < 0][: min(_BATCHES_RANKED * batch_size, n - n_known)]
        place[wanted] = torch.arange(len(nodes), len(nodes) + len(wanted), device=device)
        nodes = torch.cat([nodes, wanted])
        work.do(effects.of_features(wanted, shares[wanted]), put)
    return known, nodes[n_logits:]
