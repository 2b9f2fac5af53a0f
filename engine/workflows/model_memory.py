"""What comparing two checkpoints of a model takes in memory, from its configuration and its files' heads: no torch.

By the estimates that refuse what does not fit: `PromptMemory` and `GraphSize`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.attribution.batches import meeting, on_the_way_bytes
from engine.attribution.graph_size import GraphSize
from engine.domain.graphs import TraceSettings
from engine.domain.model_families import LAYER_KEYS, number_in
from engine.domain.models import TranscoderTraining
from engine.domain.runs import LORA_RANK
from engine.models.prompt_memory import PromptMemory
from engine.store.tensor_headers import TensorHeader

N_TOKENS: Final = 12  # of the prompt, without BOS
_FLOAT32: Final = 4  # bytes


@dataclass(frozen=True)
class ComparisonMemory:
    """Bytes. Two checkpoints of LoRA are compared, with a set trained here, on a prompt of N_TOKENS tokens."""

    weights: int  # of the base, in the dtype that it is loaded in
    checkpoints: int  # what LoRA adds on all matrices, in float32, twice
    transcoders: int  # of a set as it is trained here; a published one stays on the disk
    tracing: (
        int  # the first graph as a whole, and the second at its peak; W_V and W_O in float32; one pass for gradients
    )

    @property
    def n_bytes(self) -> int:
        return self.weights + self.checkpoints + self.transcoders + self.tracing


def comparison_memory(
    config: Mapping[str, Any], tensors: Sequence[TensorHeader], item_bytes: int
) -> ComparisonMemory | None:
    """None where `config`, the fields of a config.json, does not tell the model's shape."""
    from dask.system import cpu_count

    n_layers, d_model = number_in(config, *LAYER_KEYS), number_in(config, "hidden_size", "n_embd")
    n_heads = number_in(config, "num_attention_heads", "n_head", "num_heads")
    if not n_layers or not d_model or not n_heads:
        return None
    training = TranscoderTraining()
    prompt = PromptMemory(
        n_layers=n_layers, n_heads=n_heads, d_model=d_model, patterns=True,
        d_mlp=number_in(config, "intermediate_size", "ffn_dim", "n_inner") or 4 * d_model,
    )  # fmt: skip
    n_pos, n_features = N_TOKENS + 1, n_layers * N_TOKENS * training.top_k
    others = (n_layers + 1) * n_pos + TraceSettings().n_logits
    on_the_way = on_the_way_bytes(
        n_features, N_TOKENS, d_model, n_features + others, group=meeting("cpu"), threads=cpu_count()
    )
    second = GraphSize(n_features=n_features, n_nodes=n_features, n_others=others, batch_bytes=on_the_way)
    return ComparisonMemory(
        weights=sum(one.n_numbers for one in tensors) * item_bytes,
        checkpoints=2 * LORA_RANK * _FLOAT32 * sum(sum(one.shape) for one in _adapted(tensors)),
        transcoders=2 * n_layers * training.n_features * d_model * item_bytes,
        tracing=prompt.traced(n_pos) + prompt.features(n_features) + second.n_bytes + prompt.placed(n_pos)
        + _FLOAT32 * ((n_features + others) ** 2 + n_layers * _value_and_output(config, d_model, n_heads)),
    )  # fmt: skip


def _adapted(tensors: Sequence[TensorHeader]) -> list[TensorHeader]:
    """Matrices of the layers: embeddings and what leaves the model are as long as the vocabulary."""
    flat = [one for one in tensors if len(one.shape) == 2]
    longest = max((max(one.shape) for one in flat), default=0)
    return [one for one in flat if max(one.shape) < longest]


def _value_and_output(config: Mapping[str, Any], d_model: int, n_heads: int) -> int:
    """Numbers in W_V and W_O of a layer."""
    width = number_in(config, "head_dim") or d_model // n_heads
    return d_model * width * ((number_in(config, "num_key_value_heads") or n_heads) + n_heads)
