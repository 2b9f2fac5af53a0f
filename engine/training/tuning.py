"""What a run trains, and where it began."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from engine.domain.models import ModelSpec
from engine.domain.runs import RunConfig
from engine.models.adapters import Tuned, put_weights, save_adapter
from engine.models.as_trained import answers_of
from engine.training.methods import Steps, method_named
from engine.training.probing import evaluating


@dataclass(frozen=True, eq=False)
class Tuning:
    """A model with a method attached."""

    model: Tuned
    steps: Steps
    config: RunConfig
    start: Mapping[str, torch.Tensor]  # parameter name -> its value at the start, of all that is trained

    @property
    def n_trainable(self) -> int:
        """Parameters that may move."""
        return sum(value.numel() for value in self.start.values())

    def n_moved(self) -> int:
        """How many of them are not where they began."""
        own = dict(self.model.named_parameters())
        return sum(int((own[name].detach() != value).sum()) for name, value in self.start.items())

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """No weight wants a gradient: so a model computes the same bits as when it is loaded from its checkpoint."""
        trained = [p for p in self.model.parameters() if p.requires_grad]
        try:
            for p in trained:
                p.requires_grad_(requires_grad=False)
            yield
        finally:
            for p in trained:
                p.requires_grad_(requires_grad=True)

    def save(self, folder: Path) -> None:
        """As a checkpoint's folder holds it."""
        config = self.config
        save_adapter(self.model, folder, base_name=base_name(config.model), method=config.method, start=self.start)

    def answers(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """As `keep_answers` wants them."""
        with evaluating(self.model), self.evaluating():
            return answers_of(self.model, n_rows=self.model.config.vocab_size)

    def put(self, folder: Path) -> None:
        """Set the weights, which are those of the start, to saved ones."""
        put_weights(self.model, folder)


def tuning_of(model: Tuned, config: RunConfig) -> Tuning:
    """What `config.method` has been attached to."""
    start = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    return Tuning(model, method_named(config.method).steps(model, config), config, start)


def base_name(spec: ModelSpec) -> str:
    """What `base_model_name_or_path` of an adapter says, for PEFT tools outside this house."""
    return {"bundled": "data/demo/base", "folder": str(Path(spec.location)), "hub": spec.location}[spec.source]
