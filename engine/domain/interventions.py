"""Changing features inside a checkpoint, and what that did to its outputs."""

import hashlib
from typing import Annotated

from pydantic import Field

from engine.domain.graphs import GraphKey
from engine.domain.record import Record

Factor = Annotated[float, Field(ge=0, le=10)]  # what an activation is multiplied by; 0 ablates
FeatureIds = Annotated[tuple[str, ...], Field(min_length=1, max_length=200)]  # feature/LAYER/POSITION/INDEX


class InterventionKey(Record):
    """What was done: in the checkpoint, on the prompt and to the outputs of `graph`."""

    graph: GraphKey
    features: FeatureIds  # sorted, each once
    factor: Factor = 0.0

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:20]


class Intervention(Record):
    """The outputs before and after, measured; and what the attribution graph predicts with everything else held.

    Columns run over the graph's target tokens, in its order. Logits are minus the mean logit.
    """

    key: InterventionKey
    changed: tuple[str, ...]  # of the features asked for, those that are active in this checkpoint
    tokens: tuple[str, ...]
    p_before: tuple[float, ...]
    p_after: tuple[float, ...]
    logit_before: tuple[float, ...]
    logit_after: tuple[float, ...]
    predicted: tuple[float, ...]  # change of the logit that follows from the graph's edges
    uncut: bool = False  # predicted from all edges; before that was done, from those that were kept for storage
