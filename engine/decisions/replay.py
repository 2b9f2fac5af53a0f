"""Ask the stopping policies again, as if the run were training now."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from engine.domain.decisions import Capture, DecisionSettings, Verdict


@dataclass(frozen=True)
class Replay:
    """What one stopping policy would have decided on a run."""

    policy: str
    step: int | None  # the first capture at which it says stop; None: it never does
    verdict: Verdict  # of that capture, else of the last


def in_sight(captures: Sequence[Capture]) -> tuple[Capture, ...]:
    """What a policy sees at the newest of these captures: its own look is still being traced."""
    return (*captures[:-1], *(one.model_copy(update={"reading": None}) for one in captures[-1:]))


def replay_each(
    policies: Mapping[str, Callable[[Sequence[Capture], DecisionSettings], Verdict]],
    captures: Sequence[Capture],
    settings: DecisionSettings,
) -> dict[str, Replay]:
    """Looks come one capture late, as they do while training.

    The last capture counts as any other: where it is the last step of the run, stopping there saves nothing.
    """
    found = {}
    for name, decide in policies.items():
        step, verdict = None, Verdict(stop=False, reason="There is no checkpoint yet.")
        for k, capture in enumerate(captures):
            verdict = decide(in_sight(captures[: k + 1]), settings)
            if verdict.stop and capture.step > 0:
                step = capture.step
                break
        found[name] = Replay(name, step, verdict)
    return found
