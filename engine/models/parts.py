"""The parts of a model as its family's row names them: layers, norms, and the matrices of heads."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn
from transformers import PreTrainedModel

from engine.domain.errors import ModelUnavailable
from engine.models.families import Family, family_of
from engine.models.low_rank import matrix


@dataclass(frozen=True, eq=False)
class Norm:
    """A norm as a division and a multiplication: y = x̂ * weight + bias, x̂ = (x or x minus its mean) / s."""

    module: nn.Module
    centred: bool
    offset: float  # it multiplies by this plus its weight

    @property
    def weight(self) -> torch.Tensor | None:
        """(d_model,) float32: what x̂ is multiplied by; None: nothing."""
        own: torch.Tensor | None = getattr(self.module, "weight", None)
        return None if own is None else own.float() + self.offset

    @property
    def bias(self) -> torch.Tensor | None:
        """(d_model,) float32"""
        own: torch.Tensor | None = getattr(self.module, "bias", None)
        return None if own is None else own.float()

    @property
    def epsilon(self) -> float:
        """Added to the mean square."""
        module = self.module
        found = getattr(module, "variance_epsilon", None) or getattr(module, "eps", None)
        return float(found or 1e-5)  # OLMo 1 has it in its code

    def standardised(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """x̂ (…, d_model), float32, and the scale s (…, 1) that x was divided by."""
        x = self._centred(x)
        scale = self._scale(x)
        return x / scale, scale

    def scale(self, x: torch.Tensor) -> torch.Tensor:
        """(…, 1) float32: s alone."""
        return self._scale(self._centred(x))

    def _centred(self, x: torch.Tensor) -> torch.Tensor:
        x = x.float()
        return x - x.mean(-1, keepdim=True) if self.centred else x

    def _scale(self, centred: torch.Tensor) -> torch.Tensor:
        return (centred.square().mean(-1, keepdim=True) + self.epsilon).sqrt()

    def undivided(self, x: torch.Tensor) -> torch.Tensor:
        """(…, d_model): what it makes of x but for the bias and the division by s."""
        return self.weighted(x - x.mean(-1, keepdim=True) if self.centred else x)

    def weighted(self, x: torch.Tensor) -> torch.Tensor:
        """x (…, d_model) times the weight."""
        weight = self.weight
        return x if weight is None else x * weight


@dataclass(frozen=True, eq=False)
class Layer:
    """The modules of one layer, as `Family` names them; None where there is no such norm."""

    module: nn.Module
    attention: nn.Module
    projections: tuple[nn.Module, ...]
    output: nn.Module
    mlp_reads: nn.Module
    mlp_first: tuple[nn.Module, ...]
    mlp_last: nn.Module
    mlp_writes: nn.Module
    before_attention: Norm | None
    after_attention: Norm | None
    before_mlp: Norm | None
    after_mlp: Norm | None

    @property
    def mlp_entry(self) -> nn.Module:
        """The module whose input is the stream that the MLP reads: its norm, or the MLP itself."""
        return self.mlp_reads if self.before_mlp is None else self.before_mlp.module

    @property
    def mlp_exit(self) -> nn.Module:
        """The module whose output is added to the stream: the norm behind the MLP, or the MLP itself."""
        return self.mlp_writes if self.after_mlp is None else self.after_mlp.module


class Parts:
    """Uniform access to the parts of a model of any family with a row; nothing of the model is changed.

    Raises ModelUnavailable for a family without a row, and for a model that is not built as its row says.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.family: Family = family_of(model)
        config = model.config
        self.d_model: int = config.hidden_size
        self.n_heads: int = config.num_attention_heads
        self.n_kv_heads: int = getattr(config, "num_key_value_heads", None) or self.n_heads
        final_norm = self._norm(model, self.family.final_norm)
        assert final_norm is not None
        self.final_norm: Norm = final_norm
        self.layers: tuple[Layer, ...] = tuple(map(self._layer, self._part(model, self.family.layers).children()))
        self.positions = self._part(model, self.family.positions) if self.family.positions else None
        self.parallel: bool = self.family.parallel(config)

    @property
    def groups(self) -> int:
        """Query heads that share a key and a value."""
        return self.n_heads // self.n_kv_heads

    @cached_property
    def d_head(self) -> int:
        return matrix(self.layers[0].output).shape[1] // self.n_heads

    @cached_property
    def d_mlp(self) -> int:
        return matrix(self.layers[0].mlp_last).shape[1]

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def body(self) -> nn.Module:
        """All but what makes logits. transformers' own `base_model` is the whole model for some families."""
        module: nn.Module = self._part(self.model, self.family.layers.partition(".")[0])
        return module

    @property
    def unembedding(self) -> nn.Module:
        """The matrix that makes logits; what comes behind it (a soft cap) is the model's."""
        module: nn.Module = self.model.get_output_embeddings()
        return module

    def causal_mask(self, n: int, n_pos: int, n_before: int = 0) -> torch.Tensor:
        """A mask for `model` and `n` prompts, whose padding, if any, is on the right where nothing sees it.

        Where all layers see everything before it is made here, as transformers takes its time for it: (1, 1, n_pos,
        n_before + n_pos). Else (n, n_before + n_pos) of ones, which OPT counts positions by.
        """
        config = self.model.config
        windows = (
            getattr(config, "sliding_window", None) is not None or getattr(config, "window_size", None) is not None
        )
        if windows or self.family.flat_mlp:
            return torch.ones(n, n_before + n_pos, dtype=torch.int64, device=self.device)
        dtype = self.model.dtype
        lowest = torch.full((n_pos, n_before + n_pos), torch.finfo(dtype).min, dtype=dtype, device=self.device)
        return lowest.triu(n_before + 1)[None, None]

    def by_kind(self, layer: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """W_Q (n_heads d_head, d_model), W_K and W_V (n_kv_heads d_head, d_model)."""
        q, k, v = self.split_rows([matrix(one) for one in self.layers[layer].projections])
        return q, k, v

    def split_rows(self, rows: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What stands for the outputs of a layer's projections, on axis 0, as queries, keys and values."""
        if self.family.fused == "by_head":
            q, k, v = rows[0].unflatten(0, (self.n_heads, 3, self.d_head)).unbind(1)
            return q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1)
        if self.family.fused == "by_kind":
            q, k, v = rows[0].split([n * self.d_head for n in (self.n_heads, self.n_kv_heads, self.n_kv_heads)])
            return q, k, v
        return rows[0], rows[1], rows[2]

    def _layer(self, module: nn.Module) -> Layer:
        family = self.family
        return Layer(
            module=module,
            attention=self._part(module, family.attention),
            projections=tuple(self._part(module, name) for name in family.projections),
            output=self._part(module, family.output),
            mlp_reads=self._part(module, family.mlp_reads),
            mlp_first=tuple(self._part(module, name) for name in family.mlp_first),
            mlp_last=self._part(module, family.mlp_last),
            mlp_writes=self._part(module, family.mlp_writes),
            before_attention=self._norm(module, family.before_attention),
            after_attention=self._norm(module, family.after_attention),
            before_mlp=self._norm(module, family.before_mlp),
            after_mlp=self._norm(module, family.after_mlp),
        )

    def _norm(self, module: nn.Module, name: str) -> Norm | None:
        if not name:
            return None
        offset = 1.0 if self.family.norm == "rms_plus_one" else 0.0
        return Norm(self._part(module, name), centred=self.family.norm == "layer", offset=offset)

    def _part(self, module: nn.Module, name: str) -> nn.Module:
        found: nn.Module | None = module
        for own in name.split("."):  # not as attributes, which take nn.Module six times as long
            found = None if found is None else found._modules.get(own)
        if found is None:
            raise ModelUnavailable(
                f"Circuits of this model cannot be found: it is called a {self.family.title} model "
                f"({self.model.config.model_type}) but has no “{name}” in {type(module).__name__}. "
                "Use a model that is built as its family is."
            )
        return found
