"""Component circuits: attention heads and MLPs, the edges between them, and how much the behaviour rests on each.

Nodes are `input` (the embeddings), heads `a{LAYER}.h{HEAD}`, MLPs `m{LAYER}` and `logits`. A head has three inputs (q,
k, v), every other node one. An edge runs from a node's output to one input of a later node. Counts as in Hanna et al.
2024 (arXiv 2403.17806): 1 + L (H + 1) sources, L (3 H + 1) + 1 inputs; GPT-2-small has 32,491 edges, Llama-3.2-1B
386,713.
"""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from engine.domain.edge_measures import EDGE_MEASURES, Metric
from engine.domain.measures import Estimate
from engine.domain.names import Name
from engine.domain.record import Record

Share = Annotated[float, Field(gt=0, le=1)]
Subject = Literal["tuned", "base", "random"]  # the checkpoint; the model before training; weights drawn at random
QKV = ("q", "k", "v")
# What an edge of two circuits became: only in B's; only in A's; in both with opposite signs; in both with the same.
CircuitStatus = Literal["appeared", "vanished", "flipped", "in both"]
CIRCUIT_STATUSES: tuple[CircuitStatus, ...] = ("appeared", "vanished", "flipped", "in both")
ComponentKind = Literal["input", "head", "mlp", "logits"]


class ComponentShape(Record):
    """Which nodes a model has. Sources and inputs are numbered; an array over edges is (n_inputs, n_sources)."""

    n_layers: Annotated[int, Field(ge=1)]
    n_heads: Annotated[int, Field(ge=1)]  # query heads; each has a k and a v of its own, also where weights are shared
    parallel: bool = False  # attention and MLP of a layer read the same stream (GPT-NeoX): no head -> MLP edge there

    @property
    def n_sources(self) -> int:
        """`input` is 0, head h of layer l is 1 + l (H + 1) + h, its MLP 1 + l (H + 1) + H."""
        return 1 + self.n_layers * (self.n_heads + 1)

    @property
    def n_inputs(self) -> int:
        """In layer l, from l (3 H + 1): all q, all k, all v, the MLP. The logits are last."""
        return self.n_layers * (3 * self.n_heads + 1) + 1

    def head_source(self, layer: int, head: int) -> int:
        return 1 + layer * (self.n_heads + 1) + head

    def mlp_source(self, layer: int) -> int:
        return 1 + layer * (self.n_heads + 1) + self.n_heads

    def head_input(self, layer: int, head: int, which: Literal[0, 1, 2]) -> int:
        """`which`: 0 is q, 1 is k, 2 is v."""
        return layer * (3 * self.n_heads + 1) + which * self.n_heads + head

    def mlp_input(self, layer: int) -> int:
        return layer * (3 * self.n_heads + 1) + 3 * self.n_heads

    @property
    def logits_input(self) -> int:
        return self.n_inputs - 1

    def n_before(self, layer: int, *, mlp: bool = False) -> int:
        """How many sources, the first ones, may feed the heads (or the MLP) of a layer; `n_layers`: the logits."""
        before = 1 + layer * (self.n_heads + 1)
        return before + (self.n_heads if mlp and not self.parallel else 0)

    def nodes(self) -> tuple[str, ...]:
        """The sources, then `logits`."""
        return (*self.sources(), "logits")

    def sources(self) -> tuple[str, ...]:
        """Node names, in order."""
        layers = range(self.n_layers)
        return ("input", *(name for layer in layers for name in (*self._heads(layer), f"m{layer}")))

    def inputs(self) -> tuple[str, ...]:
        """Names of inputs, in order: `a0.h1<q>`, `m0`, `logits`."""
        names: list[str] = []
        for layer in range(self.n_layers):
            names += [f"{head}<{which}>" for which in QKV for head in self._heads(layer)]
            names.append(f"m{layer}")
        return (*names, "logits")

    def edge_mask(self) -> np.ndarray:
        """(n_inputs, n_sources) bool: where there is an edge."""
        mask = np.zeros((self.n_inputs, self.n_sources), dtype=bool)
        for layer in range(self.n_layers):
            first, mlp = layer * (3 * self.n_heads + 1), self.mlp_input(layer)
            mask[first:mlp, : self.n_before(layer)] = True
            mask[mlp, : self.n_before(layer, mlp=True)] = True
        mask[self.logits_input] = True
        return mask

    @property
    def n_edges(self) -> int:
        """Counted without making the mask: a file may claim a shape of any size."""
        n_before = self.n_layers + (self.n_heads + 1) * self.n_layers * (self.n_layers - 1) // 2  # summed over layers
        within = 0 if self.parallel else self.n_layers * self.n_heads
        return (3 * self.n_heads + 1) * n_before + within + self.n_sources

    @property
    def n_nodes(self) -> int:
        """`input` and `logits` included."""
        return self.n_sources + 1

    def _heads(self, layer: int) -> list[str]:
        return [f"a{layer}.h{head}" for head in range(self.n_heads)]


@dataclass(frozen=True)
class ComponentPlace:
    """Where a node of this name stands; `head` is None for all but heads, `layer` for the two ends."""

    kind: ComponentKind
    layer: int | None = None
    head: int | None = None

    @classmethod
    def of(cls, name: str) -> "ComponentPlace":
        """Of `input`, `a1.h3`, `m1` or `logits`."""
        if name in ("input", "logits"):
            return cls(kind="input" if name == "input" else "logits")
        layer, _, head = name[1:].partition(".h")
        return cls("head", int(layer), int(head)) if head else cls("mlp", int(layer))


@dataclass(frozen=True, eq=False)
class Circuit:
    """A set of edges. A node is in the circuit where an edge of it is; `input` and `logits` only then, too."""

    shape: ComponentShape
    edges: np.ndarray  # (n_inputs, n_sources) bool, a subset of shape.edge_mask()

    @property
    def n_edges(self) -> int:
        return int(self.edges.sum())


class ScoreSettings(Record):
    """How edges are scored (EAP-IG; `n_steps` 1 is plain EAP, one gradient at the clean input)."""

    n_pairs: Annotated[int, Field(ge=1, le=100_000)] = 100  # at most so many, drawn by the seed, types evenly
    n_steps: Annotated[int, Field(ge=1, le=100)] = 5  # m, points between the corrupted and the clean input
    metric: Metric = "logit_diff"  # a key of EDGE_MEASURES
    n_groups: Annotated[int, Field(ge=1, le=20)] = 5  # disjoint parts of the pairs that are scored apart
    seed: int = 0

    @property
    def method(self) -> str:
        """`EAP-IG (5 points)`; also of which edge measure, where it is not the usual one."""
        name = f"EAP-IG ({self.n_steps} points)" if self.n_steps > 1 else "EAP (1 point)"
        usual = type(self).model_fields["metric"].default
        return name if self.metric == usual else f"{name} of “{EDGE_MEASURES[self.metric].label}”"

    @model_validator(mode="after")
    def _flat_measures_need_steps(self) -> Self:
        if EDGE_MEASURES[self.metric].flat_at_clean and self.n_steps == 1:
            raise ValueError(
                f"plain EAP (n_steps 1) is zero for the metric “{self.metric}”: take more steps, or another metric"
            )
        return self


class ComponentKey(Record):
    """What made a set of scores. Equal keys mean equal scores, so the hash names the stored file."""

    checkpoint: str  # RUN@LABEL, canonical
    checkpoint_hash: str
    pairs: Name  # the corpus that they come from
    pairs_hash: str  # of the corpus
    settings: ScoreSettings = ScoreSettings()

    @property
    def run(self) -> str:
        return self.checkpoint.partition("@")[0]

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:20]


@dataclass(frozen=True, eq=False)
class ComponentScores:
    """Scores of every edge of one checkpoint: how the metric would change if the edge carried its corrupted value.

    So an edge that the right answer depends on has a score below 0 in `logit_diff`: `EdgeMeasure.sign`.
    """

    key: ComponentKey
    shape: ComponentShape
    groups: np.ndarray  # (n_groups, n_inputs, n_sources) float32, signed; 0 where there is no edge
    n_pairs: np.ndarray  # (n_groups,) int64
    clean: np.ndarray  # (n_groups,) float64, mean metric of the clean runs
    corrupted: np.ndarray  # (n_groups,) float64, of the corrupted runs

    @property
    def mean_clean(self) -> float:
        """The metric of the clean runs, mean over all pairs."""
        return float(np.average(self.clean, weights=self.n_pairs))

    @property
    def mean_corrupted(self) -> float:
        """The metric of the corrupted runs, mean over all pairs."""
        return float(np.average(self.corrupted, weights=self.n_pairs))

    @property
    def scores(self) -> np.ndarray:
        """(n_inputs, n_sources) float32, mean over all pairs."""
        mean: np.ndarray = np.average(self.groups, axis=0, weights=self.n_pairs).astype(np.float32)
        return mean


class CurvePoint(Record):
    """A circuit of one size, and how far it does what the whole model does."""

    share: Share  # of all edges, asked for
    n_asked: int  # edges
    n_edges: int  # after pruning
    n_nodes: int
    faithfulness: Estimate | None  # (m(C) - m(corrupted)) / (m(whole) - m(corrupted)); None: not surely apart
    completeness: Estimate | None = None  # 1 minus the same of the model without the circuit's edges


class CurveReport(Record):
    """Faithfulness against size, at one checkpoint."""

    kind: Literal["curve"] = "curve"
    key: ComponentKey  # of the scores that chose the edges
    points: tuple[CurvePoint, ...]

    @property
    def run(self) -> str:
        return self.key.run

    @property
    def hash(self) -> str:
        return _hash(self.kind, self.key.hash)


class Likeness(Record):
    """Pairwise Jaccard of circuits, mean and interval over pairs of circuits."""

    nodes: Estimate
    edges: Estimate
    n: int  # pairs of circuits


class Perturbed(Record):
    """The circuit of perturbed inputs beside that of the inputs as they are."""

    level: Share  # probability that a token is replaced
    likeness: Likeness


class SubjectRobustness(Record):
    """How alike the circuits of one model are."""

    subject: Subject
    fifths: Likeness  # of disjoint parts of the data
    perturbed: tuple[Perturbed, ...]


def subjects_of(checkpoint: str) -> tuple[Subject, ...]:
    """The models on which the circuit of RUN@LABEL is checked: of the base there is no tuned one."""
    return ("base", "random") if checkpoint.endswith("@base") else ("tuned", "base", "random")


class RobustnessReport(Record):
    """Circuits of disjoint data and of perturbed inputs; tuned, base and random model."""

    kind: Literal["robustness"] = "robustness"
    key: ComponentKey
    share: Share  # of all edges in each circuit, before pruning
    subjects: tuple[SubjectRobustness, ...]  # fewer than `subjects_of` names where a job was stopped in between

    @property
    def run(self) -> str:
        return self.key.run

    @property
    def missing(self) -> tuple[Subject, ...]:
        """Models that it was not measured on yet."""
        measured = {one.subject for one in self.subjects}
        return tuple(subject for subject in subjects_of(self.key.checkpoint) if subject not in measured)

    @property
    def hash(self) -> str:
        return _hash(self.kind, self.key.hash, str(self.share))


class UnionPoint(Record):
    """The union of subtask circuits and the directly found circuit, at one size."""

    share: Share
    union: CurvePoint
    direct: CurvePoint
    nodes: float  # Jaccard
    edges: float


class UnionReport(Record):
    """Subtask circuits united, on the task that is composed of them."""

    kind: Literal["union"] = "union"
    key: ComponentKey  # of the direct scores; faithfulness is measured at its checkpoint on its pairs
    parts: tuple[ComponentKey, ...]  # of the subtasks' scores
    points: tuple[UnionPoint, ...]

    @property
    def run(self) -> str:
        return self.key.run

    @property
    def hash(self) -> str:
        return _hash(self.kind, self.key.hash, *(part.hash for part in self.parts))


def _hash(*parts: str) -> str:
    """Names a report by what was asked for: a report made again replaces the one before."""
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:20]


CircuitReport = Annotated[CurveReport | RobustnessReport | UnionReport, Field(discriminator="kind")]
SHARES: tuple[float, ...] = (0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
LEVELS: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
# Below, other pairs give another circuit: on the demo's LoRA run, the circuits of two disjoint sets share 0.74 of their
# edges (Jaccard) with 4 pairs each, 0.86 with 12, 0.93 with 20, and no more with 100.
FEW_PAIRS = 20
CIRCUIT_SHARE = 0.05  # the published size of a circuit, of all edges
