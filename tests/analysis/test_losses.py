"""What is told of a training loss: by hand, of runs trained here and of what trainers elsewhere logged."""

import math

import pytest

from engine.analysis.losses import ToldLoss, is_of_every_step, logged_words, suiting_smoothing, told_loss
from engine.domain.runs import CheckpointState, LossLog


def state(step: int, smoothed: float | None = None) -> CheckpointState:
    return CheckpointState(
        step=step, max_steps=60, epoch=0, loss=None, smoothed_loss=smoothed, learning_rate=None, seed=0,
        examples_seen=0, wall_time_s=0, corpus_hash="",
    )  # fmt: skip


def log(losses: dict[int, float]) -> LossLog:
    return LossLog(step=tuple(losses), loss=tuple(losses.values()), learning_rate=(0.1,) * len(losses))


LOGGED = log({5: 4.0, 10: 2.0, 20: 1.0})


@pytest.mark.parametrize(
    ("step", "value", "steps", "text"),
    [
        (10, 2.0, (6, 10), "logged loss 2.00"),
        (12, 2.0, (6, 10), "logged loss 2.00"),  # the last before the checkpoint
        (5, 4.0, (1, 5), "logged loss 4.00"),
        (60, 1.0, (11, 20), "logged loss 1.00"),
    ],
)
def test_a_logged_loss_is_named_by_the_steps_that_it_is_of(
    step: int, value: float, steps: tuple[int, int], text: str
) -> None:
    told = told_loss(state(step), LOGGED)
    assert told == ToldLoss(value, steps)
    assert told.text == text


def test_of_one_step_it_is_that_steps() -> None:
    assert told_loss(state(2), log({1: 4.0, 2: 3.0})) == ToldLoss(3.0, (2, 2))
    assert ToldLoss(3.0, (2, 2)).text == "logged loss 3.00"


def test_where_none_is_known_none_is_told() -> None:
    assert told_loss(state(0), LOGGED) is None
    assert told_loss(state(4), LOGGED) is None  # nothing was logged before it
    assert told_loss(state(10), LossLog()) is None
    assert told_loss(state(10), log({5: 4.0, 10: math.nan})) is None  # it diverged: the one before would hide that


def test_a_run_that_was_trained_here_has_its_running_mean() -> None:
    told = told_loss(state(10, smoothed=0.5), LOGGED)
    assert told == ToldLoss(0.5)
    assert (told.text, told.span) == ("loss 0.50", "")


def test_few_logged_losses_are_not_smoothed() -> None:
    every = log(dict.fromkeys(range(1, 13), 1.0))
    assert is_of_every_step(every)
    assert not is_of_every_step(LOGGED)
    assert suiting_smoothing(every) == 0.9  # as the table has it
    for n, smoothing in ((12, 0.0), (20, 0.0), (50, 0.8), (100, 0.9), (1000, 0.9)):
        assert suiting_smoothing(log({5 * row: 1.0 for row in range(1, n + 1)})) == smoothing


def test_what_the_points_of_a_curve_are() -> None:
    assert logged_words(log({1: 1.0, 2: 1.0})) == ""
    assert logged_words(LossLog()) == ""
    assert logged_words(log({5: 1.0, 10: 1.0})) == "2 points, each the mean of 5 steps"
    assert logged_words(LOGGED) == "3 points, each the mean of the steps since the one before"
