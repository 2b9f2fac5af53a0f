"""Edge measures and rules are registered once: a new one is in the settings, on the command line and in the titles."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError
from streamlit.testing.v1 import AppTest

from engine.analysis.components.selection import EDGE_RULES
from engine.components.metrics import MEASURES
from engine.domain.components import ScoreSettings
from engine.domain.edge_measures import EDGE_MEASURES
from tests.figures.component_makers import random_scores, side
from tests.pages.test_page_circuits import found

OpenPage = Callable[..., AppTest]
ROOT = Path(__file__).parents[2]
MOST_FILES = 3
FAKE = replace(EDGE_MEASURES["kl"], label="Made up", explanation="nothing at all", flat_at_clean=False, sign=-1)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EDGE_MEASURES, "fake", FAKE)


def test_every_measure_can_be_computed() -> None:
    assert MEASURES.keys() == EDGE_MEASURES.keys()


@pytest.mark.parametrize("name", ["kl", "greedy"])
def test_a_name_stands_in_few_files(name: str) -> None:
    """So that a measure or a rule is added by touching them alone."""
    files = [
        file for room in ("engine", "pages") for file in (ROOT / room).rglob("*.py")
        if f'"{name}"' in file.read_text(encoding="utf-8")
    ]  # fmt: skip
    assert 1 <= len(files) <= MOST_FILES, files


@pytest.mark.usefixtures("fake")
def test_a_new_measure_is_in_the_settings_and_its_effects_have_its_sign(open_page: OpenPage) -> None:
    assert ScoreSettings(metric="fake", n_steps=1).metric == "fake"
    found()
    app = open_page("circuits", bundled=None, metric="fake")
    assert not app.exception
    box = app.selectbox(key="circuits metric")
    assert box.value == "fake"
    assert "Made up" in box.options
    assert "**Made up**: nothing at all." in box.help
    one = side(random_scores(1, metric="fake"))
    assert (one.effects == -one.scores.scores).all()


def test_a_new_rule_is_among_the_choices(open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EDGE_RULES, "fake", replace(EDGE_RULES["top"], label="Made up"))
    found()
    app = open_page("circuits", bundled=None, how="fake")
    assert not app.exception
    assert not app.warning
    assert app.dataframe
    assert "Made up" in app.button_group(key="circuits how").options[-1]


SCRIPT = """
from dataclasses import replace
from engine.analysis.components.selection import EDGE_RULES
from engine.domain.edge_measures import EDGE_MEASURES
EDGE_MEASURES["fake"] = replace(EDGE_MEASURES["kl"], explanation="nothing at all")
EDGE_RULES["fakerule"] = EDGE_RULES["top"]
from engine.cli.app import app
for words in (["find"], ["show"]):
    try:
        app(["circuits", *words, "--help"])
    except SystemExit as end:
        assert not end.code
"""


def test_new_ones_are_on_the_command_line() -> None:
    ran = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "logit_diff|kl|fake" in ran.stdout
    assert "top|greedy|fakerule" in ran.stdout


def test_an_unknown_measure_names_those_there_are() -> None:
    with pytest.raises(ValidationError, match="Choose one of logit_diff, kl"):
        ScoreSettings(metric="guess")
