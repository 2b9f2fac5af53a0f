"""Circuit-tuning: look for the task's circuit, train only its nodes' weights, look again (arXiv 2502.06106).

Edges are scored on the batch at hand by what the loss would lose if they carried their mean. Whatever belongs to no
node of the circuit stays as it is in a step, also where AdamW's momentum would move it; its momentum waits, too.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from engine.analysis.components.pruning import node_names
from engine.analysis.components.selection import top_edges
from engine.components.ablation import mean_ablation_scores
from engine.components.parameters import NodeParameters, Part
from engine.domain.components import Circuit
from engine.domain.corpus import Corpus
from engine.domain.errors import Damaged, InputError
from engine.domain.runs import RunConfig, TuningLog
from engine.models.adapters import Tuned
from engine.store.files import read_json
from engine.store.run_files import TUNING
from engine.training.methods.steps import Steps
from engine.training.texts import Batch

PUBLISHED_SHARE = 500 / 32_491  # of GPT-2-small's edges
CIRCUIT = "circuit.safetensors"  # in the resume state, beside the log so far


def attach(
    model: PreTrainedModel, config: RunConfig, _tokenizer: PreTrainedTokenizerFast, _corpus: Corpus
) -> PreTrainedModel:
    """The model itself, with gradients for the weights of all nodes.

    Raises ModelUnavailable for a family without hooks, InputError for more edges than the model has.
    """
    nodes, settings = NodeParameters(model), config.method_settings
    asked = max(settings.n_edges or 1, settings.last_n_edges or 1)
    if asked > nodes.shape.n_edges:
        raise InputError(
            f"Circuit-tuning was asked to keep {asked} edges, and this model has {nodes.shape.n_edges}. "
            f"Ask for 1 to {nodes.shape.n_edges}."
        )
    model.requires_grad_(requires_grad=False)
    for name in nodes.names:
        model.get_parameter(name).requires_grad_(requires_grad=True)
    return model


def edges_at(step: int, config: RunConfig, n_edges: int) -> int:
    """N at a step (from 1) in a model of `n_edges`: on a line from the settings' `n_edges` to their `last_n_edges`."""
    settings = config.method_settings
    first, last = settings.n_edges or max(1, round(PUBLISHED_SHARE * n_edges)), settings.last_n_edges
    if last is None or config.n_steps == 1:
        return first
    return round(first + (last - first) * (step - 1) / (config.n_steps - 1))


class CircuitTuningSteps(Steps):
    """Looks for the circuit every so many steps, and holds all else where it is."""

    log: TuningLog

    def __init__(self, tuned: Tuned, config: RunConfig) -> None:
        self._model, self._config = tuned, config
        self._nodes = NodeParameters(tuned)
        self._weights = {name: tuned.get_parameter(name) for name in self._nodes.names}
        self._n_parameters = sum(p.numel() for p in tuned.parameters())
        self._circuit: Circuit | None = None
        self._parts: dict[str, Part] = {}
        self._outside: dict[str, torch.Tensor] = {}  # rows or columns of the weights that are trained in part
        self._held: list[_Held] = []
        self.log = TuningLog()

    def before(self, step: int, batch: Batch) -> None:
        if (step - 1) % self._config.method_settings.discover_every:
            return
        scores = mean_ablation_scores(self._model, batch["input_ids"], batch["attention_mask"], batch["labels"])
        self._train(top_edges(scores, self._nodes.shape, edges_at(step, self._config, self._nodes.shape.n_edges)))
        self._note(step)

    def before_update(self, step: int, optimizer: torch.optim.Optimizer) -> None:
        for name, weight in self._weights.items():
            if name not in self._parts:
                weight.grad = None
        self._held = [
            _Held(self._weights[name], self._parts[name].axis, outside, optimizer)
            for name, outside in self._outside.items()
        ]

    def after_update(self, step: int) -> None:
        for held in self._held:
            held.put_back()
        self._held = []

    def save(self, folder: Path) -> None:
        assert self._circuit is not None
        save_file({"edges": torch.from_numpy(self._circuit.edges)}, folder / CIRCUIT)
        (folder / TUNING).write_text(self.log.model_dump_json() + "\n", encoding="utf-8")

    def load(self, folder: Path) -> None:
        shape = self._nodes.shape
        try:
            edges = load_file(folder / CIRCUIT)["edges"].numpy()
        except (OSError, SafetensorError, ValueError, KeyError) as error:
            raise Damaged(folder / CIRCUIT, f"the circuit that is trained cannot be read ({error})") from error
        self.read_log(folder)
        if edges.shape != (shape.n_inputs, shape.n_sources) or edges.dtype != bool:
            raise Damaged(folder / CIRCUIT, "it is no circuit of this model")
        self._train(Circuit(shape, edges))

    def read_log(self, folder: Path) -> None:
        self.log = read_json(folder / TUNING, TuningLog)

    def _train(self, circuit: Circuit) -> None:
        """From now on only the circuit's weights."""
        self._circuit, self._parts = circuit, self._nodes.of(circuit)
        self._outside = {}
        for name, weight in self._weights.items():
            part = self._parts.get(name)
            # Without a gradient a backward pass is cheaper; but it needs one somewhere.
            weight.requires_grad_(part is not None or not self._parts)
            if part is not None and not part.kept.all():
                self._outside[name] = torch.from_numpy(~part.kept).nonzero()[:, 0].to(weight.device)

    def _note(self, step: int) -> None:
        assert self._circuit is not None
        there = node_names(self._circuit)
        n_trained = sum(part.share * self._weights[name].numel() for name, part in self._parts.items())
        self.log = TuningLog(
            step=(*self.log.step, step),
            n_edges=(*self.log.n_edges, self._circuit.n_edges),
            nodes=(*self.log.nodes, tuple(name for name in self._nodes.shape.sources()[1:] if name in there)),
            share=(*self.log.share, n_trained / self._n_parameters),
        )


@dataclass(eq=False)
class _Held:
    """The slices of a weight, and of what the optimizer keeps of it, that a step must not change."""

    weight: torch.Tensor
    axis: int
    outside: torch.Tensor  # (n,) int64
    optimizer: torch.optim.Optimizer

    def __post_init__(self) -> None:
        self._before = [tensor.index_select(self.axis, self.outside) for tensor in self._tensors()]

    @torch.no_grad()
    def put_back(self) -> None:
        for place, tensor in enumerate(self._tensors()):
            if place < len(self._before):
                tensor.index_copy_(self.axis, self.outside, self._before[place])
            else:  # the optimizer's, made in this step
                tensor.index_fill_(self.axis, self.outside, 0.0)

    def _tensors(self) -> list[torch.Tensor]:
        """The weight itself and the optimizer's tensors of its shape, in a fixed order."""
        state = self.optimizer.state.get(self.weight, {})
        kept = [value for _, value in sorted(state.items()) if getattr(value, "shape", None) == self.weight.shape]
        return [self.weight.detach(), *kept]
