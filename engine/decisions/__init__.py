"""What to do while a run trains, decided from its captures: pure functions, so that a page can ask them again.

A policy is one file with a `decide` or `weights`, and one line here. What a form shows of it is in `domain.decisions`.
"""

from collections.abc import Callable, Sequence

from engine.decisions.curricula import circuit_change, under_learned, uniform
from engine.decisions.replay import Replay, replay_each
from engine.decisions.stopping import circuit_saturation, loss_plateau, none, probe_plateau
from engine.domain.decisions import CURRICULUM_INFOS, STOPPING_INFOS, Capture, DecisionSettings, Verdict
from engine.domain.errors import NotFound
from engine.domain.runs import RunConfig

Stop = Callable[[Sequence[Capture], DecisionSettings], Verdict]
Weigh = Callable[[Sequence[Capture], DecisionSettings], dict[str, float]]  # by constraint type, sum 1; {} is even

STOPPING: dict[str, Stop] = {
    "none": none.decide,
    "loss_plateau": loss_plateau.decide,
    "probe_plateau": probe_plateau.decide,
    "circuit_saturation": circuit_saturation.decide,
}
CURRICULA: dict[str, Weigh] = {
    "uniform": uniform.weights,
    "under_learned": under_learned.weights,
    "circuit_change": circuit_change.weights,
}


def stopping_named(name: str) -> Stop:
    """Raises NotFound listing the policies there are."""
    if name not in STOPPING:
        raise NotFound("stopping policy", name, list(STOPPING))
    return STOPPING[name]


def curriculum_named(name: str) -> Weigh:
    """Raises NotFound listing the policies there are."""
    if name not in CURRICULA:
        raise NotFound("curriculum policy", name, list(CURRICULA))
    return CURRICULA[name]


def policies_need_circuits(config: RunConfig) -> bool:
    """Whether a policy of the run cannot decide without circuits. Raises NotFound for an unknown policy."""
    stopping_named(config.stopping)
    curriculum_named(config.curriculum)
    return STOPPING_INFOS[config.stopping].needs_circuits or CURRICULUM_INFOS[config.curriculum].needs_circuits


def needs_circuits(config: RunConfig) -> bool:
    """Whether circuits are traced while it trains. Raises NotFound for an unknown policy."""
    return policies_need_circuits(config) or config.watch


def replay(captures: Sequence[Capture], settings: DecisionSettings) -> dict[str, Replay]:
    """Where each stopping policy would have stopped a run with these captures, ascending by step, the base first."""
    return replay_each(STOPPING, captures, settings)


__all__ = [
    "CURRICULA",
    "STOPPING",
    "Replay",
    "Stop",
    "Weigh",
    "curriculum_named",
    "needs_circuits",
    "policies_need_circuits",
    "replay",
    "stopping_named",
]
