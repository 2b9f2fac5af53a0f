"""What is explained, as weights of tokens and in words."""

import numpy as np
import pytest

from engine.domain.explained import ExplainedLogits


@pytest.mark.parametrize(
    ("answers", "against", "weights", "text"),
    [
        ((7,), (), [0, 1, 0, 0], "happy"),
        ((7,), (9,), [0, 1, 0, -1], "happy − bl"),
        ((7, 3), (), [0.5, 0.5, 0, 0], "mean of happy and glad"),
        ((7,), (9, 5, 3), [-1 / 3, 1, -1 / 3, -1 / 3], "happy − mean of bl, sad and glad"),
    ],
)
def test_weights_and_words(answers: tuple[int, ...], against: tuple[int, ...], weights: list[float], text: str) -> None:
    asked = ExplainedLogits(answers=answers, against=against)
    np.testing.assert_allclose(asked.weights([3, 7, 5, 9]), weights, rtol=0, atol=1e-15)
    words = {7: " happy", 9: " bl", 3: "glad", 5: " sad"}
    assert asked.text([words[token] for token in asked.tokens]) == text
    assert asked.weights(asked.tokens).sum() == pytest.approx(0.0 if against else 1.0)
    assert ExplainedLogits.model_validate_json(asked.model_dump_json()) == asked


@pytest.mark.parametrize(("answers", "against"), [((), (7,)), ((7, 7), ()), ((7,), (7,))])
def test_nothing_is_named_twice_and_something_is(answers: tuple[int, ...], against: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"at least 1 item|named once"):
        ExplainedLogits(answers=answers, against=against)
