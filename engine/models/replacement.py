"""A model and transcoders that stand beside its MLPs, in whatever checkpoint.

Everything runs on the Hugging Face modules, with hooks; no weight is converted or copied. A checkpoint's model shares
with the base what fine-tuning left alone (`engine.models.sharing`), so that one copy of the weights serves all.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from circuit_tracer.transcoder import TranscoderSet
from circuit_tracer.transcoder.cross_layer_transcoder import CrossLayerTranscoder
from transformers import PreTrainedModel

from engine.domain.errors import ComparisonRefused
from engine.models.base import LoadedModel
from engine.models.hook_points import HookPoints, Read, Write
from engine.models.last_logits import last_logits
from engine.models.parts import Parts
from engine.models.sharing import sharing_copy

FIRST = slice(0, 1)  # positions without features: BOS


class ReplacementModel:
    """One checkpoint with transcoders beside its MLPs. Used only inside `Replacement.opened`."""

    def __init__(self, model: PreTrainedModel, transcoders: TranscoderSet | CrossLayerTranscoder) -> None:
        self.parts = Parts(model)
        self.transcoders = transcoders
        self.points = HookPoints.of(self.parts, transcoders)

    @property
    def n_layers(self) -> int:
        return len(self.parts.layers)

    @property
    def device(self) -> torch.device:
        return self.parts.device

    @torch.no_grad()
    def logits(
        self, tokens: torch.Tensor, reads: Mapping[int, Read] | None = None, writes: Mapping[int, Write] | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Of tokens (n_pos,): logits (n_vocab,) at the last position, and the same before any soft cap."""
        with last_logits(self.parts.model) as raw, self.points.hooked(1, reads or {}, writes or {}):
            capped = self._run(self.parts.model, tokens[None]).logits
        return capped[0, -1].float(), raw[0][0]

    @torch.no_grad()
    def read(self, tokens: torch.Tensor, reads: Mapping[int, Read], writes: Mapping[int, Write] | None = None) -> None:
        """Of tokens (n, n_pos): what transcoders read, and what they stand for; no logits are computed."""
        with self.points.hooked(len(tokens), reads, writes or {}):
            self._run(self.parts.body, tokens)

    def _run(self, model: Callable[..., Any], tokens: torch.Tensor) -> Any:
        return model(input_ids=tokens, attention_mask=self.parts.causal_mask(*tokens.shape), use_cache=False)

    def activations(self, tokens: torch.Tensor) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """Of tokens (n_pos,): (n_layers, n_pos, n_features), and what `logits` gives for them.

        Zero at position 0 (BOS), as in circuit-tracer.
        """
        found: list[torch.Tensor] = []

        def reading(layer: int) -> Read:
            return lambda x: found.append(self.encoded(x[0], layer))

        logits = self.logits(tokens, {layer: reading(layer) for layer in range(self.n_layers)})
        return torch.stack(found), logits

    def activations_at(
        self, tokens: torch.Tensor, places: Sequence[tuple[int, int, int]]
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """Of tokens (n_pos,): (n,) of features (layer, position, index), and what `logits` gives.

        Of a set with many features, those of all places would be most of the memory.
        """
        found = torch.zeros(len(places), device=self.device)

        def reading(layer: int) -> Read:
            rows = [row for row, place in enumerate(places) if place[0] == layer]
            at = [list(axis) for axis in zip(*(places[row][1:] for row in rows), strict=True)]

            def read(x: torch.Tensor) -> None:
                found[rows] = self.encoded(x[0], layer)[at[0], at[1]].float()

            return read

        logits = self.logits(tokens, {layer: reading(layer) for layer in {place[0] for place in places}})
        return found, logits

    def encoded(self, x: torch.Tensor, layer: int) -> torch.Tensor:
        """(n_pos, n_features) activations of what is read (n_pos, d_model); zero at position 0."""
        values: torch.Tensor = self.transcoders.encode_layer(x, layer).detach()
        values[FIRST] = 0
        return values

    def with_features(
        self, tokens: torch.Tensor, values: Sequence[tuple[int, int, int, float]]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As `logits`, with features (layer, position, index, value) set and everything else free to react.

        (value - activation) times the decoder is added to what is written, where the activation is the one that the
        feature has come to by then. With nothing to change the model runs as it is, to the bit.
        """
        setting = _Setting(self, len(tokens), values)
        return self.logits(
            tokens,
            {layer: setting.reading(layer) for layer in setting.layers},
            {layer: setting.writing(layer) for layer in range(self.n_layers)} if values else {},
        )

    def decoders(self, layer: int, indices: torch.Tensor) -> torch.Tensor:
        """(n, n_written, d_model): what a unit of each feature writes in its own layer and, cross-layer, later ones."""
        rows: torch.Tensor = self.transcoders._get_decoder_vectors(layer, indices)
        return rows[:, None] if rows.ndim == 2 else rows


class _Setting:
    """Features that are held at a value while a pass goes up."""

    def __init__(self, model: ReplacementModel, n_pos: int, values: Sequence[tuple[int, int, int, float]]) -> None:
        self._model = model
        self._wanted: dict[int, dict[tuple[int, int], float]] = {}
        for layer, position, index, value in values:
            self._wanted.setdefault(layer, {})[position, index] = value
        self._added: dict[int, torch.Tensor] = {}  # layer -> (n_pos, d_model)
        self._n_pos = n_pos

    @property
    def layers(self) -> list[int]:
        return list(self._wanted)

    def reading(self, layer: int) -> Read:
        places = torch.tensor(list(self._wanted[layer]), device=self._model.device)  # (n, 2): position, index
        wanted = torch.tensor(list(self._wanted[layer].values()), device=self._model.device)

        def read(x: torch.Tensor) -> None:
            position, index = places.unbind(1)
            active = self._model.encoded(x[0], layer)
            change = wanted.to(active.dtype) - active[position, index]
            changed = change.nonzero()[:, 0]
            rows = self._model.decoders(layer, index[changed]) * change[changed, None, None]
            for place in range(rows.shape[1]):
                written = self._added.setdefault(layer + place, rows.new_zeros(self._n_pos, rows.shape[2]))
                written.index_add_(0, position[changed], rows[:, place])

        return read

    def writing(self, layer: int) -> Write:
        return lambda output: output + self._added[layer].to(output.dtype) if layer in self._added else None


class Replacement:
    """One base model and one transcoder set; who runs it holds `lock`, which `opened` takes itself.

    Raises ModelUnavailable for a model that cannot be traced, InputError for transcoders that read or write elsewhere.
    """

    def __init__(self, loaded: LoadedModel, transcoders: TranscoderSet | CrossLayerTranscoder) -> None:
        self.loaded = loaded
        self.lock = threading.RLock()
        self.transcoders = transcoders.to(loaded.model.device, loaded.model.dtype)
        self._base = self._open(loaded.model)
        self._parameters = dict(loaded.model.named_parameters())
        self._checkpoints: WeakKeyDictionary[PreTrainedModel, ReplacementModel] = WeakKeyDictionary()

    @contextmanager
    def opened(self, merged: PreTrainedModel | None) -> Iterator[ReplacementModel]:
        """The checkpoint whose weights are `merged` (None: the base), for this thread alone.

        Raises ComparisonRefused for a model of another shape.
        """
        with self.lock:
            yield self._base if merged is None else self._checkpoint(merged)

    def _checkpoint(self, merged: PreTrainedModel) -> ReplacementModel:
        if merged not in self._checkpoints:
            self._refuse_another(merged)
            self._checkpoints[merged] = self._open(merged)
        return self._checkpoints[merged]

    def _open(self, model: PreTrainedModel) -> ReplacementModel:
        # Modules of its own, with the very same weights: hooks stay out of everybody else's passes. Eager attention is
        # the one that gives its patterns.
        own = sharing_copy(model)
        own.config._attn_implementation = "eager"
        return ReplacementModel(own, self.transcoders)

    def _refuse_another(self, merged: PreTrainedModel) -> None:
        base, found = self._parameters, dict(merged.named_parameters())
        for name, own in base.items():
            other = found.get(name)
            if other is not None and other is not own and other.shape != own.shape:
                raise ComparisonRefused(
                    f"The checkpoint's {name} has shape {tuple(other.shape)}, its base model has {tuple(own.shape)}: "
                    "it belongs to another model. Trace it with its own base model."
                )
        if merged.config.model_type != self.loaded.model.config.model_type or base.keys() - found.keys():
            raise ComparisonRefused(
                f"The checkpoint is a {type(merged).__name__} and its base model a {type(self.loaded.model).__name__}: "
                "it belongs to another model. Trace it with its own base model."
            )
