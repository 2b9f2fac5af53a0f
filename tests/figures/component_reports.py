"""Reports on component circuits for tests of what is drawn of them."""

from engine.domain.components import (
    ComponentKey,
    CurvePoint,
    CurveReport,
    Likeness,
    Perturbed,
    RobustnessReport,
    SubjectRobustness,
    UnionPoint,
    UnionReport,
)
from engine.domain.measures import Estimate


def key(checkpoint: str = "demo-lora@final", pairs: str = "demo-pairs") -> ComponentKey:
    return ComponentKey(checkpoint=checkpoint, checkpoint_hash="c", pairs=pairs, pairs_hash="p")


def estimate(value: float, half: float = 0.1) -> Estimate:
    return Estimate(value=value, low=value - half, high=value + half)


def point(share: float, value: float | None, *, completeness: float | None = None) -> CurvePoint:
    """Of 1,000 edges; a tenth is lost to pruning."""
    n_asked = round(1000 * share)
    return CurvePoint(
        share=share, n_asked=n_asked, n_edges=n_asked * 9 // 10, n_nodes=n_asked // 5 + 2,
        faithfulness=None if value is None else estimate(value),
        completeness=None if completeness is None else estimate(completeness),
    )  # fmt: skip


def curve(checkpoint: str = "demo-lora@final", *points: CurvePoint) -> CurveReport:
    return CurveReport(key=key(checkpoint), points=points)


def likeness(nodes: float, edges: float, n: int = 10) -> Likeness:
    return Likeness(nodes=estimate(nodes, 0.05), edges=estimate(edges, 0.05), n=n)


def robustness(levels: tuple[float, ...] = (0.1, 0.5, 0.9)) -> RobustnessReport:
    """A model stays alike the less the more its words are replaced; the tuned one most, the random one least."""
    subjects = tuple(
        SubjectRobustness(
            subject=subject,
            fifths=likeness(0.9 * much, 0.7 * much),
            perturbed=tuple(
                Perturbed(level=level, likeness=likeness((1 - level) * much, (1 - level) * much * 0.8, 5))
                for level in levels
            ),
        )
        for subject, much in (("tuned", 1.0), ("base", 0.8), ("random", 0.4))
    )
    return RobustnessReport(key=key(), share=0.05, subjects=subjects)


def union(shares: tuple[float, ...] = (0.01, 0.05, 0.1)) -> UnionReport:
    points = tuple(
        UnionPoint(share=share, union=point(share, 0.5 + share), direct=point(share, 0.7 + share), nodes=0.8, edges=0.4)
        for share in shares
    )
    return UnionReport(key=key(), parts=(key(pairs="part-a"), key(pairs="part-b")), points=points)
