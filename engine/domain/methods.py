"""The fine-tuning methods by name, for pages and the command line, which must not import torch to list them.

What each one does is in engine/training/methods, in a registry of the same keys.
"""

from typing import Annotated

from pydantic import Field

from engine.domain.names import Name
from engine.domain.record import Record


class MethodInfo(Record):
    """One way to fine-tune, as a form shows it."""

    name: Name
    title: str
    description: str  # one sentence: what is trained, and what that tends to give
    default_learning_rate: Annotated[float, Field(gt=0)]
    uses_rank: bool = True  # whether the rank of LoRA's matrices means anything to it


METHOD_INFOS: dict[str, MethodInfo] = {
    info.name: info
    for info in (
        MethodInfo(
            name="lora",
            title="LoRA",
            description="Low-rank updates of every linear layer: the whole network may change.",
            default_learning_rate=2e-3,
        ),
        MethodInfo(
            name="tokens",
            title="New tokens only",
            description="Trains the embeddings of the new words alone: the network around them stays as it was.",
            default_learning_rate=5e-3,
            uses_rank=False,
        ),
        MethodInfo(
            name="lora_tokens",
            title="LoRA and new tokens",
            description="Both at once: low-rank updates and the embeddings of the new words.",
            default_learning_rate=2e-3,
        ),
    )
}
