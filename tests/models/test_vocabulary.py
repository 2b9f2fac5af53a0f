"""Words that a tokenizer does not know, told without torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models

from engine.components.pairs import prepare_pairs
from engine.corpus import make_corpus, make_task
from engine.domain.corpus import CorpusSpec, Pair, TaskSpec
from engine.domain.errors import InputError
from engine.models.tokenizer_files import read_tokenizer
from engine.models.vocabulary import PairFit, pair_fit, unknown_words
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


def pair(**changed: str) -> Pair:
    given = {"clean": "the cat feels", "corrupted": "the dog feels", "answer": "happy", "corrupted_answer": "sad"}
    return Pair(id="p", constraint_type="t", **(given | changed))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"corrupted": "the dog"}, "“clean” has 3 tokens and “corrupted” 2"),
        ({"corrupted_answer": "happy"}, "are the same token"),
        ({"clean": "the Zandoria feels"}, "the model does not know “Zandoria”"),
        ({"answer": "Zandoria"}, "the model does not know “Zandoria”"),
    ],
)
def test_pairs_that_do_not_fit_are_told_as_the_job_would(changed: dict[str, str], reason: str) -> None:
    fit = pair_fit(BASE, [pair(), pair(**changed), pair(**changed)])
    assert fit is not None
    assert (fit.n, fit.n_bad, fit.n_fit, fit.fits, fit.enough) == (3, 2, 1, True, False)
    assert reason in fit.reason
    assert len(prepare_pairs(read_tokenizer(BASE), [pair(), pair(**changed), pair(**changed)], limit=50)) == 1
    none = pair_fit(BASE, [pair(**changed)])
    assert none is not None
    assert not none.fits
    with pytest.raises(InputError, match="None of the 1 pair can be used"):
        prepare_pairs(read_tokenizer(BASE), [pair(**changed)], limit=50)


def test_pairs_that_fit_are_those_that_the_job_takes() -> None:
    fit = pair_fit(BASE, [pair()])
    assert fit == PairFit(1, 0)
    assert len(prepare_pairs(read_tokenizer(BASE), [pair()], limit=50)) == 1


def test_of_pairs_without_a_tokenizer_nothing_is_said(tmp_path: Path) -> None:
    assert pair_fit(tmp_path, [pair()]) is None


def test_a_tokenizer_that_was_changed_is_read_again(tmp_path: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        (tmp_path / name).write_bytes((BASE / name).read_bytes())
    assert pair_fit(tmp_path, [pair()]) == PairFit(1, 0)
    words = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    del words["model"]["vocab"]["cat"]
    (tmp_path / "tokenizer.json").write_text(json.dumps(words), encoding="utf-8")
    fit = pair_fit(tmp_path, [pair()])
    assert fit is not None
    assert "“cat”" in fit.reason
