"""Circuit-tuning: which parameters a step moves, momentum that waits, the schedule, resume, what is refused."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, GPTNeoXConfig, LlamaConfig, PreTrainedModel

from engine.components.parameters import NodeParameters
from engine.domain.components import Circuit, ComponentShape
from engine.domain.errors import Canceled, Damaged, InputError
from engine.domain.methods import MethodSettings
from engine.domain.models import ModelSpec
from engine.models.base import load_base
from engine.store import Store
from engine.training.fine_tune import fine_tune
from engine.training.methods import METHODS, circuit_tuning
from engine.training.methods.circuit_tuning import CircuitTuningSteps, edges_at
from engine.training.resume import read_point, write_point
from tests.tiny import tiny_corpus
from tests.training.conftest import After, Never, quiet, run_config, weights_hash

D, HEADS, D_HEAD, D_MLP = 16, 4, 4, 24
SHAPE = {
    "vocab_size": 20, "hidden_size": D, "intermediate_size": D_MLP, "num_hidden_layers": 2, "initializer_range": 0.3,
    "num_attention_heads": HEADS, "max_position_embeddings": 16, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
CONFIGS: dict[str, Callable[[], Any]] = {
    "llama": lambda: LlamaConfig(**SHAPE, num_key_value_heads=4, head_dim=D_HEAD),
    "grouped": lambda: LlamaConfig(**SHAPE, num_key_value_heads=2, head_dim=D_HEAD),
    "neox": lambda: GPTNeoXConfig(**SHAPE, rotary_pct=0.5),
}
BATCH = {
    "input_ids": torch.tensor([[1, 5, 6, 7, 8, 2], [1, 9, 10, 11, 12, 2]]),
    "attention_mask": torch.ones(2, 6, dtype=torch.int64),
    "labels": torch.tensor([[-100, 5, 6, 7, 8, 2], [-100, 9, 10, 11, 12, 2]]),
}


def model_of(kind: str) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return AutoModelForCausalLM.from_config(CONFIGS[kind]()).eval()


def circuit(shape: ComponentShape, *, sources: list[int] = (), inputs: list[int] = ()) -> Circuit:  # type: ignore[assignment]
    """The input feeds the inputs, the sources feed the logits: neither end owns weights."""
    edges = np.zeros((shape.n_inputs, shape.n_sources), dtype=bool)
    edges[list(inputs), 0] = True
    edges[shape.logits_input, list(sources)] = True
    return Circuit(shape, edges)


# What is kept -> name of a weight -> the rows (or columns) that belong to it, by hand. Head h is 4 h to 4 h + 3.
LLAMA = "model.layers.{}.self_attn.{}_proj.weight"
MLP = "model.layers.{}.mlp.{}_proj.weight"
NEOX, NEOX_MLP = "gpt_neox.layers.{}.attention.{}.weight", "gpt_neox.layers.{}.mlp.dense_{}.weight"
ROWS, COLUMNS, ALL = 0, 1, None
CASES: dict[str, tuple[str, Callable[[ComponentShape], Circuit], dict[str, tuple[int, list[int]] | None]]] = {
    "several heads of one layer": (
        "llama",
        lambda s: circuit(s, sources=[s.head_source(1, 0), s.head_source(1, 2), s.head_source(1, 3)]),
        {LLAMA.format(1, "o"): (COLUMNS, [0, 1, 2, 3, *range(8, 16)])},
    ),
    "heads of two layers and q, k, v of different heads": (
        "llama",
        lambda s: circuit(
            s, sources=[s.head_source(0, 1)],
            inputs=[s.head_input(1, 0, 0), s.head_input(1, 3, 0), s.head_input(1, 1, 1), s.head_input(0, 2, 2)],
        ),
        {
            LLAMA.format(0, "o"): (COLUMNS, [4, 5, 6, 7]), LLAMA.format(1, "q"): (ROWS, [0, 1, 2, 3, 12, 13, 14, 15]),
            LLAMA.format(1, "k"): (ROWS, [4, 5, 6, 7]), LLAMA.format(0, "v"): (ROWS, [8, 9, 10, 11]),
        },
    ),
    "an MLP that writes and one that reads": (
        "llama",
        lambda s: circuit(s, sources=[s.mlp_source(0)], inputs=[s.mlp_input(1)]),
        {MLP.format(0, "down"): ALL, MLP.format(1, "gate"): ALL, MLP.format(1, "up"): ALL},
    ),
    "heads that share a k and a v": (
        "grouped",
        lambda s: circuit(
            s, sources=[s.head_source(0, 3)],
            inputs=[s.head_input(0, 3, 0), s.head_input(0, 3, 1), s.head_input(1, 0, 2), s.head_input(1, 1, 2)],
        ),
        {
            LLAMA.format(0, "o"): (COLUMNS, [12, 13, 14, 15]), LLAMA.format(0, "q"): (ROWS, [12, 13, 14, 15]),
            LLAMA.format(0, "k"): (ROWS, [4, 5, 6, 7]), LLAMA.format(1, "v"): (ROWS, [0, 1, 2, 3]),
        },
    ),
    "q, k and v in one matrix": (
        "neox",  # head h begins at row 12 h with its q, then k, then v
        lambda s: circuit(
            s, sources=[s.head_source(0, 1), s.head_source(0, 2), s.mlp_source(1)],
            inputs=[s.head_input(0, 0, 0), s.head_input(0, 2, 1), s.head_input(0, 3, 2), s.mlp_input(0)],
        ),
        {
            NEOX.format(0, "dense"): (COLUMNS, [*range(4, 12)]), NEOX_MLP.format(1, "4h_to_h"): ALL,
            NEOX.format(0, "query_key_value"): (ROWS, [0, 1, 2, 3, 28, 29, 30, 31, 44, 45, 46, 47]),
            NEOX_MLP.format(0, "h_to_4h"): ALL,
        },
    ),
    "nothing that has weights": ("llama", lambda s: circuit(s, sources=[0]), {}),
}  # fmt: skip


class Stepper:
    """A model that is trained step by step on chosen circuits."""

    def __init__(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.model, self.monkeypatch = model_of(kind), monkeypatch
        self.shape = NodeParameters(self.model).shape
        asked = run_config(ModelSpec(name="t", source="bundled"), method_settings=MethodSettings(discover_every=1))
        METHODS["circuit_tuning"].attach(self.model, asked, None, tiny_corpus())  # type: ignore[arg-type]
        self.steps = CircuitTuningSteps(self.model, asked)
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer, self.n = torch.optim.AdamW(trained, lr=0.01, weight_decay=0.0), 0

    def step(self, chosen: Circuit) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """All parameters before and after a step on this circuit."""
        self.n += 1
        self.monkeypatch.setattr(circuit_tuning, "mean_ablation_scores", lambda *_: chosen.edges.astype(np.float32))
        self.monkeypatch.setattr(circuit_tuning, "edges_at", lambda *_: chosen.n_edges)
        before = {name: p.detach().clone() for name, p in self.model.named_parameters()}
        self.steps.before(self.n, BATCH)
        self.model(**BATCH).loss.backward()
        self.steps.before_update(self.n, self.optimizer)
        self.optimizer.step()
        self.steps.after_update(self.n)
        self.optimizer.zero_grad()
        return before, {name: p.detach().clone() for name, p in self.model.named_parameters()}


def everything(shape: ComponentShape) -> Circuit:
    return Circuit(shape, shape.edge_mask())


@pytest.mark.parametrize("first", ["at once", "after a step of all"])
@pytest.mark.parametrize("case", CASES)
def test_exactly_the_parameters_of_kept_nodes_move(case: str, first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, make, expected = CASES[case]
    stepper = Stepper(kind, monkeypatch)
    if first != "at once":  # so that AdamW has momentum everywhere
        stepper.step(everything(stepper.shape))
    before, after = stepper.step(make(stepper.shape))
    for name, old in before.items():
        moved = after[name] != old
        wanted = torch.zeros_like(moved)
        if name in expected:
            where = expected[name]
            if where is ALL:
                wanted[:] = True
            else:
                wanted.index_fill_(where[0], torch.tensor(where[1]), True)
        assert torch.equal(moved, wanted), name
    total = sum(p.numel() for p in after.values())
    moved_share = sum(int((after[name] != before[name]).sum()) for name in after) / total
    assert stepper.steps.log.share[-1] == pytest.approx(moved_share)


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_whole_graph_moves_all_weights_of_nodes_and_nothing_else(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stepper = Stepper(kind, monkeypatch)
    before, after = stepper.step(everything(stepper.shape))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == set(NodeParameters(stepper.model).names)
    assert not any("embed" in name or "norm" in name or "bias" in name or "lm_head" in name for name in moved)


def test_the_momentum_of_what_is_held_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that is left out for a step goes on as if that step had not been: as far as its moments tell."""
    stepper = Stepper("llama", monkeypatch)
    shape = stepper.shape
    stepper.step(everything(shape))
    weight = stepper.model.get_parameter(LLAMA.format(1, "o"))
    moments = {key: stepper.optimizer.state[weight][key].clone() for key in ("exp_avg", "exp_avg_sq")}
    stepper.step(circuit(shape, sources=[shape.head_source(1, 0)]))
    for key, old in moments.items():
        new = stepper.optimizer.state[weight][key]
        assert torch.equal(new[:, 4:], old[:, 4:])
        assert (new[:, :4] != old[:, :4]).all()


def test_moments_begin_at_zero_outside_of_the_first_circuit(monkeypatch: pytest.MonkeyPatch) -> None:
    stepper = Stepper("llama", monkeypatch)
    stepper.step(circuit(stepper.shape, sources=[stepper.shape.head_source(1, 0)]))
    state = stepper.optimizer.state[stepper.model.get_parameter(LLAMA.format(1, "o"))]
    assert not state["exp_avg"][:, 4:].any()
    assert state["exp_avg"][:, :4].all()


def test_the_number_of_edges_goes_on_a_line(config: Any) -> None:
    settings = MethodSettings(n_edges=10, last_n_edges=4)
    assert [edges_at(step, config(n_steps=4, method_settings=settings), 46) for step in (1, 2, 3, 4)] == [10, 8, 6, 4]
    assert edges_at(1, config(n_steps=1, method_settings=settings), 46) == 10
    same = MethodSettings(n_edges=7)
    assert {edges_at(step, config(n_steps=4, method_settings=same), 46) for step in (1, 2, 3, 4)} == {7}
    # Without a number of its own it keeps the published share, 500 of 32,491.
    assert [edges_at(1, config(n_steps=4), n) for n in (32_491, 479, 10)] == [500, 7, 1]


TUNED = {"method": "circuit_tuning", "method_settings": MethodSettings(n_edges=12, last_n_edges=4, discover_every=4)}


@pytest.fixture(scope="module")
def whole(llama: ModelSpec, tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("tuned") / "workspace", bundled=None)
    store.save_corpus(tiny_corpus())
    fine_tune(store, run_config(llama, **TUNED), quiet, Never())
    return store


def test_a_run_tells_what_it_trained_each_time_it_looked(whole: Store, llama: ModelSpec) -> None:
    log = whole.tuning("run")
    assert log.step == (1, 5, 9, 13)
    assert log.n_edges == (12, 10, 7, 5)  # 12 - 8 (step - 1) / 13
    assert all(0 < share < 1 for share in log.share)
    names = set(NodeParameters(load_base(llama).model).shape.sources()[1:])
    assert all(set(nodes) <= names for nodes in log.nodes)
    state = whole.checkpoint("run@100%").state
    of_nodes = 2 * (4 * 32 * 32 + 3 * 32 * 64)
    assert state.n_trainable == of_nodes
    assert state.n_moved is not None
    assert 0 < state.n_moved <= of_nodes
    assert whole.check() == []


@pytest.mark.parametrize("stop", [3, 6, 10])
def test_it_goes_on_to_the_same_bits(taught: Store, whole: Store, config: Any, stop: int) -> None:
    with pytest.raises(Canceled):
        fine_tune(taught, config(**TUNED), quiet, After(stop))
    fine_tune(taught, config(**TUNED), quiet, Never(), resume=True)
    assert weights_hash(taught, "run") == weights_hash(whole, "run")
    assert taught.losses("run") == whole.losses("run")
    assert taught.tuning("run") == whole.tuning("run")


class Dies(BaseException):
    """Stands for `kill -9`."""


@pytest.mark.parametrize("at", ["new_checkpoint", "save_losses", "save_tuning", "delete_resume_state"])
def test_dying_beside_the_last_writes_keeps_the_table(
    taught: Store, whole: Store, config: Any, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """Nothing is left to train then, so Trainer loads nothing when the run is resumed."""
    n_steps = config(**TUNED).n_steps
    real = getattr(Store, at)

    def dying(self: Store, name: str, *rest: Any) -> Any:
        if n_steps == len(read_losses_of_resume(self)):
            raise Dies
        return real(self, name, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Store, at, dying)
        with pytest.raises(Dies):
            fine_tune(taught, config(**TUNED), quiet, Never())
    assert taught.resume_folder("run").exists()
    fine_tune(taught, config(**TUNED), quiet, Never(), resume=True)
    assert taught.tuning("run") == whole.tuning("run")
    assert weights_hash(taught, "run") == weights_hash(whole, "run")


def read_losses_of_resume(store: Store) -> tuple[float, ...]:
    point = read_point(store.resume_folder("run"))
    return point.losses.loss if point else ()


def test_a_resume_state_of_another_circuit_is_damaged(taught: Store, config: Any) -> None:
    with pytest.raises(Canceled):
        fine_tune(taught, config(**TUNED), quiet, After(6))
    folder = taught.resume_folder("run")
    point = read_point(folder)
    assert point is not None
    save_file({"edges": torch.zeros(3, 3, dtype=torch.bool)}, folder / "circuit.safetensors")
    write_point(folder, point)
    with pytest.raises(Damaged, match="no circuit of this model"):
        fine_tune(taught, config(**TUNED), quiet, Never(), resume=True)


@pytest.mark.parametrize("settings", [MethodSettings(n_edges=47), MethodSettings(n_edges=1, last_n_edges=47)])
def test_more_edges_than_there_are_are_refused(taught: Store, config: Any, settings: MethodSettings) -> None:
    with pytest.raises(InputError, match="keep 47 edges, and this model has 46"):
        fine_tune(taught, config(method="circuit_tuning", method_settings=settings), quiet, Never())
    assert taught.runs() == []
