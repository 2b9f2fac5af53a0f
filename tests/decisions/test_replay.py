"""Asking again where a run would have stopped."""

from collections.abc import Callable

import pytest

from engine.decisions import STOPPING, needs_circuits, policies_need_circuits, replay
from engine.domain.decisions import Capture, DecisionSettings
from engine.domain.errors import NotFound
from engine.domain.runs import RunConfig

Run = Callable[..., tuple[Capture, ...]]
SETTINGS = DecisionSettings(patience=2)


def test_each_policy_stops_at_its_own_capture(run: Run) -> None:
    captures = run(
        [None, 2.0, 1.0, 0.5, 0.5, 0.5, 0.5],  # flat over two captures at step 125
        [0, 20, 40, 40, 40, 40, 40],  # steps 50, 75, 100 overlap
        [0.0, 0.9, 0.9, 0.2, 0.1, 0.1, 0.1],  # quiet at 75 and 100, and known a capture later
    )
    found = replay(captures, SETTINGS)
    assert {name: one.step for name, one in found.items()} == {
        "none": None,
        "loss_plateau": 125,
        "probe_plateau": 100,
        "circuit_saturation": 125,
    }
    for name, one in found.items():
        assert one.policy == name
        assert one.verdict.stop == (one.step is not None)
    assert "step 100" in found["circuit_saturation"].verdict.reason


def test_it_says_what_the_policies_said_at_each_capture(run: Run) -> None:
    """Replay at capture k is what a policy is asked at k, with that capture's look not there yet."""
    captures = run([None, 2.0, 1.0, 0.9], [0, 20, 40, 40], [0.0, 0.9, 0.8, 0.7])
    hidden = (*captures[:-1], captures[-1].model_copy(update={"reading": None}))
    for name, one in replay(captures, SETTINGS).items():
        assert one.verdict == STOPPING[name](hidden, SETTINGS)


def test_a_look_at_the_last_capture_comes_too_late(run: Run) -> None:
    captures = run([None, *[1.0] * 2], [40] * 3, [0.9, 0.1, 0.1])
    assert replay(captures, SETTINGS)["circuit_saturation"].step is None
    more = run([None, *[1.0] * 3], [40] * 4, [0.9, 0.1, 0.1, None])
    assert replay(more, SETTINGS)["circuit_saturation"].step == 75


def test_nothing_to_replay() -> None:
    for name, one in replay((), SETTINGS).items():
        assert (one.policy, one.step, one.verdict.stop) == (name, None, False)


@pytest.mark.parametrize(
    ("changes", "policy", "needs"),
    [
        ({}, False, False),
        ({"stopping": "probe_plateau", "curriculum": "under_learned"}, False, False),
        ({"watch": True}, False, True),
        ({"stopping": "circuit_saturation"}, True, True),
        ({"curriculum": "circuit_change"}, True, True),
    ],
)
def test_who_needs_circuits(changes: dict[str, object], policy: bool, needs: bool) -> None:
    config = RunConfig.model_validate({"name": "run", "corpus": "c", **changes})
    assert (policies_need_circuits(config), needs_circuits(config)) == (policy, needs)


def test_unknown_policies_are_named() -> None:
    with pytest.raises(NotFound, match=r"curriculum policy named “magic”.*under_learned"):
        needs_circuits(RunConfig(name="run", corpus="c", curriculum="magic"))
