"""The tour's figures: what is written on them, in whose color, and nothing of a user's text as HTML."""

import base64
import re
from pathlib import Path

import pytest

from engine.domain.runs import Checkpoint, CheckpointState, LossLog
from engine.figures.tour_charts import (
    BEFORE,
    SIDE,
    Group,
    TourBar,
    bar_groups,
    key_line,
    loss_curves,
    picture,
    word_dots,
)


def _checkpoint(step: int) -> Checkpoint:
    state = CheckpointState(
        step=step, max_steps=4, epoch=0, loss=None, smoothed_loss=None, learning_rate=None, seed=0, examples_seen=0,
        wall_time_s=0, corpus_hash="",
    )  # fmt: skip
    return Checkpoint(run="r", state=state, folder=Path())


def test_a_side_has_one_color_everywhere() -> None:
    bars = bar_groups([Group("q", "", (TourBar("A", "A", 0.5, "50%"), TourBar("B", "B", 1.0, "100%")))])
    key = key_line({BEFORE: "before training", "A": "a", "B": "b"})
    log = LossLog(step=(1, 2, 3, 4), loss=(2.0, 1.0, 1.0, 1.0))
    curves = loss_curves({"A": (log, [_checkpoint(0)]), "B": (log, [_checkpoint(4)])}, ink="#000")
    for drawn in (bars, key, curves, word_dots([("w", "m", 0.0, 1.0)], title="t")):
        assert SIDE["A"] in drawn
        assert SIDE["B"] in drawn
    assert len({SIDE["A"], SIDE["B"], SIDE[BEFORE]}) == 3


def test_a_bar_is_as_long_as_its_value_and_never_longer_than_its_room() -> None:
    drawn = bar_groups([Group("q", "", tuple(TourBar("A", "A", value, "") for value in (0.0, 1.0, 2.0, 9.0)), top=2.0)])
    assert re.findall(r"width:([\d.]+)%", drawn) == ["0.00", "30.00", "60.00", "60.00"]


def test_a_word_s_dot_is_filled_by_its_share() -> None:
    drawn = word_dots([("blarf", "(happy)", 0.25, 1.0)], title="Inference")
    assert re.findall(r"(\d+)deg, transparent", drawn) == ["90", "360"]
    assert "25% right" in drawn


def test_every_checkpoint_has_a_dot_and_the_base_stands_where_the_first_step_began() -> None:
    log = LossLog(step=(1, 2, 3, 4), loss=(2.0, 1.0, 1.0, 1.0))
    drawn = loss_curves({"A": (log, [_checkpoint(0), _checkpoint(2), _checkpoint(4)])}, ink="#000")
    heights = [float(y) for y in re.findall(r'<circle cx="[\d.]+" cy="([\d.]+)"', drawn)]
    assert len(heights) == 3
    assert heights == sorted(heights)  # the loss falls: each stands lower
    assert "base" in drawn
    assert "step 4" in drawn


@pytest.mark.parametrize("text", ["<b>x", 'a"b', "a&b"])
def test_text_is_text(text: str) -> None:
    drawn = bar_groups([Group(text, text, (TourBar("A", text, 1.0, text),))])
    drawn += key_line({"A": text}) + word_dots([(text, text, 0.0, 0.0)], title=text)
    assert text not in drawn


def test_a_picture_holds_its_svg_and_says_what_it_shows() -> None:
    drawn = picture("<svg/>", alt='a "b"')
    assert base64.b64decode(drawn.split("base64,")[1].split('"')[0]) == b"<svg/>"
    assert 'alt="a &quot;b&quot;"' in drawn
