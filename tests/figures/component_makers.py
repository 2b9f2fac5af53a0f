"""Component scores that need no model: made by a seed, or edge by edge."""

import numpy as np

from engine.analysis.components.pruning import owner_of_input
from engine.analysis.components.selection import select
from engine.domain.components import Circuit, ComponentKey, ComponentScores, ComponentShape, ScoreSettings
from engine.figures.component_view import ComponentSide

SHAPE = ComponentShape(n_layers=4, n_heads=4)


def key(checkpoint: str = "run@base", *, metric: str = "logit_diff", pairs: str = "words") -> ComponentKey:
    settings = ScoreSettings(metric=metric, n_groups=1)
    return ComponentKey(
        checkpoint=checkpoint, checkpoint_hash=f"c{checkpoint}", pairs=pairs, pairs_hash="p", settings=settings
    )


def scores_of(
    values: np.ndarray, shape: ComponentShape, made_by: ComponentKey, *, clean: float = 1.5
) -> ComponentScores:
    """One group of scores, (n_inputs, n_sources)."""
    return ComponentScores(
        key=made_by, shape=shape, groups=values[None].astype(np.float32), n_pairs=np.array([10]),
        clean=np.array([clean]), corrupted=np.array([-clean]),
    )  # fmt: skip


def random_scores(
    seed: int, shape: ComponentShape = SHAPE, *, checkpoint: str = "run@base", drift: float = 0.0, clean: float = 1.5,
    metric: str = "logit_diff", pairs: str = "words",
) -> ComponentScores:  # fmt: skip
    """Few large scores, many small ones, some components busier than others, as in real models. `drift`: 0 as the seed
    has it, 1 nothing of it left."""
    own, new = _paths(seed, shape), _paths(seed + 1000, shape)
    values = (1 - drift) * own + drift * new
    return scores_of(values, shape, key(checkpoint, metric=metric, pairs=pairs), clean=clean)


def _paths(seed: int, shape: ComponentShape) -> np.ndarray:
    rng = np.random.default_rng(seed)
    busy = rng.standard_exponential(shape.n_nodes)
    busy[[0, -1]] = 4  # every path begins at the input and ends at the logits
    values = rng.standard_normal((shape.n_inputs, shape.n_sources)) * busy[:-1] * busy[owner_of_input(shape)][:, None]
    return values * shape.edge_mask()


def side(scores: ComponentScores, *, share: float = 0.05, loss: str = "") -> ComponentSide:
    return ComponentSide(scores, select(scores.scores, scores.shape, share=share), scores.key.checkpoint, loss)


def micro_side(edges: dict[tuple[str, str], float], checkpoint: str, shape: ComponentShape) -> ComponentSide:
    """`edges`: (source, input) by name -> effect, how much the answer depends on it; all of them are the circuit."""
    values = np.zeros((shape.n_inputs, shape.n_sources))
    for (source, target), effect in edges.items():
        values[shape.inputs().index(target), shape.sources().index(source)] = -effect
    return ComponentSide(scores_of(values, shape, key(checkpoint)), Circuit(shape, values != 0), checkpoint)
