"""Whether a prompt's graph fits into the memory that is free, asked before each thing that takes some of it."""

from circuit_tracer.transcoder.cross_layer_transcoder import CrossLayerTranscoder

from engine.domain.errors import PromptRefused
from engine.domain.numbers import count, memory, plural
from engine.models.memory import free_memory
from engine.models.prompt_memory import PromptMemory, refuse_longer_than_free
from engine.models.replacement import ReplacementModel
from engine.store.kept import kept_values


class PromptRoom:
    """For one prompt; what is free is looked at once, before the pass.

    Three things decide, and each is asked for as soon as it is known: tokens before the pass, active features layer by
    layer while they are found, and, by `GraphSize`, the features that become nodes.
    """

    def __init__(self, model: ReplacementModel, n_pos: int, free: int | None = None) -> None:
        """`free`: bytes; None: what is free on the model's device. Raises PromptRefused where the prompt alone takes
        more."""
        self._takes = PromptMemory.of(model.parts.model)
        self._free = free_memory(model.device, self._takes.traced(n_pos)) if free is None else free
        self._n_pos, self._on_processor = n_pos, model.device.type != "cuda"
        self._cross_layer = isinstance(model.transcoders, CrossLayerTranscoder)
        refuse_longer_than_free(n_pos, self._free, self._takes.traced, "tracing it")

    def refuse_more_features(self, n_features: int) -> None:
        """Raises PromptRefused where the prompt with so many active features takes more than is free."""
        needed = self._takes.traced(self._n_pos) + self._takes.features(n_features, cross_layer=self._cross_layer)
        if needed > self._free and self._on_processor:
            self._free += kept_values().let_go(needed - self._free)
        if needed <= self._free:
            return
        fewer = int((self._n_pos - 1) * self._free / needed)
        raise PromptRefused(
            f"This prompt of {plural(self._n_pos - 1, 'token')} wakes {count(n_features)} features or more: tracing it "
            f"takes about {memory(needed)}, and {memory(self._free)} are free. Use a prompt of less than "
            f"{count(max(2, fewer))} tokens, or transcoders that wake fewer; or close what else takes memory."
        )
