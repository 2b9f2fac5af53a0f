"""One long-lived replacement model, into which checkpoints are swapped in place.

Loading a replacement model takes half a second even for a small model; exchanging the tensors that fine-tuning
changed takes milliseconds and gives the same bits (tests/models/test_replacement.py).
"""

import copy
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import torch
from circuit_tracer.replacement_model.replacement_model_transformerlens import TransformerLensReplacementModel
from circuit_tracer.transcoder import TranscoderSet
from circuit_tracer.transcoder.cross_layer_transcoder import CrossLayerTranscoder
from transformers import PreTrainedModel

from engine.domain.errors import ComparisonRefused
from engine.models.base import LoadedModel
from engine.models.lens import lens_config, lens_weights


class _Model(TransformerLensReplacementModel):
    # At interpreter exit torch is half gone and the parent's clean-up prints an ignored exception. This module is half
    # gone then, too, so the question is bound as a default.
    def __del__(self, exiting: Callable[[], bool] = sys.is_finalizing) -> None:
        if not exiting():
            super().__del__()


class Replacement:
    """circuit-tracer's replacement model (TransformerLens backend) of one base model and one transcoder set.

    `model` holds the base weights except inside `swapped`. Whoever runs it holds `lock`; `swapped` takes it itself.
    Raises ModelUnavailable for a model that cannot be traced.
    """

    def __init__(self, loaded: LoadedModel, transcoders: TranscoderSet | CrossLayerTranscoder) -> None:
        self.loaded = loaded
        self.lock = threading.RLock()
        config = lens_config(loaded.model)
        self.model = _Model(config)
        # The weights stay as they are (nothing is folded or centred): a checkpoint's weights replace them one to one.
        self.model.load_state_dict(lens_weights(loaded.model, config), strict=False)
        # TransformerLens masks by its tokenizer's padding only where it pads on the left; a prompt has no padding,
        # but one that begins with the padding token (a model without BOS) would lose its first position.
        self.model.tokenizer = copy.copy(loaded.tokenizer)
        self.model.tokenizer.padding_side = "right"
        self.model._configure_replacement_model(transcoders)
        self.model.eval()
        self._parameters = {_plain(name): value for name, value in self.model.named_parameters()}
        self._base = {name: value.data for name, value in self._parameters.items()}
        self._changed: WeakKeyDictionary[PreTrainedModel, dict[str, torch.Tensor]] = WeakKeyDictionary()

    @contextmanager
    def swapped(self, merged: PreTrainedModel | None) -> Iterator[_Model]:
        """The replacement model with the weights of `merged` (None: the base); afterwards the base, bit for bit.

        The tensors that differ are worked out at the first swap and kept while `merged` lives, which must not be
        changed; after that nothing is computed or copied, and the base's own tensors come back.
        Gradients stay enabled: tracing needs them. Raises ComparisonRefused for a model of another shape.
        """
        with self.lock:
            wanted = self._base if merged is None else self._base | self._changed_by(merged)
            before = {name: value.data for name, value in self._parameters.items()}
            try:
                self._put(wanted)
                yield self.model
            finally:
                self._put(before)

    def _put(self, tensors: dict[str, torch.Tensor]) -> None:
        for name, value in tensors.items():
            self._parameters[name].data = value

    def _changed_by(self, merged: PreTrainedModel) -> dict[str, torch.Tensor]:
        """Parameter name -> the checkpoint's tensor, of those that differ from the base's."""
        if merged not in self._changed:
            self._changed[merged] = dict(self._differing(merged))
        return self._changed[merged]

    def _differing(self, merged: PreTrainedModel) -> Iterator[tuple[str, torch.Tensor]]:
        for name, fresh in lens_weights(merged, self.model.cfg).items():
            base = self._base.get(name)
            if base is None:
                continue
            if base.shape != fresh.shape:
                raise ComparisonRefused(
                    f"The checkpoint's {name} has shape {tuple(fresh.shape)}, its base model has "
                    f"{tuple(base.shape)}: it belongs to another model. Trace it with its own base model."
                )
            value = fresh.detach().to(base.device, base.dtype)
            if not torch.equal(base, value):
                # A copy in the parameter's own layout, as a fresh load would have it: equal bits, equal sums.
                yield name, torch.empty_like(base).copy_(value)


def _plain(name: str) -> str:
    """A parameter's name before circuit-tracer wrapped MLPs and the unembedding."""
    return name.replace("mlp.old_mlp.", "mlp.").replace("unembed.old_unembed.", "unembed.")
