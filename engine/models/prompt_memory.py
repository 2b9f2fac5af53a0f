"""What a prompt takes in memory, from the shapes of a model: so that one that cannot fit is refused before any work.

Figures are peaks as they were measured; tests/attribution/test_prompt_memory.py holds them to what torch asks for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.domain.errors import PromptRefused
from engine.domain.numbers import count, memory

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_NUMBER = 4  # bytes


@dataclass(frozen=True)
class PromptMemory:
    """Of one model. Bytes of what is done with a prompt of `n_pos` tokens, BOS among them."""

    n_layers: int
    n_heads: int
    d_model: int
    d_mlp: int
    patterns: bool  # attention makes them as a whole, always: (n_heads, n_pos, n_pos)

    @classmethod
    def of(cls, model: "PreTrainedModel") -> "PromptMemory":
        """Of any family: what a configuration does not say is as in most models."""
        config = model.config
        d_model = int(config.hidden_size)
        widths = (getattr(config, name, None) for name in ("intermediate_size", "ffn_dim", "n_inner"))
        return cls(
            n_layers=int(config.num_hidden_layers),
            n_heads=int(config.num_attention_heads),
            d_model=d_model,
            d_mlp=next((int(width) for width in widths if isinstance(width, int) and width), 4 * d_model),
            patterns=config._attn_implementation == "eager",
        )

    def traced(self, n_pos: int) -> int:
        """A graph of it, if no feature is active: patterns, with the norms' scales and without; what MLPs read and
        write; edges among errors and tokens."""
        patterns = 2 * self.n_layers * self.n_heads * n_pos**2
        stream = 7 * self.n_layers * n_pos * self.d_model
        return _NUMBER * (patterns + stream + ((self.n_layers + 1) * n_pos) ** 2)

    def features(self, n_features: int, *, cross_layer: bool = False) -> int:
        """What active features take besides: what they read along, twice, and what they write, in each layer that they
        write to, where it is found and where it is laid out."""
        written = (self.n_layers + 1) / 2 if cross_layer else 1
        return int(_NUMBER * n_features * self.d_model * (2.3 + 2 * written))

    def stretched(self, n_pos: int, n_outputs: int) -> int:
        """The change of a logit between two checkpoints; `n_outputs`: numbers a token of all modules that changed."""
        return _NUMBER * (n_pos * 4 * n_outputs + self._with_gradients(n_pos, 2.4 if self.patterns else 0.0))

    def placed(self, n_pos: int) -> int:
        """What MLPs and heads make of such a change: both checkpoints' patterns, and one's gradients."""
        return _NUMBER * (self._with_gradients(n_pos, 3.2))

    def scored(self, n_pos: int, n_sources: int) -> int:
        """The edges between a model's heads and MLPs, on one pair; what all sources write is there at once."""
        patterns = 2.5 if self.patterns else 0.0
        return _NUMBER * (n_pos * n_sources * self.d_model + self._with_gradients(n_pos, patterns))

    def _with_gradients(self, n_pos: int, patterns: float) -> int:
        """Numbers of a pass that keeps what its way back needs; `patterns` of all layers that are there at once."""
        of_layer = 12 * self.d_model + 5 * self.d_mlp + patterns * self.n_heads * n_pos
        return int(self.n_layers * n_pos * of_layer)


def refuse_longer_than_free(
    n_pos: int, free: int, takes: Callable[[int], int], doing: str, *, what: str = "The prompt"
) -> None:
    """Raises PromptRefused where a prompt of `n_pos` tokens takes more than `free` bytes, with a length that does not.

    `takes`: bytes by tokens, which grow with them. `doing`: what is done with it, as “tracing it”.
    """
    if takes(n_pos) <= free:
        return
    most, too_long = 0, n_pos
    while too_long - most > 1:
        middle = (most + too_long) // 2
        most, too_long = (middle, too_long) if takes(middle) <= free else (most, middle)
    way_out = f"Use a prompt of at most {count(most - 1)} tokens" if most > 1 else "Not even one token fits"
    raise PromptRefused(
        f"{what} has {count(n_pos - 1)} tokens: {doing} takes about {memory(takes(n_pos))}, and {memory(free)} are "
        f"free. {way_out}; or close what else takes memory."
    )
