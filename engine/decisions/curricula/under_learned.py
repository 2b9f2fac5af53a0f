"""Sample constraint types more often, the fewer of their probes are right."""

from collections.abc import Sequence

from engine.decisions.curricula.shares import shares
from engine.domain.decisions import Capture, DecisionSettings


def weights(captures: Sequence[Capture], settings: DecisionSettings) -> dict[str, float]:
    """Proportional to 1 - accuracy of `probe_kind` at the newest capture. Empty where nothing was scored."""
    needs = {
        score.constraint_type: 1 - score.n_correct / score.n
        for score in (captures[-1].scores if captures else ())
        if score.probe_kind == settings.probe_kind and score.n > 0
    }
    return shares(needs, least_share=settings.least_share)
