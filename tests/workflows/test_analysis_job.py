"""The analysis of a run: whole, kept as it grows, not done twice, and refused where there is nothing to have."""

from dataclasses import replace
from pathlib import Path

import pytest

from engine.domain.errors import Canceled, InputError, NotFound
from engine.domain.jobs import AnalyseRun
from engine.models.base import LoadedModel
from engine.store import Store
from engine.workflows import run
from engine.workflows.changes import changes_of, latest_series, series_circuits
from tests.attribution.parts import BACKWARD_HOOK, SMALL, Never, add_run, silent, workspace
from tests.tiny import tiny_corpus
from tests.training.conftest import After

pytestmark = pytest.mark.filterwarnings(BACKWARD_HOOK)
REQUEST = AnalyseRun(run="one", n_prompts=2)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.workflows.transcoders.SHARED_TRAINING", SMALL)


@pytest.fixture
def loaded(store: Store, tmp_path: Path) -> LoadedModel:
    return workspace(store, "llama", tmp_path / "base")


def test_all_checkpoints_on_the_same_probes_with_one_set(store: Store, loaded: LoadedModel) -> None:
    said: list[float] = []
    made = run(store, REQUEST, lambda fraction, _: said.append(fraction), Never())
    series = latest_series(store, "one")
    assert series is not None
    assert series.key.hash == made
    assert [step for step, _ in series.key.checkpoints] == [0, 1, 2, 4]
    # One word of each type, in its one phrasing with two nouns.
    assert series.key.probes == tuple(
        f"{word}-paraphrase-{noun}" for word in ("blarf", "glide") for noun in ("king", "queen")
    )
    assert series.key.transcoders.startswith("shared-one-")
    assert [(graph.step, graph.probe_id) for graph in series.graphs] == [
        (step, probe) for step in (0, 1, 2, 4) for probe in series.key.probes
    ]
    graphs = [store.graph_named(one.graph) for one in series.graphs]
    assert len({graph.key.transcoders_hash for graph in graphs}) == 1
    for probe in range(4):
        assert len({graph.key.targets for graph in graphs[probe::4]}) == 1  # the same outputs at every checkpoint
    # Layers 0 and 1 and both together, of two types, at four checkpoints.
    assert sorted({one.layer for one in series.overlap}) == [-1, 0, 1]
    assert len(series.overlap) == 3 * 2 * 4
    assert [(one.step, one.constraint_type, one.n_prompts, one.n_draws) for one in series.causal] == [
        (step, name, 2, 3) for step in (0, 1, 2, 4) for name in ("simple_mapping", "spatial_relationship")
    ]
    assert all(0 < one.n_others <= one.n_features for one in series.causal)
    assert said == sorted(said)
    assert (said[0], said[-1]) == (0.0, 1.0)
    assert [len(side) for side in series_circuits(store, series).values()] == [4] * 4
    assert not changes_of(store, series).changes.empty


def test_what_is_there_is_not_made_again(store: Store, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    made = run(store, REQUEST, silent, Never())
    before = store.series("one")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("done again")

    for name in (
        "attribution.trace.trace_prompt",
        "attribution.causal.causal_check",
        "attribution.overlap.overlap_rows",
    ):
        monkeypatch.setattr(f"engine.{name}", refuse)
    assert run(store, REQUEST, silent, Never()) == made
    assert store.series("one") == before


def test_a_canceled_one_keeps_what_it_has_and_goes_on_to_the_same_end(store: Store, loaded: LoadedModel) -> None:
    whole_hash = run(store, REQUEST, silent, Never())
    whole = store.series("one")[0]
    for graph in store.graph_keys():
        (store.workspace / "graphs" / f"{graph.hash}.safetensors").unlink()
    (store.workspace / "series" / f"{whole_hash}.json").unlink()
    store.sync()
    sizes = []
    # A checkpoint asks before each of 4 graphs (of one that is traced, twice more: once its features are known, and
    # behind its one batch of rows), before the overlap, and before each of 4 circuits is switched off.
    for n in (7, 11, 16):
        with pytest.raises(Canceled):
            run(store, REQUEST, silent, After(n))
        (kept,) = store.series("one")
        sizes.append((len(kept.graphs), len(kept.overlap), len(kept.causal)))
        assert set(kept.graphs) <= set(whole.graphs)
        assert set(kept.overlap) <= set(whole.overlap)
    assert sizes == [(2, 0, 0), (4, 6, 0), (6, 6, 2)]
    assert run(store, REQUEST, silent, Never()) == whole_hash
    assert store.series("one") == [whole]


def test_a_damaged_graph_is_traced_again(store: Store, loaded: LoadedModel) -> None:
    run(store, REQUEST, silent, Never())
    (series,) = store.series("one")
    path = store.workspace / "graphs" / f"{series.graphs[5].graph}.safetensors"
    path.write_bytes(path.read_bytes()[:99])
    assert sum(map(len, series_circuits(store, series).values())) == 15
    run(store, REQUEST, silent, Never())
    assert sum(map(len, series_circuits(store, series).values())) == 16


def test_a_run_with_the_base_alone(store: Store, loaded: LoadedModel) -> None:
    add_run(store, loaded, "begun", seed=1, steps=(0, 4))
    (store.checkpoints("begun")[1].folder / "state.json").unlink()
    store.sync()
    run(store, AnalyseRun(run="begun", n_prompts=1), silent, Never())
    series = latest_series(store, "begun")
    assert series is not None
    assert [step for step, _ in series.key.checkpoints] == [0]
    assert changes_of(store, series).notes  # says that one checkpoint is no change


def test_probes_that_the_model_cannot_take_are_left_out(store: Store, loaded: LoadedModel) -> None:
    corpus = tiny_corpus()
    mixed = tuple(
        probe.model_copy(update={"answer": "two words"}) if probe.id == "blarf-paraphrase-king" else probe
        for probe in corpus.probes
    )
    store.save_corpus(replace(corpus, name="mixed", probes=mixed))
    add_run(store, loaded, "three", seed=30, corpus="mixed")
    run(store, AnalyseRun(run="three", n_prompts=2), silent, Never())
    series = latest_series(store, "three")
    assert series is not None
    assert series.key.probes == ("blarf-paraphrase-queen", "glide-paraphrase-king", "glide-paraphrase-queen")
    assert {one.constraint_type: one.n_prompts for one in series.causal} == {
        "simple_mapping": 1,
        "spatial_relationship": 2,
    }


@pytest.mark.parametrize(
    ("probes", "message"),
    [
        ([], r"“odd” of “three” has no probes of the kind “paraphrase”.*It has none at all"),
        ([{"kind": "recall"}], r"no probes of the kind “paraphrase”.*It has: recall\. Choose one of these"),
        ([{"text": "the qwertz"}], r"None of the 1 probes.*can be traced.*The first: The model does not know “qwertz”"),
        ([{"template": "a {w}"}], r"None of the 1 probes.*does not follow its template"),
        ([{"answer": "two words"}], r"None of the 1 probes.*The answer “two words” of probe.*another answer"),
    ],
)
def test_where_there_is_nothing_to_trace(
    store: Store, loaded: LoadedModel, probes: list[dict[str, str]], message: str
) -> None:
    corpus = tiny_corpus()
    first = next(probe for probe in corpus.probes if probe.kind == "paraphrase")
    given = tuple(first.model_copy(update=change) for change in probes)
    store.save_corpus(replace(corpus, name="odd", probes=given))
    add_run(store, loaded, "three", seed=30, corpus="odd")
    with pytest.raises(InputError, match=message):
        run(store, AnalyseRun(run="three", n_prompts=2), silent, Never())
    assert store.series("three") == []


def test_a_run_or_a_set_or_a_corpus_that_is_not_there(store: Store, loaded: LoadedModel) -> None:
    with pytest.raises(NotFound, match="nobody"):
        run(store, AnalyseRun(run="nobody"), silent, Never())
    with pytest.raises(NotFound, match="no-such"):
        run(store, AnalyseRun(run="one", transcoders="no-such"), silent, Never())
    add_run(store, loaded, "alone", seed=60, corpus="gone")
    with pytest.raises(InputError, match="corpus “gone” of the run “alone” is not here"):
        run(store, AnalyseRun(run="alone"), silent, Never())
