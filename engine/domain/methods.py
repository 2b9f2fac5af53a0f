"""The fine-tuning methods by name, for pages and the command line, which must not import torch to list them.

What each one does is in engine/training/methods, in a registry of the same keys.
"""

from typing import Annotated

from pydantic import Field

from engine.domain.components import CIRCUIT_SHARE, ScoreSettings, Share
from engine.domain.names import Name
from engine.domain.record import Record


class MethodInfo(Record):
    """One way to fine-tune, as a form shows it."""

    name: Name
    title: str
    description: str  # one sentence: what is trained, and what that tends to give
    default_learning_rate: Annotated[float, Field(gt=0)]
    uses_rank: bool = True  # whether the rank of LoRA's matrices means anything to it
    uses_layers: bool = False  # whether some layers get another rank (critical_rank, n_critical, critical_layers)
    uses_probe: bool = False  # whether a probe run and its circuits tell these layers (prior, probe_steps, scoring)
    uses_edges: bool = False  # whether it trains what a circuit uses (n_edges, last_n_edges, discover_every)
    peft_type: str = ""  # of the PEFT adapters that are imported as this method; empty: none is


class MethodSettings(Record):
    """What single methods need beyond rank and learning rate; the others do not read it."""

    critical_rank: Annotated[int, Field(ge=1, le=4096)] | None = None  # r_c of critical layers; None: 4 x the rank
    n_critical: Annotated[int, Field(ge=1, le=1000)] = 1  # K, layers that get it
    critical_layers: tuple[Annotated[int, Field(ge=0)], ...] = ()  # empty: found by a probe run, or drawn
    prior: tuple[Name, ...] = ()  # corpora of subtasks whose united circuits tell the layers; empty: the run's own
    probe_steps: Annotated[int, Field(ge=1)] | None = None  # of the probe run; None: as many as the run
    scoring: ScoreSettings = ScoreSettings()  # of the probe run's circuits
    share: Share = CIRCUIT_SHARE  # of all edges, in each circuit that is united
    n_edges: Annotated[int, Field(ge=1)] | None = None  # N, kept by circuit-tuning; None: the published share of all
    last_n_edges: Annotated[int, Field(ge=1)] | None = (
        None  # N at the last step, on a line from the first; None: the same
    )
    discover_every: Annotated[int, Field(ge=1)] = 16  # steps between two looks for the circuit


METHOD_INFOS: dict[str, MethodInfo] = {
    info.name: info
    for info in (
        MethodInfo(
            name="lora",
            title="LoRA",
            description="Low-rank updates of every linear layer: the whole network can change.",
            default_learning_rate=2e-3,
            peft_type="LORA",
        ),
        MethodInfo(
            name="tokens",
            title="New tokens only",
            description="Trains only the embeddings of the new words; the rest of the network stays as it was.",
            default_learning_rate=5e-3,
            uses_rank=False,
            peft_type="TRAINABLE_TOKENS",
        ),
        MethodInfo(
            name="lora_tokens",
            title="LoRA and new tokens",
            description="Low-rank updates of every linear layer, and the embeddings of the new words.",
            default_learning_rate=2e-3,
        ),
        MethodInfo(
            name="full",
            title="All weights",
            description="Trains every weight: the most can change, and the most can be forgotten.",
            default_learning_rate=1e-3,
            uses_rank=False,
        ),
        MethodInfo(
            name="adalora",
            title="AdaLoRA",
            description="LoRA that shifts rank, while it trains, to the matrices that need it most.",
            default_learning_rate=1e-2,
            peft_type="ADALORA",
        ),
        MethodInfo(
            name="ia3",
            title="IA³",
            description="Rescales keys, values and MLP outputs, with very few parameters.",
            default_learning_rate=5e-2,
            uses_rank=False,
            peft_type="IA3",
        ),
        MethodInfo(
            name="circuit_lora",
            title="CircuitLoRA",
            description="A probe run finds the layers where the circuit changes most; they get a higher rank.",
            default_learning_rate=2e-3,
            uses_layers=True,
            uses_probe=True,
        ),
        MethodInfo(
            name="random_lora",
            title="LoRA, random layers",
            description="Like CircuitLoRA, with layers picked at random: its control.",
            default_learning_rate=2e-3,
            uses_layers=True,
        ),
        MethodInfo(
            name="circuit_tuning",
            title="Circuit-tuning",
            description="Trains only the heads and MLPs in the circuit, and finds the circuit again as it goes.",
            default_learning_rate=1e-3,
            uses_rank=False,
            uses_edges=True,
        ),
    )
}


def method_title(method: str, *, imported: bool) -> str:
    """What a run's method is called. Of all weights of a model that was imported nobody knows how they were trained."""
    if imported and method == "full":
        return "full model"
    return METHOD_INFOS[method].title if method in METHOD_INFOS else method.replace("_", " ")
