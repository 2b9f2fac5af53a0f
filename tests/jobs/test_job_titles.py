"""What jobs are called: the one prompt that they are about, or how many and of which corpus."""

from dataclasses import replace
from pathlib import Path

import pytest

from engine.domain.components import ScoreSettings
from engine.domain.corpus import Pair
from engine.domain.jobs import (
    AnalyseRun,
    AskedPrompt,
    CheckRobustness,
    Compare,
    FindCircuits,
    FindExamples,
    Intervene,
    MeasureProbes,
    Request,
    Timelapse,
    Trace,
    Where,
    WhereProbes,
)
from engine.jobs import JobManager
from engine.jobs.titles import title_of
from engine.store import Store
from tests.store.artefacts import add_run, corpus

A, B = "one@base", "one@100%"
SIDES = {"a": A, "b": B}
TWO = tuple(AskedPrompt(prompt=prompt, answer="x") for prompt in ("the cat is", "the dog is"))


@pytest.fixture
def made(tmp_path: Path) -> Store:
    store = Store(tmp_path, bundled=None)
    add_run(store, "one")
    add_run(store, "two")
    add_run(store, "elsewhere", on=corpus("zoo"))
    return store


@pytest.mark.parametrize(
    ("request_", "title"),
    [
        (Where(**SIDES, prompt="The cat is"), "Find where training acted on “The cat is”, one@base to one@100%"),
        (WhereProbes(**SIDES, asked=TWO),
         "Find where training acted on 2 prompts of “words”, one@base to one@100%"),
        (WhereProbes(**SIDES, asked=TWO[:1]), "Find where training acted on “the cat is”, one@base to one@100%"),
        (WhereProbes(a=A, b="two@100%", asked=TWO),
         "Find where training acted on 2 prompts of “words”, one@base to two@100%"),
        (WhereProbes(a=A, b="elsewhere@100%", asked=TWO),
         "Find where training acted on 2 prompts, one@base to elsewhere@100%"),
        (WhereProbes(a=A, b="gone@100%", asked=TWO),
         "Find where training acted on 2 prompts of “words”, one@base to gone@100%"),
        (Compare(**SIDES, prompts=("The cat is",)), "Compare one@base with one@100% on “The cat is”"),
        (Compare(**SIDES, prompts=("a", "b", "c")), "Compare one@base with one@100% on 3 prompts of “words”"),
        (Trace(checkpoint=A, prompts=("The cat is",)), "Trace one@base on “The cat is”"),
        (FindExamples(checkpoint=B, prompt="The cat is"), "Find which examples taught one@100% on “The cat is”"),
        (FindExamples(checkpoint=B, constraint_type="simple_mapping"),
         "Find which examples taught one@100% on the type simple mapping"),
        (Timelapse(**SIDES, prompt="The cat is", checkpoints=(A,)),
         "Trace the time-lapse of one@base and one@100% on “The cat is”"),
        (Intervene(**SIDES, prompt="The cat is", features=("feature/0/1/2",)), "Ablate 1 feature on “The cat is”"),
        (AnalyseRun(run="one"), "Analyze one on up to 10 prompts of each type of “words”"),
        (FindCircuits(checkpoints=(A, B), pairs="sums"),
         "Find the circuits of one@base and 1 more with up to 100 pairs of “sums”"),
        (CheckRobustness(checkpoint=A, pairs="sums", settings=ScoreSettings(n_pairs=1)),
         "Check the circuit of one@base with up to 1 pair of “sums”"),
        (MeasureProbes(run="one"), "Probe one on the probes of “words”"),
        (MeasureProbes(run="one", corpus="other"), "Probe one on the probes of “other”"),
    ],
)  # fmt: skip
def test_titles(made: Store, request_: Request, title: str) -> None:
    assert title_of(request_, made) == title


@pytest.mark.parametrize(
    ("prompt", "shown"),
    [
        ("The capital of Zandoria is Paris. The capital of", "“The capital of Zandoria is Paris. The c…”"),
        ("x" * 40, f"“{'x' * 40}”"),
        ("x" * 41, f"“{'x' * 39}…”"),
        ("<b>two</b>\n  lines\tof *it*", "“<b>two</b> lines of *it*”"),  # a page escapes it
        ("turned \u202eround\x1b[31m", "“turned round [31m”"),
        ("word " * 100_000, "“word word word word word word word word…”"),
    ],
)
def test_a_prompt_is_cut_to_one_line(prompt: str, shown: str) -> None:
    assert title_of(Where(**SIDES, prompt=prompt)) == f"Find where training acted on {shown}, one@base to one@100%"


def test_an_imported_run_without_a_corpus_names_none(tmp_path: Path) -> None:
    made = Store(tmp_path, bundled=None)
    add_run(made, "one", on=corpus("none"))
    assert title_of(WhereProbes(**SIDES, asked=TWO), made).startswith(
        "Find where training acted on 2 prompts, one@base"
    )


def test_a_corpus_with_fewer_pairs_than_asked_for_has_them_counted(made: Store) -> None:
    pair = Pair(
        id="p", clean="2 plus 3 is", corrupted="2 minus 3 is", answer="5", corrupted_answer="1", constraint_type="sums"
    )
    made.save_corpus(replace(corpus("sums"), pairs=(pair, pair.model_copy(update={"id": "q"}))))
    assert title_of(FindCircuits(checkpoints=(A,), pairs="sums"), made).endswith(" with the 2 pairs of “sums”")
    few = CheckRobustness(checkpoint=A, pairs="sums", settings=ScoreSettings(n_pairs=1))
    assert title_of(few, made).endswith(" with up to 1 pair of “sums”")


def test_a_job_has_its_title(made: Store) -> None:
    manager = JobManager(made, run=lambda *_: "")
    job_id = manager.submit(AnalyseRun(run="one"))
    assert manager.job(job_id).title == "Analyze one on up to 10 prompts of each type of “words”"
    manager.close()
