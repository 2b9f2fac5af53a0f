"""The build as far as it can be tried in seconds: the recipe, dropping of probes, and what a failed build leaves."""

from dataclasses import replace

import pytest

from engine.corpus import make_corpus
from engine.demo import recipe
from engine.demo.base_model import PRETRAINING
from engine.demo.build import answerable, build_demo
from engine.demo.check import compare
from engine.demo.records import Figure, Figures
from engine.domain.errors import TracelapseError
from engine.domain.runs import ProbeResults

BARELY = replace(PRETRAINING, n_steps=2, batch_size=4)


def test_the_runs_have_every_checkpoint_that_is_promised():
    for config in recipe.run_configs(0):
        steps = config.capture_steps()
        assert set(recipe.MAIN_STEPS) == {75, 150, 225, 300} <= set(steps)
        assert len(set(steps) - set(recipe.MAIN_STEPS)) >= 12
        assert config.corpus == recipe.CORPUS
    lora, tokens = recipe.run_configs(0)
    assert (lora.method, tokens.method) == ("lora", "tokens")


def test_the_default_prompts_are_probes():
    probes = {probe.text: probe for probe in make_corpus(recipe.corpus_spec(0)).probes}
    assert [probes[prompt].kind for prompt in recipe.PROMPTS] == ["inference", "inference"]
    assert len({probes[prompt].constraint_type for prompt in recipe.PROMPTS}) == 2


def test_a_failed_build_leaves_the_old_demo_and_nothing_else(tmp_path):
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "README.md").write_text("old", encoding="utf-8")
    with pytest.raises(TracelapseError, match="answers only"):
        build_demo(folder, 0, lambda *_: None, pretraining=BARELY)
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]
    assert (folder / "README.md").read_text(encoding="utf-8") == "old"


def test_probes_that_the_base_fails_are_dropped(monkeypatch):
    candidates = make_corpus(recipe.corpus_spec(0))
    wrong = {probe.id for probe in candidates.probes if probe.id.endswith("-7")}

    def known_answers(_model, _tokenizer, probes, *, use_known):
        assert use_known
        n = len(probes)
        correct = tuple(probe.id not in wrong for probe in probes)
        return ProbeResults(
            probe_id=tuple(p.id for p in probes),
            predicted=("x",) * n,
            p=(0.5,) * n,
            rank=(1,) * n,
            logit_diff=(0.0,) * n,
            correct=correct,
        )

    monkeypatch.setattr("engine.training.probing.run_probes", known_answers)
    monkeypatch.setattr("engine.models.base.load_base", lambda *_: _Anything())
    kept = answerable(_Anything(), candidates)
    assert {probe.id for probe in candidates.probes} - {probe.id for probe in kept.probes} == wrong
    assert kept.examples == candidates.examples


class _Anything:
    model = tokenizer = None

    def base_folder(self, _spec):
        return None


def test_check_lays_measured_beside_stated_figures():
    stated = Figures(
        seed=0,
        figures=(
            Figure(name="hash", value="abc"),
            Figure(name="score", value=0.9, tolerance=0.02),
            Figure(name="count", value=50),
            Figure(name="gone", value=1),
        ),
    )
    measured = (
        Figure(name="hash", value="abd"),
        Figure(name="score", value=0.92),
        Figure(name="count", value=51),
        Figure(name="new", value=2),
    )
    rows = {row.name: (row.value, row.stated, row.ok) for row in compare(stated, measured)}
    assert rows == {
        "hash": ("abd", "abc", False),
        "score": (0.92, 0.9, True),
        "count": (51, 50, False),
        "gone": (None, 1, False),
        "new": (2, None, False),
    }
