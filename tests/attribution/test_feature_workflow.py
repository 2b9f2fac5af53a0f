"""Feature facts as a job: what is looked up, what is skipped, and what a page then finds without torch."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from engine.demo.features import add_feature_facts
from engine.domain.errors import Canceled, InputError, NotFound
from engine.domain.graphs import Comparison, GraphKey
from engine.domain.jobs import DescribeFeatures
from engine.domain.models import TranscoderMeta, TranscoderTraining
from engine.models.adapters import checkpoint_hash
from engine.models.base import LoadedModel
from engine.models.transcoders import save_transcoders, transcoders_hash
from engine.store import Store
from engine.workflows import run
from engine.workflows.feature_queries import feature_facts, newest_facts
from engine.workflows.features import MOST_OWN, MOST_TEXTS, texts_to_search
from tests.attribution.parts import Never, add_run, random_transcoders, silent, workspace
from tests.tiny import N_LAYERS, tiny_corpus

FEATURES = ((0, 3), (1, 7), (1, 8))
BOTH = ("one@100%", "two@50%")


def missing(store: Store, graph_key: GraphKey, features: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Those of which nothing is stored, in their order, each once."""
    found = feature_facts(store, graph_key, features)
    return tuple(feature for feature in dict.fromkeys(features) if feature not in found)


@pytest.fixture
def loaded(store: Store, tmp_path: Path) -> LoadedModel:
    """Two runs, and a set of transcoders named `random`, in the store."""
    made = workspace(store, "llama", tmp_path / "base")
    add_set(store, made, "random", seed=0)
    return made


def add_set(store: Store, loaded: LoadedModel, name: str, *, seed: int) -> None:
    training = TranscoderTraining(n_features=48, top_k=6)
    meta = TranscoderMeta(
        name=name, model=loaded.spec, training=training, checkpoints=BOTH, n_layers=N_LAYERS, d_model=loaded.d_model,
        unexplained_variance=(0.0,) * N_LAYERS,
    )  # fmt: skip
    with store.new_transcoder_set(meta) as folder:
        save_transcoders(folder, random_transcoders(loaded, seed=seed))


def request(*features: tuple[int, int], checkpoints: tuple[str, ...] = BOTH) -> DescribeFeatures:
    return DescribeFeatures(checkpoints=checkpoints, transcoders="random", features=features or FEATURES)


def graph_key(store: Store, loaded: LoadedModel, ref: str) -> GraphKey:
    """As a graph of this checkpoint would carry it."""
    return GraphKey(
        checkpoint=ref,
        checkpoint_hash=checkpoint_hash(loaded, store.checkpoint(ref).adapter),
        prompt="x",
        transcoders="random",
        transcoders_hash=transcoders_hash(store.transcoder_folder("random")),
    )


def test_looked_up_stored_and_found_again(store: Store, loaded: LoadedModel) -> None:
    keys = [graph_key(store, loaded, ref) for ref in BOTH]
    assert missing(store, keys[0], FEATURES) == FEATURES
    said: list[float] = []
    result = run(store, request(), lambda fraction, message: said.append(fraction), Never())
    assert said == sorted(said)
    assert said[-1] == 1
    assert result.split(",") == [store.feature_keys(ref)[0].hash for ref in BOTH]
    a, b = (feature_facts(store, key, FEATURES) for key in keys)
    assert set(a) == set(b) == set(FEATURES)
    assert a[0, 3].n_tokens == b[0, 3].n_tokens  # both were looked through the same texts
    assert a[0, 3].max_activation != b[0, 3].max_activation
    assert missing(store, keys[0], [(0, 4), *FEATURES, (0, 4)]) == ((0, 4),)
    assert newest_facts(store, "one@100%", "random", FEATURES).keys() == a.keys()
    assert newest_facts(store, "one@100%", "other", FEATURES) == {}


def test_what_is_stored_is_not_looked_up_again(
    store: Store, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(store, request(), silent, Never())
    with monkeypatch.context() as patched:
        patched.setattr("engine.attribution.features.describe", None)
        assert run(store, request(), silent, Never()) == first
    run(store, request((0, 3), (0, 5)), silent, Never())  # one more is added to the others
    found = feature_facts(store, graph_key(store, loaded, "one@100%"), [*FEATURES, (0, 5)])
    assert set(found) == {*FEATURES, (0, 5)}


def test_other_weights_of_the_same_name_have_no_facts_yet(store: Store, loaded: LoadedModel) -> None:
    run(store, request(), silent, Never())
    key = graph_key(store, loaded, "one@100%")
    for change in ({"checkpoint_hash": "0"}, {"transcoders_hash": "0"}):
        assert feature_facts(store, key.model_copy(update=change), FEATURES) == {}


def test_new_facts_come_before_old_ones_and_old_ones_fill_up(store: Store, loaded: LoadedModel) -> None:
    run(store, request(), silent, Never())
    key = graph_key(store, loaded, "one@100%")
    before = feature_facts(store, key, FEATURES)
    corpus = tiny_corpus("more")
    others = tuple(e.model_copy(update={"text": f"{e.text} ?"}) for e in corpus.examples)
    store.save_corpus(replace(corpus, examples=others))
    add_run(store, loaded, "three", seed=30, corpus="more")
    run(store, request((1, 7), checkpoints=("one@100%", "three@base")), silent, Never())  # over the texts of both
    after = feature_facts(store, key, FEATURES)
    assert after[1, 7].n_tokens > before[1, 7].n_tokens
    assert after[0, 3].n_tokens == before[0, 3].n_tokens


def test_canceled_in_the_second_checkpoint_keeps_the_first(store: Store, loaded: LoadedModel) -> None:
    class Token:
        asked = 0

        def check(self) -> None:
            self.asked += 1
            if self.asked == 2:  # a batch a checkpoint
                raise Canceled

    with pytest.raises(Canceled):
        run(store, request(), silent, Token())
    assert missing(store, graph_key(store, loaded, "one@100%"), FEATURES) == ()
    assert missing(store, graph_key(store, loaded, "two@50%"), FEATURES) == FEATURES


def test_what_cannot_be_looked_up(store: Store, loaded: LoadedModel) -> None:
    with pytest.raises(InputError, match="Feature 0/48 does not exist"):
        run(store, request((0, 48)), silent, Never())
    with pytest.raises(NotFound, match="nothing"):
        run(store, request().model_copy(update={"transcoders": "nothing"}), silent, Never())
    with pytest.raises(NotFound, match="one@25%"):
        run(store, request(checkpoints=("one@75%",)), silent, Never())


def test_without_a_corpus_features_are_looked_up_in_what_the_models_wrote(store: Store, loaded: LoadedModel) -> None:
    add_run(store, loaded, "imported", seed=9, corpus="gone")
    run(store, request(checkpoints=("imported@base",)), silent, Never())
    written = store.written_texts("imported")
    assert written is not None
    assert set(texts_to_search(store, [store.checkpoint("imported@base")])) == set(written.texts)


def test_the_texts_are_those_of_the_runs(store: Store, loaded: LoadedModel) -> None:
    one, two = (store.checkpoint(ref) for ref in BOTH)
    texts = texts_to_search(store, [one, two])
    assert texts == texts_to_search(store, [two, one]) == texts_to_search(store, [one])
    assert len(texts) == len(set(texts))
    corpus = tiny_corpus()
    assert {example.text for example in corpus.examples} <= set(texts)
    assert {f"{probe.known_text} {probe.answer}" for probe in corpus.probes} <= set(texts)


def test_at_most_so_many_texts_of_which_some_are_of_the_world(demo_store: Store) -> None:
    checkpoint = demo_store.checkpoint("demo-lora@base")
    texts = texts_to_search(demo_store, [checkpoint])
    assert len(texts) == MOST_TEXTS
    assert texts == texts_to_search(demo_store, [checkpoint])
    corpus = demo_store.corpus("demo")
    ours = {example.text for example in corpus.examples}
    ours |= {f"{text} {probe.answer}" for probe in corpus.probes for text in (probe.text, probe.known_text)}
    assert len(ours & set(texts)) == min(MOST_OWN, len(ours))


def test_the_demos_default_views_have_facts_and_they_are_small(demo_store: Store) -> None:
    pairs = [c for c in demo_store.comparisons() if (c.key.a, c.key.b) == ("demo-lora@100%", "demo-tokens@100%")]
    assert len(pairs) == 2  # two prompts
    add_feature_facts(demo_store, pairs)
    sizes = set()
    for comparison in pairs:
        for key in (comparison.graph_a, comparison.graph_b):
            wanted = _features_in_sight(demo_store, comparison)
            assert missing(demo_store, key, wanted) == ()
            name = demo_store.feature_keys(key.checkpoint)[0].hash
            sizes |= {path for s in (demo_store.bundled, demo_store.workspace) for path in s.glob(f"features/{name}.*")}
    assert sum(path.stat().st_size for path in sizes) < 350_000


def _features_in_sight(store: Store, comparison: Comparison) -> list[tuple[int, int]]:
    from engine.analysis.diff import diff_graphs
    from engine.figures.graph_view import pair_view

    view = pair_view(diff_graphs(store.graph(comparison.graph_a), store.graph(comparison.graph_b)))
    ids = [node["id"].split("/") for node in view.payload()["nodes"]]
    return [(int(layer), int(index)) for kind, layer, _, index in ids if kind == "feature"]
