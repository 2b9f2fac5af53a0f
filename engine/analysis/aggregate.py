"""One circuit of many prompts: the differences of each prompt, aligned by slot and averaged.

Nodes are matched by kind, layer, slot (`engine.analysis.slots`) and feature. Outputs are matched by their role: the
right answer of each prompt is one node, all its other outputs together are a second. A token node stands for whatever
word the prompts have in its slot.

What is averaged, for a node, is its part of the right answer's logit, its influence and its activation; for an edge its
flow, its weight and its *signed contribution* (contribution with the sign of the weight). A prompt whose pruned graphs
lack the node or edge on both sides counts as 0. The share of a mean edge is its mean signed contribution over the mean
influence of its target, the relation that holds in every single graph.

The spread is the standard deviation over prompts (ddof = 1; 0 for a single prompt): of parts and flows, and of the
change of what is compared. The statuses are those of `engine.analysis.diff` on the means, with the mean of the prompts'
limits; in addition a mean change within two standard errors of 0 is `unchanged`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, geometric_mean
from typing import Final

import numpy as np
import pandas as pd

from engine.analysis.diff import compared, exists, signed_contribution, summarise
from engine.analysis.identities import unique_rows
from engine.analysis.mean_graph import OTHER_ANSWERS, RIGHT_ANSWER, mean_graph
from engine.analysis.slots import Alignment, align, probe_slots
from engine.domain.continuation import output_for
from engine.domain.corpus import Probe
from engine.domain.diffs import (
    CHANGE,
    COMPARED,
    CONTRIBUTION,
    FLOW,
    PART,
    SHARE,
    WEIGHT,
    DiffSettings,
    ExplainedChange,
    GraphDiff,
)
from engine.domain.errors import ComparisonRefused, InputError
from engine.domain.graphs import NodeKind

_ROLES: Final = (RIGHT_ANSWER, OTHER_ANSWERS)  # by the index of the logit nodes
_STANDARD_ERRORS = 2.0  # a mean change must be larger than this many
_CODE: Final = {kind.name.lower(): int(kind) for kind in NodeKind}

Part = tuple[Probe, GraphDiff]


def aggregate(parts: Sequence[Part], *, recurring: float = 0.25) -> GraphDiff:
    """The mean circuit of both sides over the prompts, as a difference like any other.

    `recurring`: the share of the prompts that must keep a node or edge on a side for it to be kept there; what
    neither side keeps is left out. nodes and edges have four columns more than those of a single prompt: n (prompts
    in which either side keeps it), spread_a, spread_b, spread_change (of influence; of signed contribution).
    In ids the position is the slot, the index of a token 0, of the right answer 0 and of the other outputs 1.

    The order of the prompts does not matter. Raises InputError for no prompts, ComparisonRefused where they are not
    of one constraint type and kind, of the same two checkpoints, transcoders and settings, explain something else than
    their probe's answer, or cannot be aligned.
    """
    parts = sorted(map(_as_traced, parts), key=lambda part: (part[0].text, part[0].id))
    _check(parts)
    slots = align([probe_slots(probe, diff.a.tokens) for probe, diff in parts], begin_mark=parts[0][1].a.tokens[0])
    settings = parts[0][1].settings
    stack = _stack(parts, slots)
    least = max(1, int(np.ceil(recurring * len(parts) - 1e-9)))
    explained = _explained([diff.explained for _, diff in parts])
    nodes = _node_table(stack, slots.names, explained.limit, settings)
    edges = _edge_table(stack, nodes, explained.limit, settings)
    nodes, edges = (_recurring(table, least) for table in (nodes, edges))
    edges = edges.iloc[np.argsort(-edges[CHANGE].abs().to_numpy(), kind="stable")].reset_index(drop=True)
    title = group_title(parts[0][0].constraint_type, parts[0][0].kind, len(parts))
    answers = [probe.answer for probe, _ in parts]
    a = mean_graph([diff.a for _, diff in parts], answers, nodes, edges, side="a", title=title, names=slots.names)
    b = mean_graph([diff.b for _, diff in parts], answers, nodes, edges, side="b", title=title, names=slots.names)
    return GraphDiff(
        a=a, b=b, nodes=nodes, edges=edges, summary=summarise(nodes, edges), settings=settings, explained=explained
    )


def n_first_tokens(parts: Sequence[Part]) -> int:
    """Of how many the right answer has several tokens, of which the first is what was traced."""
    return sum(diff.explained.words != probe.answer.strip() for probe, diff in parts)


def _as_traced(part: Part) -> Part:
    """Of an answer of several tokens the first alone, which is what graphs are traced to."""
    probe, diff = part
    return probe.model_copy(update={"answer": output_for(diff.a.target_tokens, probe.answer) or probe.answer}), diff


def _explained(of_prompts: Sequence[ExplainedChange]) -> ExplainedChange:
    """Means; the scale is the geometric one."""
    mean = {name: fmean(getattr(one, name) for one in of_prompts) for name in ("a", "b", "moved", "limit")}
    return ExplainedChange(
        words=RIGHT_ANSWER,
        scale=geometric_mean(one.scale for one in of_prompts),
        is_estimated=any(one.is_estimated for one in of_prompts),
        is_same=all(one.is_same for one in of_prompts),
        **mean,
    )


def group_title(constraint_type: str, kind: str, n_prompts: int) -> str:
    """`simple mapping · inference (40 prompts)`."""
    return f"{constraint_type.replace('_', ' ')} · {kind} ({n_prompts} prompt{'' if n_prompts == 1 else 's'})"


def _check(parts: Sequence[Part]) -> None:
    if not parts:
        raise InputError("There is no prompt to average over. Choose at least one.")
    for probe, diff in parts:
        if probe.text.split() != diff.a.key.prompt.split():
            raise ComparisonRefused(
                f"The graphs of “{diff.a.key.prompt[:200]}” were given for the probe “{probe.text[:200]}”. Give each "
                "probe the graphs of its own prompt."
            )
        if diff.explained.words != probe.answer.strip():
            raise ComparisonRefused(
                f"On “{probe.text[:200]}” the output “{diff.explained.words}” was explained, and its right answer is "
                f"“{probe.answer.strip()}”. Explain the right answer of each probe."
            )
    _same("are of different constraint types", [probe.constraint_type for probe, _ in parts], "Choose one type.")
    _same("are of different kinds", [probe.kind for probe, _ in parts], "Choose one kind of probe.")
    for side in "ab":
        keys = [getattr(diff, side).key for _, diff in parts]
        remedy = "Trace all of them on the same two checkpoints."
        _same(f"were traced on different checkpoints as {side.upper()}", [key.checkpoint for key in keys], remedy)
        _same(
            f"were traced on different states of {keys[0].checkpoint}",
            [key.checkpoint_hash for key in keys],
            "The run was made again in between: trace the older ones again.",
        )
        remedy = "A feature number means another thing in each: trace all prompts with one set."
        _same(
            "were traced with different transcoders", [f"{k.transcoders} ({k.transcoders_hash})" for k in keys], remedy
        )
    _same("are of different depth", [str(diff.a.n_layers) for _, diff in parts], "Use one base model.")
    plain = [diff.settings.model_copy(update={"explained": None}).to_json() for _, diff in parts]
    _same("were pruned differently", plain, "Use one setting for all.")


def _same(what: str, values: Sequence[str], remedy: str) -> None:
    different = list(dict.fromkeys(values))
    if len(different) > 1:
        named = ", ".join(f"“{value[:80]}”" for value in different[:4])
        raise ComparisonRefused(f"The prompts {what}: {named}. {remedy}")


@dataclass(frozen=True, eq=False)
class _Cells:
    """Rows of all prompts, gathered twice: into cells (one node or edge of one prompt), and cells into groups."""

    cell: np.ndarray  # (n_rows,) the cell of each row
    group: np.ndarray  # (n_cells,) the node or edge of each cell
    n_prompts: int

    @classmethod
    def of(cls, group: np.ndarray, prompt: np.ndarray, n_prompts: int) -> "_Cells":
        keys, cell = np.unique(group * n_prompts + prompt, return_inverse=True)
        return cls(cell, keys // n_prompts, n_prompts)

    def total(self, values: np.ndarray) -> np.ndarray:
        """(n_cells,) the sum within each prompt."""
        return np.bincount(self.cell, values, minlength=len(self.group))

    def count(self, rows: np.ndarray) -> np.ndarray:
        """(n_groups,) in how many prompts one of the rows (bool) is true."""
        return np.bincount(self.group, self.total(rows) > 0).astype(int)

    def mean(self, cells: np.ndarray) -> np.ndarray:
        """(n_groups,) over all prompts; a prompt without the cell counts as 0."""
        return np.bincount(self.group, cells) / self.n_prompts

    def spread(self, cells: np.ndarray) -> np.ndarray:
        """(n_groups,) standard deviation over all prompts, ddof = 1; 0 for a single prompt."""
        mean = self.mean(cells)
        squares = np.bincount(self.group, (cells - mean[self.group]) ** 2)
        absent = self.n_prompts - np.bincount(self.group)
        return np.sqrt((squares + absent * mean**2) / max(self.n_prompts - 1, 1))


@dataclass(frozen=True, eq=False)
class _Stack:
    """Nodes and edges of all prompts under each other, and what they are gathered into."""

    identity: np.ndarray  # (n_groups, 4) layer, slot, kind, index: the order in which nodes are listed
    nodes: pd.DataFrame
    node_cells: _Cells
    edges: pd.DataFrame
    edge_cells: _Cells
    edge_keys: np.ndarray  # (n_edge_groups,) source group x n_groups + target group


def _numbered(tables: Sequence[pd.DataFrame]) -> np.ndarray:
    """(n_rows,) the prompt of each row."""
    return np.repeat(np.arange(len(tables)), [len(table) for table in tables])


def _stack(parts: Sequence[Part], slots: Alignment) -> _Stack:
    nodes = pd.concat([diff.nodes for _, diff in parts], ignore_index=True)
    edges = pd.concat([diff.edges for _, diff in parts], ignore_index=True)
    own = np.concatenate(
        [_identities(probe, diff.nodes, row) for (probe, diff), row in zip(parts, slots.rows, strict=True)]
    )
    identity, group = unique_rows(own)
    starts = np.cumsum([0, *(len(diff.nodes) for _, diff in parts)])
    ends = np.concatenate([_ends(diff, group[start:]) for start, (_, diff) in zip(starts, parts, strict=False)])
    edge_keys, edge_group = np.unique(ends[:, 0] * len(identity) + ends[:, 1], return_inverse=True)
    return _Stack(
        identity=identity,
        nodes=nodes,
        node_cells=_Cells.of(group, _numbered([diff.nodes for _, diff in parts]), len(parts)),
        edges=edges,
        edge_cells=_Cells.of(edge_group, _numbered([diff.edges for _, diff in parts]), len(parts)),
        edge_keys=edge_keys,
    )


def _ends(diff: GraphDiff, group: np.ndarray) -> np.ndarray:
    """(n_edges, 2) the groups of source and target; `group`: of the diff's nodes."""
    row = pd.Index(diff.nodes["id"])
    return group[np.stack([row.get_indexer(diff.edges[end]) for end in ("source", "target")], axis=1)]


def _identities(probe: Probe, nodes: pd.DataFrame, slot_of: np.ndarray) -> np.ndarray:
    """(n_nodes, 4) layer, slot, kind, index; tokens lose theirs, outputs have that of their role."""
    kind = nodes["kind"].map(_CODE).to_numpy(dtype=np.int64)
    role = (nodes["token"].str.strip() != probe.answer.strip()).to_numpy(dtype=np.int64)
    index = np.select([kind == NodeKind.TOKEN, kind == NodeKind.LOGIT], [0, role], nodes["index"].to_numpy())
    return np.stack([nodes["layer"].to_numpy(), slot_of[nodes["position"].to_numpy()], kind, index], axis=1)


def _node_table(stack: _Stack, names: Sequence[str], limit: float, settings: DiffSettings) -> pd.DataFrame:
    cells, rows = stack.node_cells, stack.nodes
    layer, slot, kind, index = stack.identity.T
    kinds = [NodeKind(code).name.lower() for code in kind.tolist()]
    averaged = ("a", "b", "activation_a", "activation_b")
    table = pd.DataFrame(
        {
            "id": [f"{k}/{la}/{sl}/{ix}" for k, la, sl, ix in zip(kinds, layer, slot, index, strict=True)],
            "kind": kinds,
            "layer": layer,
            "position": slot,
            "index": index,
            "token": [
                _ROLES[ix] if k == NodeKind.LOGIT else names[sl] for k, sl, ix in zip(kind, slot, index, strict=True)
            ],
            **{name: cells.mean(cells.total(rows[name].to_numpy(dtype=float))) for name in averaged},
        }
    )
    there = [cells.count(exists(rows, side)) > 0 for side in "ab"]
    return table.assign(**_compared(cells, rows, PART, there, limit, settings))


def _edge_table(stack: _Stack, nodes: pd.DataFrame, limit: float, settings: DiffSettings) -> pd.DataFrame:
    cells, rows, n_nodes = stack.edge_cells, stack.edges, len(stack.identity)
    source, target = np.divmod(stack.edge_keys, n_nodes)
    weight = {side: cells.total(rows[WEIGHT[side]].to_numpy(dtype=float)) for side in "ab"}
    mean = {side: cells.mean(cells.total(signed_contribution(rows, side))) for side in "ab"}
    share = [_share(cells, rows, side, mean[side], nodes[side].to_numpy()[target]) for side in "ab"]
    ids = nodes["id"].to_numpy()
    table = pd.DataFrame(
        {
            "source": ids[source],
            "target": ids[target],
            **{WEIGHT[side]: cells.mean(weight[side]) for side in "ab"},
            **{SHARE[side]: values for side, values in zip("ab", share, strict=True)},
            **{CONTRIBUTION[side]: np.abs(mean[side]) for side in "ab"},
        }
    )
    there = [cells.count(rows[WEIGHT[side]].to_numpy() != 0) > 0 for side in "ab"]
    return table.assign(**_compared(cells, rows, FLOW, there, limit, settings))


def _share(cells: _Cells, rows: pd.DataFrame, side: str, signed: np.ndarray, influence: np.ndarray) -> np.ndarray:
    """(n_groups,) signed contribution over influence of the target; where that is 0, the mean of the shares."""
    plain = cells.mean(cells.total(rows[SHARE[side]].to_numpy(dtype=float)))
    return np.divide(signed, influence, out=plain, where=influence > 0)


def _compared(
    cells: _Cells,
    rows: pd.DataFrame,
    columns: Mapping[str, str],
    there: Sequence[np.ndarray],
    limit: float,
    settings: DiffSettings,
) -> dict[str, np.ndarray]:
    """Columns of a table: mean part or flow, what is compared, status, in how many prompts each is kept, n, spreads.

    A status is as of a single prompt, and `unchanged` where the mean change may well be chance.
    """
    a, b, own_a, own_b = (
        cells.total(rows[name].to_numpy(dtype=float)) for name in (*columns.values(), *COMPARED.values())
    )
    status, change = compared(there, (cells.mean(own_a), cells.mean(own_b)), limit, settings)
    error = cells.spread(own_b - own_a) / np.sqrt(cells.n_prompts)
    chance = np.abs(cells.mean(own_b - own_a)) <= _STANDARD_ERRORS * error
    return {
        columns["a"]: cells.mean(a),
        columns["b"]: cells.mean(b),
        COMPARED["a"]: cells.mean(own_a),
        COMPARED["b"]: cells.mean(own_b),
        **({CHANGE: change} if columns is FLOW else {}),
        "status": np.where(chance, "unchanged", status).astype(object),
        "kept_a": cells.count(rows["kept_a"].to_numpy()),
        "kept_b": cells.count(rows["kept_b"].to_numpy()),
        "n": np.bincount(cells.group),
        "spread_a": cells.spread(a),
        "spread_b": cells.spread(b),
        "spread_change": cells.spread(own_b - own_a),
    }


def _recurring(table: pd.DataFrame, least: int) -> pd.DataFrame:
    """What at least `least` prompts keep on a side; the ends of a kept edge are kept there as often."""
    kept = table.assign(kept_a=table["kept_a"] >= least, kept_b=table["kept_b"] >= least)
    return kept[kept["kept_a"] | kept["kept_b"]].reset_index(drop=True)
