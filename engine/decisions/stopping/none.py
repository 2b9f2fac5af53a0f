"""Train to the last step."""

from collections.abc import Sequence

from engine.domain.decisions import Capture, DecisionSettings, Verdict


def decide(_captures: Sequence[Capture], _settings: DecisionSettings) -> Verdict:
    """Never stops."""
    return Verdict(stop=False, reason="Trains to the last step.")
