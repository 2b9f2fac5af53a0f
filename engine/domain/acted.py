"""Where training acted: how the change of one output's logit splits over matrices, heads, tokens and training time.

Along the straight line of weights from one checkpoint to the next the logit's change is the integral of the gradient
times the change of weights (loss change allocation, Lan et al. 2019, here for a logit and by token). So it splits
exactly, whatever was trained, and no transcoders are needed.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from engine.domain.explained import ExplainedLogits
from engine.domain.record import Record

EMBEDDING_LAYER = -1  # of token and position embeddings; what stands behind the last layer is layer n_layers
# Of the logit, or of 1 where that is less. A float32 rounding of all weights of the demo’s model moves its logits by
# up to 5e-7 of them; one short stretch of training, the least that we have seen, makes a part of 2e-4.
ROUNDING = 1e-5
# How exact a stretch is: so much of its change its parts may leave, or so little that no figure shows it.
TOLERANCE, INVISIBLE = 0.01, 0.002
POINTS = 4  # of the line of weights at which gradients are taken at least; more where their sum is not exact enough
HeadKind = Literal["query", "key", "value", "output"]


class ActedKey(Record):
    """What was asked: of which checkpoints, in the order of training, and of which outputs."""

    checkpoints: Annotated[tuple[str, ...], Field(min_length=2)]  # RUN@LABEL; the first is A, the last B
    hashes: tuple[str, ...]  # of their weights and the base: a run made again under its old name differs
    prompt: str  # without BOS
    explained: ExplainedLogits

    @model_validator(mode="before")
    @classmethod
    def _of_one_answer(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "answer" not in given:
            return given
        rest = {name: value for name, value in given.items() if name != "answer"}
        return rest | {"explained": {"answers": [given["answer"]]}}

    @model_serializer(mode="wrap")
    def _one_answer_by_its_id(self, whole: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # As all keys were written before there were several, so that these keep their hashes.
        record: dict[str, Any] = whole(self)
        if len(self.explained.tokens) == 1:
            del record["explained"]
            record["answer"] = self.explained.answers[0]
        return record

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:20]

    @property
    def stretches(self) -> tuple["ActedKey", ...]:
        """The same asked of each stretch by itself."""
        ends = zip(pairwise(self.checkpoints), pairwise(self.hashes), strict=True)
        return tuple(self.model_copy(update={"checkpoints": refs, "hashes": hashes}) for refs, hashes in ends)


def joined_key(keys: Sequence[ActedKey]) -> ActedKey:
    """Of one course over several. Raises ValueError where they are no chain, of one prompt and output."""
    for one, other in pairwise(keys):
        ends = [(of.prompt, of.explained, of.checkpoints[n], of.hashes[n]) for of, n in ((one, -1), (other, 0))]
        if ends[0] != ends[1]:
            raise ValueError(f"{one.checkpoints} and {other.checkpoints} are no chain: {ends[0]} is not {ends[1]}")
    first, *rest = keys
    return first.model_copy(
        update={
            name: (*getattr(first, name), *(end for one in rest for end in getattr(one, name)[1:]))
            for name in ("checkpoints", "hashes")
        }
    )


@dataclass(frozen=True)
class ChangedMatrix:
    """A module whose own weights differ between the ends of a stretch: a matrix with its bias, a norm, embeddings."""

    name: str  # as in the model, such as model.layers.3.mlp.down_proj
    layer: int  # EMBEDDING_LAYER, 0 …, n_layers


@dataclass(frozen=True)
class ChangedHead:
    """The part of a changed matrix that one head uses; keys and values may serve several query heads."""

    layer: int
    kind: HeadKind
    head: int  # of the queries, or of the keys and values where these are shared


@dataclass(frozen=True, eq=False)
class Stretch:
    """One straight line of weights, between two checkpoints.

    The logit is what is explained, before any soft cap; the probability that of the answers together.
    """

    before: float  # logit at a, measured
    after: float  # at b
    probability_before: float
    probability_after: float
    matrices: tuple[ChangedMatrix, ...]
    by_matrix: np.ndarray  # (n_matrices, n_pos) float32 parts of after - before
    heads: tuple[ChangedHead, ...]
    by_head: np.ndarray  # (n_heads, n_pos): what of it runs through single heads; biases of the output matrix do not
    n_points: int  # of the line at which gradients were taken

    @property
    def sum(self) -> float:
        return float(self.by_matrix.sum(dtype=np.float64))


def may_be_left(*changes: float) -> float:
    """Of a stretch's change, by its parts: by the largest of these changes, its own and others that it is beside."""
    return max(TOLERANCE * max(map(abs, changes)), INVISIBLE)


@dataclass(frozen=True, eq=False)
class PlaceEffects:
    """What each place's change, from A to B, does to what is explained; estimated from gradients at both ends."""

    mlp: np.ndarray  # (n_layers, n_pos)
    head: np.ndarray  # (n_layers, n_heads, n_pos)
    mlp_moved: np.ndarray  # (n_layers, n_pos) length of the change of what the MLP writes, whatever it does
    move: np.ndarray  # (n_pos, n_pos) to and from: the heads' effects, all together, by the tokens that they read


@dataclass(frozen=True, eq=False)
class Acted:
    """Of one prompt, from A to B, over the checkpoints between them."""

    key: ActedKey
    tokens: tuple[str, ...]  # (n_pos,) with BOS first
    words: tuple[str, ...]  # of `key.explained.tokens`, as the tokenizer writes them, with their blanks
    is_said: bool  # the only answer is what B says: its most probable token
    n_layers: int
    effects: PlaceEffects | None  # None: a family of which the places are not known
    stretches: tuple[Stretch, ...]  # in the order of training; the first begins at A, the last ends at B

    @property
    def answer(self) -> str:
        """What is explained: `smiles`, `smiles − cries`."""
        return self.key.explained.text(self.words)

    @property
    def before(self) -> float:
        return self.stretches[0].before

    @property
    def after(self) -> float:
        return self.stretches[-1].after

    def until(self, n_stretches: int) -> "Acted":
        """The same of the first stretches alone. What the places do is known only from A to B."""
        ends = slice(n_stretches + 1)
        key = self.key.model_copy(update={"checkpoints": self.key.checkpoints[ends], "hashes": self.key.hashes[ends]})
        effects = self.effects if n_stretches == len(self.stretches) else None
        return replace(self, key=key, stretches=self.stretches[:n_stretches], effects=effects)

    def alone(self, number: int) -> "Acted | None":
        """One of the stretches, as measuring it by itself finds it. What the places do and B says is not known of it.

        None where that may be more exact: of several, one that changes little is measured for what all change by.
        """
        one, mean = self.stretches[number], self.change / len(self.stretches)
        own = one.after - one.before
        at_once = one.n_points == POINTS and abs(own - one.sum) <= may_be_left(own)
        if not at_once and may_be_left(own) < may_be_left(own, mean):
            return None
        return replace(self, key=self.key.stretches[number], is_said=False, effects=None, stretches=(one,))

    @property
    def change(self) -> float:
        return self.after - self.before

    @property
    def is_same(self) -> bool:
        """Whether A and B, and all between them, answer alike: what differs is no more than float32 rounding."""
        return all(
            max(abs(one.after - one.before), float(np.abs(one.by_matrix).max(initial=0)))
            <= ROUNDING * max(1.0, abs(one.before), abs(one.after))
            for one in self.stretches
        )

    @property
    def sum(self) -> float:
        return float(sum(stretch.sum for stretch in self.stretches))

    @property
    def left(self) -> float:
        """What of the change the parts do not add up to."""
        return self.change - self.sum

    def places(self, stretches: Sequence[Stretch] | None = None) -> np.ndarray:
        """(n_layers + 2, n_pos) parts by layer and position: embeddings first, what follows the last layer last."""
        found = np.zeros((self.n_layers + 2, len(self.tokens)))
        for stretch in self.stretches if stretches is None else stretches:
            np.add.at(found, [matrix.layer + 1 for matrix in stretch.matrices], stretch.by_matrix)
        return found

    def by_matrix(self) -> dict[ChangedMatrix, np.ndarray]:
        """(n_pos,) parts of each matrix over all stretches."""
        found: dict[ChangedMatrix, np.ndarray] = {}
        for stretch in self.stretches:
            for matrix, parts in zip(stretch.matrices, stretch.by_matrix, strict=True):
                found[matrix] = found.get(matrix, 0.0) + parts
        return found

    def by_head(self) -> dict[ChangedHead, np.ndarray]:
        """(n_pos,) parts of each head over all stretches."""
        found: dict[ChangedHead, np.ndarray] = {}
        for stretch in self.stretches:
            for head, parts in zip(stretch.heads, stretch.by_head, strict=True):
                found[head] = found.get(head, 0.0) + parts
        return found


def joined(parts: Sequence[Acted]) -> Acted:
    """One course over several, of one prompt and output: each begins where the one before it ends.

    What the places do is known of each alone, so of the whole it is not. Raises ValueError where they are no chain.
    """
    key = joined_key([one.key for one in parts])
    first, *rest = parts
    stretches = tuple(stretch for one in parts for stretch in one.stretches)
    effects = None if rest else first.effects
    return replace(first, key=key, is_said=parts[-1].is_said, effects=effects, stretches=stretches)
