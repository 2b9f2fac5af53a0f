"""Words that a tokenizer does not know, told without torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models

from engine.corpus import make_corpus, make_task
from engine.domain.corpus import CorpusSpec, TaskSpec
from engine.models.vocabulary import unknown_words
from engine.store import BUNDLED

BASE = BUNDLED / "base"


@pytest.mark.parametrize("task", ["addition_subtraction", "sequences", "composition"])
def test_the_bundled_model_reads_what_is_worded_for_it(task: str) -> None:
    assert unknown_words(BASE, make_corpus(CorpusSpec(name="c")).words) == ()
    assert unknown_words(BASE, make_task(TaskSpec(name="t", task=task)).words) == ()


def test_the_words_of_another_model_are_named() -> None:
    corpus = make_task(TaskSpec(name="t", task="sequences", wording="model", n_rows=10, limit=20))
    unknown = unknown_words(BASE, corpus.words)
    assert unknown[:3] == ("Derive", "sequence:", unknown[2])
    assert "the" not in unknown


@pytest.mark.parametrize("settings", [{}, {"unk_token": "<end>", "eos_token": {"content": "<end>"}}, "[", None])
def test_a_tokenizer_without_an_unknown_token_knows_all(tmp_path: Path, settings: object) -> None:
    Tokenizer(models.WordLevel({"<end>": 0, "a": 1}, unk_token="<end>")).save(str(tmp_path / "tokenizer.json"))  # noqa: S106
    if settings is not None:
        text = settings if isinstance(settings, str) else json.dumps(settings)
        (tmp_path / "tokenizer_config.json").write_text(text, encoding="utf-8")
    assert unknown_words(tmp_path, make_corpus(CorpusSpec(name="c")).words) == ()


def test_no_tokenizer_says_nothing(tmp_path: Path) -> None:
    assert unknown_words(tmp_path, make_corpus(CorpusSpec(name="c")).words) == ()


def test_it_needs_no_torch() -> None:
    script = "import sys, engine.models.vocabulary; assert not {'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=BUNDLED.parents[1])
