"""The checkpoints between A and B that a measure goes over."""

import pytest

from engine.domain.jobs import NeverCancelled, Where, quiet
from engine.store import Store
from engine.workflows.queries import stored_acted
from engine.workflows.where import MOST_STRETCHES, path_between, where

PROMPT = "the cat feels blarf and"
A, B = "demo-lora@base", "demo-lora@100%"


@pytest.mark.parametrize(
    ("a", "b", "steps"),
    [
        ("demo-lora@base", "demo-lora@100%", [0, 75, 150, 225, 300]),
        ("demo-lora@100%", "demo-lora@base", [300, 225, 150, 75, 0]),
        ("demo-lora@50%", "demo-lora@50%", [150, 150]),
        ("demo-lora@100%", "demo-tokens@100%", [300, 300]),
    ],
)
def test_a_path_is_short_and_even(demo_store: Store, a: str, b: str, steps: list[int]) -> None:
    path = path_between(demo_store, demo_store.checkpoint(a), demo_store.checkpoint(b))
    assert [one.step for one in path] == steps
    assert len(path) <= MOST_STRETCHES + 1


def test_a_short_part_of_a_run_goes_over_what_is_there(demo_store: Store) -> None:
    checkpoints = demo_store.checkpoints("demo-lora")
    path = path_between(demo_store, checkpoints[1], checkpoints[3])
    assert [one.step for one in path] == [one.step for one in checkpoints[1:4]]


def test_the_demo_runs_add_up_and_are_kept(demo_store: Store) -> None:
    """Both methods, and from one run to the other; what B says where no answer is given."""
    asked = [(A, B, ()), (A, B, ("cries",)), ("demo-tokens@base", "demo-tokens@100%", ()), (B, "demo-tokens@100%", ())]
    for a, b, answers in asked:
        where(demo_store, Where(a=a, b=b, prompt=PROMPT, answers=answers), quiet, NeverCancelled())
        found = stored_acted(demo_store, a, b, PROMPT, answers)
        assert found is not None
        assert abs(found.left) <= 0.01 * sum(abs(one.after - one.before) for one in found.stretches) + 0.008
        assert found.is_said == (answers == ())
        if answers:
            assert found.answer == answers[0]
    assert len(demo_store.acted_keys()) == len(asked)
    where(demo_store, Where(a=A, b=B, prompt=PROMPT), quiet, NeverCancelled())  # stored already
    assert len(demo_store.acted_keys()) == len(asked)
    only_new_tokens = stored_acted(demo_store, "demo-tokens@base", "demo-tokens@100%", PROMPT)
    assert only_new_tokens is not None
    places = only_new_tokens.places()
    blarf = [token.strip() for token in only_new_tokens.tokens].index("blarf")
    assert places[0, blarf] == pytest.approx(only_new_tokens.sum)  # all of it stands in that token's embedding
