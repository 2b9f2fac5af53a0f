"""From what was typed to a checked request."""

import pytest

from engine.domain.errors import InputError
from engine.domain.runs import RunConfig
from pages._ui.forms import checked, fractions, free_name


def test_fractions_are_percentages() -> None:
    assert fractions("25, 50 %,100") == (0.25, 0.5, 1.0)
    assert fractions("") == ()


@pytest.mark.parametrize("text", ["a", "0", "101", "50;60", "nan", "inf", "-5"])
def test_bad_fractions_are_refused_with_what_was_typed(text: str) -> None:
    with pytest.raises(InputError, match=text):
        fractions(text)


def test_a_refused_form_names_the_field() -> None:
    with pytest.raises(InputError, match=r"name: .*\.\./x.* is not a valid name"):
        checked(lambda: RunConfig(name="../x", corpus="demo"))
    with pytest.raises(InputError, match="number of steps"):
        checked(lambda: RunConfig(name="x", corpus="demo", n_steps=0))


def test_a_free_name_takes_the_first_number() -> None:
    assert free_name("live", set()) == "live"
    assert free_name("live", {"live", "live-2"}) == "live-3"
    assert len(free_name("x" * 80, {"x" * 58})) <= 64
