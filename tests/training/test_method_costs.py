"""What each method's checkpoints tell of its costs, and that all that reads checkpoints reads every method's."""

import sys
from typing import Any

import pytest
import torch

from engine.domain.components import ScoreSettings
from engine.domain.errors import InputError
from engine.domain.jobs import MeasureProbes
from engine.domain.methods import MethodSettings
from engine.domain.models import ModelSpec
from engine.models.adapters import merged_weights
from engine.models.base import encode, load_base
from engine.models.kept_answers import ANSWERS, _looked_at, check_answers
from engine.models.replacement import Replacement
from engine.models.sharing import checkpoint_model
from engine.store import Store
from engine.training.fine_tune import fine_tune
from engine.training.memory import PeakMemory
from engine.training.methods import METHODS
from engine.workflows.probing import probe
from tests.attribution.parts import random_transcoders
from tests.tiny import tiny_corpus
from tests.training.conftest import Never, quiet, run_config

SMALL = MethodSettings(n_edges=10, critical_layers=(0,), scoring=ScoreSettings(n_pairs=4, n_steps=2, n_groups=1))
SHORT = {"n_steps": 3, "capture": (1.0,), "method_settings": SMALL}


@pytest.fixture(scope="module")
def trained(llama: ModelSpec, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One run a method, of its name."""
    store = Store(tmp_path_factory.mktemp("trained") / "workspace", bundled=None)
    store.save_corpus(tiny_corpus())
    for method in METHODS:
        fine_tune(store, run_config(llama, method.replace("_", "-"), method=method, **SHORT), quiet, Never())
    return store


@pytest.mark.parametrize("method", METHODS)
def test_what_it_trained_and_took_is_counted(trained: Store, llama: ModelSpec, method: str) -> None:
    run = method.replace("_", "-")
    base, last = (trained.checkpoint(f"{run}@{label}").state for label in ("base", "100%"))
    assert (base.n_trainable, base.n_moved, base.peak_bytes) == (0, None, None)
    assert last.peak_bytes is not None
    assert last.peak_bytes >= 0
    assert last.n_moved is not None
    assert 0 < last.n_moved <= last.n_trainable
    if method in ("lora", "ia3"):  # AdamW moves whatever has a gradient
        assert last.n_moved == last.n_trainable
    if method == "full":
        assert last.n_trainable == sum(p.numel() for p in load_base(llama).model.parameters())
        assert last.n_moved < last.n_trainable  # embeddings of words that never came


@pytest.mark.parametrize("method", METHODS)
def test_what_is_measured_again_is_the_same(trained: Store, method: str) -> None:
    run = method.replace("_", "-")
    before = trained.probe_results(run)
    assert list(before) == [0, 3]
    probe(trained, MeasureProbes(run=run), quiet, Never())
    assert trained.probe_results(run) == before


@pytest.mark.parametrize("method", METHODS)
def test_what_is_loaded_answers_as_it_did_when_it_was_saved(trained: Store, llama: ModelSpec, method: str) -> None:
    loaded, folder = load_base(llama), trained.checkpoint(f"{method.replace('_', '-')}@100%").folder
    assert (folder / ANSWERS).is_file()
    check_answers(folder, checkpoint_model(loaded, folder))
    _looked_at.clear()
    with pytest.raises(InputError, match="answers otherwise"):
        check_answers(folder, loaded.model)


def test_at_learning_rate_0_nothing_moves(taught: Store, config: Any) -> None:
    for method in ("lora", "adalora", "ia3", "full", "circuit_tuning"):
        run = method.replace("_", "-")
        fine_tune(taught, config(run, method=method, learning_rate=0.0, **SHORT), quiet, Never())
        assert taught.checkpoint(f"{run}@100%").state.n_moved == 0
        first, last = taught.probe_results(run).values()
        assert first == last


@torch.no_grad()
def test_every_methods_checkpoints_are_traced_and_the_base_stays_as_it_is(trained: Store, llama: ModelSpec) -> None:
    loaded = load_base(llama)
    replacement = Replacement(loaded, random_transcoders(loaded))
    ids = encode(loaded, "the cat is blarf")
    weights = {name: value.clone() for name, value in loaded.model.state_dict().items()}
    with replacement.opened(None) as model:
        before = model.logits(ids[0])[0]
    for method in METHODS:
        adapter = trained.checkpoint(f"{method.replace('_', '-')}@100%").adapter
        wanted = merged_weights(loaded, adapter)(ids).logits[0, -1]
        with replacement.opened(checkpoint_model(loaded, adapter)) as model:
            found = model.logits(ids[0])[0]
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
        assert not torch.equal(found, before)
    assert all(torch.equal(value, weights[name]) for name, value in loaded.model.state_dict().items())


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.json"])
def test_a_check_reads_trained_weights(taught: Store, config: Any, name: str) -> None:
    fine_tune(taught, config("run", method="full", **SHORT), quiet, Never())
    assert taught.check() == []
    path = taught.checkpoint("run@100%").folder / name
    path.write_bytes(path.read_bytes()[:20])
    assert [problem.path for problem in taught.check()] == [path]


def test_peak_memory_is_above_the_start_and_keeps_an_earlier_one() -> None:
    with PeakMemory(torch.device("cpu")) as memory:
        held = torch.ones(16 << 20)  # 64 MB, written
        assert memory.peak() >= 50e6
        del held
        assert memory.peak() >= 50e6
        memory.count(10**12)
    assert memory.peak() == 10**12


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc can be asked to give back what was freed")
def test_what_an_earlier_run_freed_counts_again() -> None:
    for _ in range(2):
        with PeakMemory(torch.device("cpu")) as memory:
            held = [torch.ones(1 << 14) for _ in range(1000)]  # 64 MB in blocks that stay in the process when freed
            assert memory.peak() >= 50e6
            del held
