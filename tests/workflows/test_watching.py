"""Looks at a run while it trains: what they measure, with which transcoders, and that a lost one comes out again."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.analysis.change import circuit_change
from engine.analysis.layers import layer_shares
from engine.analysis.noise_floor import noise_floor
from engine.analysis.overlap import meaning_overlap
from engine.analysis.prompt_circuits import prompt_circuit
from engine.analysis.watched import watched_probes
from engine.attribution.overlap import overlap_rows
from engine.attribution.targets import probe_targets
from engine.attribution.trace import trace_graph
from engine.domain.decisions import CircuitReading, DecisionSettings, RunDecisions
from engine.domain.errors import Canceled, NameRefused, NotFound
from engine.domain.graphs import GraphKey
from engine.domain.jobs import Trace, Train, TrainTranscoders
from engine.domain.runs import RunConfig
from engine.domain.series import SERIES_TRACING
from engine.models.base import LoadedModel
from engine.models.replacement import Replacement
from engine.models.transcoders import load_transcoders, save_transcoders
from engine.store import Store
from engine.workflows import run
from engine.workflows.learned import learned
from engine.workflows.loading import base_model, weights
from engine.workflows.watching import CircuitWatcher
from tests.attribution.parts import (
    BACKWARD_HOOK,
    PROMPT,
    SMALL,
    Never,
    add_run,
    random_transcoders,
    silent,
    workspace,
)
from tests.tiny import tiny_corpus

pytestmark = pytest.mark.filterwarnings(BACKWARD_HOOK)
NEVER_LOW = DecisionSettings(min_fit=0.0)
ALWAYS_LOW = DecisionSettings(min_fit=1.0, refresh_steps=6)
TIMES = {"trace_s": 0.0, "refresh_s": 0.0}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.workflows.watched_sets.SHARED_TRAINING", SMALL)


@pytest.fixture
def loaded(store: Store, tmp_path: Path) -> LoadedModel:
    return workspace(store, "llama", tmp_path / "base")


def watcher(store: Store, settings: DecisionSettings = NEVER_LOW, cancel=None, name: str = "one") -> CircuitWatcher:
    config = store.run(name).model_copy(update={"decisions": settings})
    return CircuitWatcher(store, config, cancel or Never())


def looks_at_all(store: Store, watching: CircuitWatcher, *, first: int = 0, name: str = "one") -> list[CircuitReading]:
    checkpoints = store.checkpoints(name)
    pairs = zip(checkpoints, [None, *checkpoints], strict=False)
    return [watching.take_reading(*pair) for pair in list(pairs)[first:]]


def without_times(reading: CircuitReading) -> CircuitReading:
    return reading.model_copy(update=TIMES)


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("trained again")


def circuits_by_hand(store: Store, step: int, transcoders: str) -> dict:
    """By type, traced here and now with a replacement model of its own."""
    loaded = base_model(store, store.run("one").model)
    replacement = Replacement(loaded, load_transcoders(store.transcoder_folder(transcoders), loaded))
    merged = weights(loaded, next(c for c in store.checkpoints("one") if c.step == step))
    found: dict = {}
    for probe in watched_probes(tiny_corpus(), "paraphrase", 4):
        key = GraphKey(
            checkpoint="", checkpoint_hash="", prompt=probe.text, transcoders="", transcoders_hash="",
            targets=probe_targets(loaded, probe), settings=SERIES_TRACING,
        )  # fmt: skip
        graph = trace_graph(replacement, key=key, merged=merged)
        found.setdefault(probe.constraint_type, []).append(prompt_circuit(probe, graph))
    inference = [probe for probe in tiny_corpus().probes if probe.kind == "inference"]
    return {"circuits": found, "rows": overlap_rows(replacement, merged, inference)}


def test_what_a_look_measures(store: Store, loaded: LoadedModel) -> None:
    first, second, *_ = looks_at_all(store, watcher(store))
    assert (first.step, second.step) == (0, 1)
    assert not first.refreshed
    assert first.refresh_s > 0 == second.refresh_s  # a set was trained on the base, once
    assert first.transcoders == second.transcoders == store.transcoder_sets()[0].name
    assert store.transcoder_sets()[0].checkpoints == ("one@base",)
    before, after = (circuits_by_hand(store, step, second.transcoders) for step in (0, 1))
    assert [one.constraint_type for one in second.types] == ["simple_mapping", "spatial_relationship"]
    for one in second.types:
        a, b = (side["circuits"][one.constraint_type] for side in (before, after))
        assert one.n_prompts == len(b) == 4
        assert one.fit == pytest.approx(np.mean([circuit.fit for circuit in b]))
        assert one.lowest_fit == min(circuit.fit for circuit in b)
        assert one.floor == noise_floor(b)
        assert one.change == circuit_change(a, b, (noise_floor(a), noise_floor(b)))
        assert one.change["influence"].value > 0
        assert one.layers == layer_shares(b)
        rows = after["rows"][one.constraint_type]
        overlaps = meaning_overlap(1, one.constraint_type, rows)[1:]  # the first is of all layers together
        assert one.own == pytest.approx([overlap.own for overlap in overlaps])
        assert one.other == pytest.approx([overlap.other for overlap in overlaps])
        assert len(one.own) == loaded.n_layers
    assert [one.change for one in first.types] == [{}, {}]
    assert all(one.floor for one in first.types)
    assert store.graph_keys() == []  # the numbers are kept, not the graphs


def test_a_second_run_uses_the_set_that_was_trained_on_the_base(
    store: Store, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = watcher(store).take_reading(store.checkpoints("one")[0], None)
    monkeypatch.setattr("engine.models.transcoder_training.train_transcoders", refuse)
    second = watcher(store, name="two").take_reading(store.checkpoints("two")[0], None)
    assert second.transcoders_hash == first.transcoders_hash
    assert second.types == first.types  # one base


def test_a_set_that_no_longer_fits_is_refreshed_for_both_sides(store: Store, loaded: LoadedModel) -> None:
    readings = looks_at_all(store, watcher(store, ALWAYS_LOW))
    assert all(reading.refreshed and reading.refresh_s > 0 for reading in readings)
    assert len({reading.transcoders for reading in readings}) == 4
    # Of its own sets only the last is left, beside the one of the base.
    names = sorted(meta.name for meta in store.transcoder_sets())
    assert names == sorted([next(n for n in names if n.startswith("base-")), readings[-1].transcoders])
    meta = store.transcoder_set(readings[-1].transcoders)
    assert meta.name.startswith("watch-one-")
    assert meta.name.endswith("-step4")
    # What came since the last refresh, the capture before (it is traced with the set too), and the base.
    assert meta.checkpoints == ("one@base", "one@50%", "one@100%")
    assert (meta.training.n_steps, meta.start) == (6, readings[-2].transcoders)
    before, after = (circuits_by_hand(store, step, meta.name)["circuits"] for step in (2, 4))
    for one in readings[-1].types:
        a, b = before[one.constraint_type], after[one.constraint_type]
        assert one.change == circuit_change(a, b, (noise_floor(a), noise_floor(b)))


def test_captures_between_two_refreshes_are_all_learned_from(store: Store, loaded: LoadedModel) -> None:
    base, one, two, four = store.checkpoints("one")
    calm = watcher(store)
    assert not calm.take_reading(base, None).refreshed
    assert not calm.take_reading(one, base).refreshed
    watching = watcher(store, ALWAYS_LOW)  # goes on with the set of the base
    seen = [
        store.transcoder_set(watching.take_reading(*pair).transcoders).checkpoints for pair in ((two, one), (four, two))
    ]
    assert seen == [("one@base", "one@25%", "one@50%"), ("one@base", "one@50%", "one@100%")]


def test_a_look_that_a_kill_lost_comes_out_again(
    store: Store, loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = looks_at_all(store, watcher(store, ALWAYS_LOW))
    # Killed after the set was stored: it is used, and not trained again.
    with monkeypatch.context() as patched:
        patched.setattr("engine.models.transcoder_training.train_transcoders", refuse)
        again = looks_at_all(store, watcher(store, ALWAYS_LOW), first=3)
    assert without_times(again[0]) == without_times(readings[3])
    assert again[0].refreshed


def test_a_look_that_was_never_begun_goes_on_from_the_set_of_the_look_before(store: Store, loaded: LoadedModel) -> None:
    whole = looks_at_all(store, watcher(store, ALWAYS_LOW))
    last = store.transcoder_set(whole[-1].transcoders)
    store.delete_transcoder_set(last.name)
    # The set of the look before was removed when it was superseded: bring the run to where it was killed.
    watching, checkpoints = watcher(store, ALWAYS_LOW), store.checkpoints("one")
    readings = [watching.take_reading(*pair) for pair in zip(checkpoints[:3], [None, *checkpoints[:2]], strict=True)]
    assert [without_times(reading) for reading in readings] == [without_times(reading) for reading in whole[:3]]
    store.save_decisions("one", RunDecisions(readings=tuple(readings)))
    # A better set of the same model turns up meanwhile; the run keeps to its own.
    better = TrainTranscoders(name="better", checkpoints=("one@base",), training=SMALL.model_copy(update={"seed": 4}))
    run(store, better, silent, Never())
    resumed = watcher(store, ALWAYS_LOW).take_reading(checkpoints[3], checkpoints[2])
    assert without_times(resumed) == without_times(whole[3])


def test_a_set_that_graphs_were_traced_with_is_kept(store: Store, loaded: LoadedModel) -> None:
    watching, (base, one, two, _) = watcher(store, ALWAYS_LOW), store.checkpoints("one")
    used = watching.take_reading(one, base).transcoders
    run(store, Trace(checkpoint="one@25%", prompts=(PROMPT,), transcoders=used), silent, Never())
    watching.take_reading(two, one)
    assert used in {meta.name for meta in store.transcoder_sets()}


def test_a_name_left_by_a_deleted_run_is_taken_over(store: Store, loaded: LoadedModel) -> None:
    base, one, *_ = store.checkpoints("one")
    first = watcher(store, ALWAYS_LOW).take_reading(one, base)
    store.delete_run("one")
    assert "one@25%" not in store.transcoder_set(first.transcoders).checkpoints
    add_run(store, loaded, "one", seed=10)
    again = watcher(store, ALWAYS_LOW).take_reading(one, base)
    assert without_times(again) == without_times(first)


def test_without_refreshing_the_low_fit_is_told(store: Store, loaded: LoadedModel) -> None:
    settings = ALWAYS_LOW.model_copy(update={"refresh_steps": 0})
    readings = looks_at_all(store, watcher(store, settings))
    assert not any(reading.refreshed for reading in readings)
    assert len({reading.transcoders for reading in readings}) == 1
    assert all(one.fit < 1 for reading in readings for one in reading.types)


def test_a_published_set_is_never_refreshed(store: Store, loaded: LoadedModel, tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    save_transcoders(given, random_transcoders(loaded))
    config = "model_kind: transcoder_set\nfeature_input_hook: mlp.hook_in\nfeature_output_hook: mlp.hook_out\n"
    (given / "config.yaml").write_text(config, encoding="utf-8")
    spec = loaded.spec.model_copy(update={"transcoders": str(given), "name": "with-own"})
    add_run(store, LoadedModel(**{**vars(loaded), "spec": spec}), "three", seed=30)
    readings = looks_at_all(store, watcher(store, ALWAYS_LOW, name="three"), name="three")
    assert {reading.transcoders for reading in readings} == {str(given)}
    assert not any(reading.refreshed or reading.refresh_s > 0.5 for reading in readings)
    assert store.transcoder_sets() == []


def test_it_is_canceled_between_prompts(store: Store, loaded: LoadedModel) -> None:
    class Token:
        asked = 0

        def check(self) -> None:
            self.asked += 1
            if self.asked == 3:
                raise Canceled

    base = store.checkpoints("one")[0]
    watcher(store).take_reading(base, None)  # its set is there now
    token, traced = Token(), []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            "engine.attribution.trace.trace_graph", lambda *a, **k: traced.append(k) or trace_graph(*a, **k)
        )
        with pytest.raises(Canceled):
            watcher(store, cancel=token).take_reading(base, None)
    assert len(traced) == 2


def test_probes_that_cannot_be_traced_are_left_out(store: Store, loaded: LoadedModel) -> None:
    corpus = tiny_corpus()
    changed = tuple(
        probe.model_copy(update={"template": "another {w} phrasing"})
        if (probe.kind, probe.constraint_type) == ("paraphrase", "simple_mapping")
        else probe
        for probe in corpus.probes
    )
    store.save_corpus(replace(corpus, name="odd", probes=changed))
    add_run(store, loaded, "four", seed=40, corpus="odd")
    base, one, *_ = store.checkpoints("four")
    reading = watcher(store, name="four").take_reading(one, base)
    assert [one.constraint_type for one in reading.types] == ["spatial_relationship"]
    retention = watcher(store, DecisionSettings(probe_kind="retention", min_fit=0.0), name="four").take_reading(
        one, base
    )
    assert [(t.n_prompts, bool(t.change)) for t in retention.types] == [(2, True), (2, True)]
    assert all(t.own for t in retention.types)  # overlap is measured on the inference probes


def test_a_corpus_without_such_probes_gives_an_empty_look(store: Store, loaded: LoadedModel) -> None:
    corpus = tiny_corpus()
    only = tuple(probe for probe in corpus.probes if probe.kind == "recall")
    store.save_corpus(replace(corpus, name="few", probes=only))
    add_run(store, loaded, "five", seed=50, corpus="few")
    reading = watcher(store, ALWAYS_LOW, name="five").take_reading(store.checkpoints("five")[0], None)
    assert (reading.types, reading.refreshed) == ((), False)


def test_beside_a_training_thread_nothing_moves(store: Store, tmp_path: Path, loaded: LoadedModel) -> None:
    """A real run, watched while it trains, beside one that is not, and looked at once more when it is over."""
    kept = base_model(store, loaded.spec)

    def bits() -> str:
        tensors = kept.model.state_dict().values()
        return hashlib.sha256(b"".join(t.detach().numpy().tobytes() for t in tensors)).hexdigest()

    before = bits()
    settings = {"model": loaded.spec, "corpus": "tiny", "n_steps": 9, "capture": (), "capture_every": 3}
    settings |= {"learning_rate": 0.02, "decisions": ALWAYS_LOW}
    for name, watch in (("plain", False), ("watched", True)):
        run(store, Train(config=RunConfig(name=name, watch=watch, **settings)), silent, Never())
    assert bits() == before
    adapters = [
        [(c.folder / "adapter_model.safetensors").read_bytes() for c in store.checkpoints(name)[1:]]
        for name in ("plain", "watched")
    ]
    assert adapters[0] == adapters[1]
    readings = store.decisions("watched").readings
    assert [reading.step for reading in readings] == [0, 3, 6, 9]
    followed = learned(store, "watched", "paraphrase", ALWAYS_LOW.n_prompts)  # stored as the run trained
    assert (followed.steps, followed.missing) == ((0, 3, 6, 9), ())
    assert followed.means["simple_mapping"].step_changes.shape == (2, 3)
    assert not learned(store, "plain", "paraphrase").means
    store.delete_transcoder_set(readings[-1].transcoders)
    store.save_decisions("watched", RunDecisions())
    again = looks_at_all(store, watcher(store, ALWAYS_LOW, name="watched"), name="watched")
    assert [without_times(reading) for reading in again] == [without_times(reading) for reading in readings]


def test_removing_a_set(demo_store: Store) -> None:
    with pytest.raises(NotFound, match="no-such"):
        demo_store.delete_transcoder_set("no-such")
    with pytest.raises(NameRefused, match="bundled demo"):
        demo_store.delete_transcoder_set("demo-shared")
