"""Features and edges as they are ranked and patched: where A and B lie close, the effect of a change is what patching
measures, of every feature and edge."""

from pathlib import Path

import numpy as np
import pytest

from engine.attribution.acted import logit_of, said
from engine.bench.ranked import MovedPrompt, Ranked
from engine.bench.ranked_features import DEFAULT, ranked_edges, ranked_features
from engine.domain.explained import ExplainedLogits
from engine.models.base import encode
from engine.models.replacement import Replacement
from tests.attribution.parts import PROMPT, load, random_transcoders
from tests.attribution.test_places import nearly


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> MovedPrompt:
    loaded = load("llama", Path(tmp_path_factory.mktemp("ranked")))
    b, prompt = nearly(loaded.model), encode(loaded, PROMPT)[0]
    of = ExplainedLogits(answers=(said(b, prompt),))
    change = logit_of(b, prompt, of)[0] - logit_of(loaded.model, prompt, of)[0]
    return MovedPrompt(loaded, b, Replacement(loaded, random_transcoders(loaded)), PROMPT, prompt, of, change)


def into_the_answer(ranked: Ranked) -> np.ndarray:
    """(n,) bool: of edges, those whose target is the answer; no feature."""
    found: np.ndarray = ranked.signed["gradient in both"] == ranked.signed.get("change of flow", np.nan)
    return found


def first_alone(ranked: Ranked, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Of the 30 largest by a ranking, but for edges into the answer: what it says, and what patching measures."""
    score = ranked.signed[name]
    rows = np.argsort(-np.abs(np.where(into_the_answer(ranked), 0, score)))[:30]
    return score[rows], np.array(ranked.taken_back([[int(row)] for row in rows]))


@pytest.mark.parametrize("ranked", [ranked_features, ranked_edges])
def test_the_effect_of_a_change_is_what_patching_measures(ranked: object, case: MovedPrompt) -> None:
    found: Ranked = ranked(case)  # type: ignore[operator]
    said, measured = first_alone(found, DEFAULT)
    assert np.corrcoef(said, measured)[0, 1] > 0.95
    assert said == pytest.approx(measured, abs=0.2 * np.abs(measured).max())
    sizes = {len(score) for score in (*found.signed.values(), *found.unsigned.values())}
    assert len(sizes) == 1


def test_an_edge_into_the_answer_is_patched_by_its_weight(case: MovedPrompt) -> None:
    """All of them at once: what they bring in A less than in B, exactly."""
    found = ranked_edges(case)
    direct = np.flatnonzero(into_the_answer(found))
    assert len(direct) > 20
    all_of_them, none = found.taken_back([direct.tolist(), []])
    assert none == 0
    assert all_of_them == pytest.approx(found.signed["change of flow"][direct].sum(), abs=1e-5)
