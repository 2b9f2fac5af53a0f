"""Marks: through the address and back, and what of them is an order."""

import random
import re

import pytest

from engine.domain.diffs import STATUSES
from pages._ui.graphs.marked import _in_force, _listen, _Memory
from pages._ui.graphs.marks import Marks

FEATURE, OUTPUT = "feature/3/4/217", "logit/5/9/20"
GROUP = "supernode/2/4/happy_ways. ~100 % <b>“ü”</b>/2"
FULL = Marks(
    selected=FEATURE, pins=(OUTPUT, GROUP), edge=("token/-1/0/1", GROUP), show="input",
    statuses=("appeared", "flipped"), min_change=0.0123, step=105, look=(2.5, 10.25, 1.5),
)  # fmt: skip


def test_text_of_a_few():
    assert Marks().to_text() == ""
    assert Marks(selected=FEATURE, step=105).to_text() == "nf3.4.217_t105"
    assert Marks(edge=("token/-1/0/1", FEATURE), show="output").to_text() == "et-1.0.1.f3.4.217_o"
    assert Marks(min_change=16.25).to_text() == "c162500"  # logits
    assert Marks.from_text("c162500").min_change == 16.25
    assert Marks(statuses=("vanished",), min_change=0.012, look=(2, 3, 4)).to_text() == "sv_c120_z200.300.400"


def test_text_and_state_come_back():
    assert re.fullmatch(r"[A-Za-z0-9_.~-]+", FULL.to_text())  # what an address need not escape
    assert Marks.from_text(FULL.to_text()) == FULL
    assert Marks.from_state(FULL.state()) == FULL
    assert Marks.from_text("") == Marks.from_state(None) == Marks()


@pytest.mark.parametrize("seed", range(200))
def test_any_text_is_read(seed):
    """Cut, shuffled and spoiled texts never raise, and what is read of them comes back the same."""
    rng = random.Random(seed)
    text = list(FULL.to_text())
    for _ in range(rng.randrange(1, 30)):
        place = rng.randrange(len(text))
        text[place : place + rng.randrange(3)] = rng.choice(
            ["", "_", ".", "~", "~FF", "n", "p", "e", "z9", "٣", "\x00", "%"]
        )
        text = text or ["_"]
    marks = Marks.from_text("".join(text))
    assert Marks.from_text(marks.to_text()) == marks
    assert Marks.from_state(marks.state()) == marks


@pytest.mark.parametrize(
    "state",
    [
        7, [], {"selected": 5, "pins": "abc", "edge": ["x"], "show": "all", "statuses": [3], "step": True, "look": [1]},
        {"selected": "feature/1/2", "edge": [FEATURE], "min_change": float("nan"), "look": [2, float("inf"), 1]},
        {"step": -4, "min_change": -1, "look": [1, 2, 3], "statuses": ["gone"], "pins": [None, {}]},
    ],
)  # fmt: skip
def test_what_a_component_should_not_say_is_left_out(state):
    assert Marks.from_state(state) == Marks()


def test_order_and_doubles_do_not_matter():
    marks = Marks.from_state({"pins": [FEATURE, FEATURE], "statuses": list(reversed(STATUSES))})
    assert (marks.pins, marks.statuses) == ((FEATURE,), STATUSES)


def test_places_of_the_map_go_into_an_address_and_out_of_the_graphs() -> None:
    move = ("place/-1/4/4", "place/-1/5/6")
    marks = Marks(pins=("place/0/5/6", "feature/3/4/217"), edge=move)
    assert marks.to_text() == "pp0.5.6_pf3.4.217_ep-1.4.4.p-1.5.6"
    assert Marks.from_text(marks.to_text()) == marks
    assert marks.without_places() == Marks(pins=("feature/3/4/217",))


def run(memory: _Memory, passed: Marks, reported: Marks | None, heard: int = 0) -> Marks:
    """One run of a page's script."""
    _listen(memory, passed)
    state = None if reported is None else {**reported.state(), "heard": heard}
    memory.returned = _in_force(memory, passed, state)
    return memory.returned


def test_an_echo_is_no_order():
    memory = _Memory()
    marks = run(memory, Marks(), None)
    for selected in (FEATURE, OUTPUT, None):  # the component is ahead of what the page has in its address
        marks = run(memory, marks, Marks(selected=selected))
        assert marks.selected == selected
    assert memory.said == {}


def test_a_page_that_always_says_the_same_orders_nothing():
    memory = _Memory()
    for reported in (None, Marks(selected=FEATURE), Marks(selected=OUTPUT)):
        run(memory, Marks(step=3), reported)
    assert memory.said == {}


def test_an_order_counts_until_the_component_has_heard_it():
    memory = _Memory()
    back = run(memory, Marks(), Marks(selected=FEATURE))
    edge = (FEATURE, OUTPUT)
    ordered = run(memory, Marks(selected=back.selected, edge=edge), Marks(selected=FEATURE))
    assert memory.said == {"edge": 1}
    assert (ordered.selected, ordered.edge) == (None, edge)  # a node or an edge
    later = Marks(edge=edge, pins=(FEATURE,))
    assert run(memory, ordered, later, heard=1) == later
    assert run(memory, later, Marks(selected=OUTPUT), heard=1) == Marks(selected=OUTPUT)  # the user moved on
    assert memory.said == {"edge": 1}
    assert run(memory, Marks(edge=edge), Marks(selected=OUTPUT), heard=1).edge is None  # as an echo that is late
    memory.insisted = {"edge"}
    assert run(memory, Marks(edge=edge), Marks(selected=OUTPUT), heard=1) == Marks(edge=edge)  # the same row again
    assert memory.said == {"edge": 2}
