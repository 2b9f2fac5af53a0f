"""One run of a study on the bundled model, as a worker does it."""

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from engine.domain.corpus import Corpus
from engine.domain.errors import Canceled, InputError
from engine.domain.jobs import CancelToken, Train
from engine.domain.runs import RunConfig
from engine.domain.studies import Grid, RunOutcome, StudyRun, StudySpec
from engine.jobs import run_inline
from engine.store import Store
from engine.studies.one import CorpusTexts, do_run
from engine.studies.spec import study_runs
from engine.workflows.changes import captures_of
from tests.studies.fake_runs import Never


class Already:
    def check(self) -> None:
        raise Canceled


class Looking:
    """Never set; remembers what lay in the temporary folder meanwhile."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path, self.seen = tmp_path, 0

    def check(self) -> None:
        self.seen = max(self.seen, len(left_in(self.tmp_path)))


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


def left_in(tmp_path: Path) -> list[Path]:
    """Workspaces that were not thrown away (torch leaves a folder of its own)."""
    return list((tmp_path / "temporary").glob("tracelapse-*"))


def few_probes(corpus: Corpus, name: str = "few") -> Corpus:
    """The bundled corpus with the first two probes of each word and kind."""
    return replace(corpus, name=name, probes=tuple(p for p in corpus.probes if p.id.endswith(("-1", "-2"))))


def done(config: RunConfig, corpus: Corpus, cancel: CancelToken) -> RunOutcome:
    texts = CorpusTexts(jsonl={corpus.name: corpus.to_jsonl()})
    return RunOutcome.model_validate_json(
        do_run(StudyRun(config=config).model_dump_json(), texts.model_dump_json(), cancel)
    )


def config_for(corpus: Corpus) -> RunConfig:
    spec = StudySpec(name="x", n_steps=4, capture_every=2, grids=(Grid(corpora=(corpus.name,), seeds=(3,)),))
    return study_runs(spec)[0].config.model_copy(update={"corpus_hash": corpus.hash})


def test_it_is_the_run_that_the_command_line_would_do(demo_store: Store, tmp_path: Path) -> None:
    corpus = few_probes(demo_store.corpus("demo"))
    config = config_for(corpus)
    n_threads = torch.get_num_threads()
    looking = Looking(tmp_path)
    outcome = done(config, corpus, looking)
    assert looking.seen == 1
    demo_store.save_corpus(corpus)
    run_inline(demo_store, Train(config=config), on_progress=lambda *_: None)
    assert outcome.captures == captures_of(demo_store, config.name)
    assert [capture.step for capture in outcome.captures] == [0, 2, 4]
    assert (outcome.config, outcome.n_steps, outcome.stopped_at) == (config, 4, None)
    assert outcome.train_s > 0
    assert {"torch", "tracelapse"} <= set(outcome.versions)
    assert left_in(tmp_path) == []
    assert torch.get_num_threads() == n_threads


def test_the_bundled_corpus_goes_in_under_its_own_name(demo_store: Store) -> None:
    corpus = few_probes(demo_store.corpus("demo"), "demo")
    outcome = done(config_for(corpus), corpus, Never())
    assert sum(score.n for score in outcome.captures[0].scores) == len(corpus.probes)


def test_another_corpus_than_the_config_names_is_refused(demo_store: Store, tmp_path: Path) -> None:
    corpus = few_probes(demo_store.corpus("demo"))
    config = config_for(corpus).model_copy(update={"corpus_hash": "0" * 16})
    with pytest.raises(InputError, match="changed"):
        done(config, corpus, Never())
    assert left_in(tmp_path) == []


def test_canceled_it_leaves_nothing(demo_store: Store, tmp_path: Path) -> None:
    corpus = few_probes(demo_store.corpus("demo"))
    with pytest.raises(Canceled):
        done(config_for(corpus), corpus, Already())
    assert left_in(tmp_path) == []
