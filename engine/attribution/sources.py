"""What writes into the stream: active features, what the transcoders miss, and the embeddings of the tokens.

Columns of the edges are in circuit-tracer's order: features by layer, position and index; errors layer by layer;
tokens.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from circuit_tracer.transcoder.cross_layer_transcoder import CrossLayerTranscoder

from engine.attribution.recording import Recorded
from engine.models.replacement import FIRST, ReplacementModel


@dataclass(frozen=True, eq=False)
class Written:
    """Vectors that are written in one layer: at each position as many places as the fullest one needs, and its error.

    Positions are 1, 2, …: nothing is written at position 0.
    """

    vectors: torch.Tensor  # (n_pos - 1, n_slots, d_model) float32, zeros where a place is empty; the last is the error
    column: torch.Tensor  # (n_pos - 1, n_slots) of the source that it belongs to, `nowhere` where it is empty


@dataclass(frozen=True, eq=False)
class Sources:
    """Of one recorded pass."""

    active: torch.Tensor  # (n_features, 3) int64: layer, position, index
    activations: torch.Tensor  # (n_features,)
    encoders: torch.Tensor  # (n_features, d_model) float32, what each feature reads along
    reconstruction: torch.Tensor  # (n_layers, n_pos, d_model), zero at position 0
    written: list[Written]  # a layer an entry: features and errors
    tokens: torch.Tensor  # (n_pos, d_model) float32

    @property
    def n_features(self) -> int:
        return len(self.active)

    @property
    def first_token(self) -> int:
        """Column of the first token."""
        return self.n_features + len(self.written) * len(self.tokens)

    @property
    def n_columns(self) -> int:
        return self.first_token + len(self.tokens)

    @property
    def nowhere(self) -> int:
        """The column behind the last: of empty places."""
        return self.n_columns


@dataclass(frozen=True, eq=False)
class Placed:
    """Vectors of some features, by position: what they write in one layer, or read along."""

    vectors: torch.Tensor  # (n, d_model) float32
    position: torch.Tensor  # (n,) ascending, never 0
    column: torch.Tensor  # (n,) of the feature


def sources_of(
    model: ReplacementModel, recorded: Recorded, found: Callable[[int], None] = lambda n_features: None
) -> Sources:
    """Active features as circuit-tracer finds them: none at position 0, where errors are zero, too.

    `found` is told how many there are so far, before what they write is fetched; it may raise.
    """
    reads, writes = recorded.reads, recorded.writes.float()
    n_layers, n_pos, _ = reads.shape
    encoded = (_across_layers if _is_cross_layer(model) else _by_layer)(model, reads, found)
    n_features = len(encoded.active)
    reconstruction, written = torch.zeros_like(writes), []
    for layer, decoded in enumerate(encoded.decoded):
        vectors, column = laid_out(decoded, n_pos - 1, nowhere=n_features + n_layers * n_pos + n_pos)
        # Summed by place: circuit-tracer's own sum has other last bits every time on a GPU.
        torch.add(_constant(model, layer, reads[layer, 1:]), vectors.sum(1), out=reconstruction[layer, 1:])
        torch.sub(writes[layer, 1:], reconstruction[layer, 1:], out=vectors[:, -1])
        first_error = n_features + layer * n_pos
        column[:, -1] = torch.arange(first_error + 1, first_error + n_pos, device=column.device)
        written.append(Written(vectors, column))
    return Sources(
        active=encoded.active,
        activations=encoded.activations,
        encoders=encoded.encoders.float(),
        reconstruction=reconstruction,
        written=written,
        tokens=recorded.embedded,
    )


def laid_out(decoded: Placed, n_places: int, nowhere: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(n_places, n_slots, d_model) vectors and (n_places, n_slots) columns, the last slot of each place left empty."""
    place = decoded.position - 1
    counts = torch.bincount(place, minlength=n_places)
    n_slots = int(counts.max()) + 1
    before = counts.cumsum(0) - counts
    slot = place * n_slots + torch.arange(len(place), device=place.device) - before[place]
    vectors = decoded.vectors.new_zeros(n_places * n_slots, decoded.vectors.shape[1])
    column = torch.full((n_places * n_slots,), nowhere, device=place.device)
    vectors[slot], column[slot] = decoded.vectors, decoded.column
    return vectors.view(n_places, n_slots, -1), column.view(n_places, n_slots)


def _constant(model: ReplacementModel, layer: int, reads: torch.Tensor) -> torch.Tensor:
    """What a layer's transcoder writes besides its features: its decoder bias, and what its skip connection carries."""
    transcoders = model.transcoders
    bias = transcoders.b_dec[layer] if _is_cross_layer(model) else transcoders[layer].b_dec
    constant = transcoders.compute_skip(layer, reads) + bias if transcoders.skip_connection else bias
    return constant.float()


@dataclass(frozen=True, eq=False)
class _Encoded:
    active: torch.Tensor  # (n_features, 3) layer, position, index
    activations: torch.Tensor  # (n_features,)
    encoders: torch.Tensor  # (n_features, d_model)
    decoded: list[Placed]  # a layer an entry


def _is_cross_layer(model: ReplacementModel) -> bool:
    return isinstance(model.transcoders, CrossLayerTranscoder)


def _by_layer(model: ReplacementModel, reads: torch.Tensor, found: Callable[[int], None]) -> _Encoded:
    active, activations, encoders, decoded, start = [], [], [], [], 0
    for layer, transcoder in enumerate(model.transcoders):
        features, read_along = transcoder.encode_sparse(reads[layer], FIRST)
        position, index = features.indices()
        found(start + len(index))
        values = features.values()
        column = torch.arange(start, start + len(index), device=index.device)
        vectors = transcoder._get_decoder_vectors(index) * values[:, None]
        active.append(torch.stack([torch.full_like(index, layer), position, index], 1))
        activations.append(values)
        encoders.append(read_along)
        decoded.append(Placed(vectors.float(), position, column))
        start += len(index)
    return _Encoded(torch.cat(active), torch.cat(activations), torch.cat(encoders), decoded)


def _across_layers(model: ReplacementModel, reads: torch.Tensor, found: Callable[[int], None]) -> _Encoded:
    features, encoders = model.transcoders.encode_sparse(reads, zero_positions=FIRST)
    found(features._nnz())
    if features._nnz():
        positions, layers, _, vectors, column = model.transcoders.select_decoder_vectors(features)
    else:  # which it cannot do without one
        positions = layers = column = torch.zeros(0, dtype=torch.int64, device=reads.device)
        vectors = reads.new_zeros(0, reads.shape[2])

    def written() -> Iterator[Placed]:
        for layer in range(len(reads)):
            here = (layers == layer).nonzero()[:, 0]
            here = here[positions[here].argsort(stable=True)]
            yield Placed(vectors[here].float(), positions[here], column[here])

    return _Encoded(features.indices().T, features.values(), encoders, list(written()))
