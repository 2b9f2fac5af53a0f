"""What writes into the stream: active features, what the transcoders miss, and the embeddings of the tokens.

Columns of the edges are in circuit-tracer's order: features by layer, position and index; errors layer by layer;
tokens.
"""

from dataclasses import dataclass

import torch
from circuit_tracer.transcoder.cross_layer_transcoder import CrossLayerTranscoder

from engine.attribution.recording import Recorded
from engine.models.replacement import FIRST, ReplacementModel


@dataclass(frozen=True, eq=False)
class Written:
    """Vectors that are written in one layer, by position: as many slots at each as the fullest one needs.

    Positions are 1, 2, …: nothing is written at position 0.
    """

    vectors: torch.Tensor  # (n_pos - 1, n_slots, d_model) float32, zeros where a slot is empty
    slot: torch.Tensor  # (n,) of each vector in the first two axes taken as one, by position
    column: torch.Tensor  # (n,) of the source it belongs to
    until: list[int]  # (n_pos,) how many vectors stand at position 1, …, up to a position

    @classmethod
    def of(cls, vectors: torch.Tensor, position: torch.Tensor, column: torch.Tensor, n_pos: int) -> "Written":
        """vectors (n, d_model), and each one's position and column, in any order."""
        order = position.argsort(stable=True)
        vectors, place, column = vectors[order], position[order] - 1, column[order]
        counts = torch.bincount(place, minlength=n_pos - 1)
        before = counts.cumsum(0) - counts
        n_slots = int(counts.max())
        slot = place * n_slots + torch.arange(len(place), device=place.device) - before[place]
        laid = vectors.new_zeros((n_pos - 1) * n_slots, vectors.shape[1])
        laid[slot] = vectors
        return cls(laid.view(n_pos - 1, n_slots, vectors.shape[1]), slot, column, [0, *counts.cumsum(0).tolist()])

    def with_one_more(self, vectors: torch.Tensor, column: torch.Tensor) -> "Written":
        """vectors (n_pos - 1, d_model): one at each position from 1 on, and their columns."""
        n_places, n_slots, _ = self.vectors.shape
        place = torch.arange(n_places, device=column.device)
        slot = torch.cat([self.slot + self.slot // max(1, n_slots), (place + 1) * (n_slots + 1) - 1])
        slot, order = slot.sort()
        return Written(
            torch.cat([self.vectors, vectors[:, None]], 1),
            slot,
            torch.cat([self.column, column])[order],
            [until + position for position, until in enumerate(self.until)],
        )


@dataclass(frozen=True, eq=False)
class Sources:
    """Of one recorded pass."""

    active: torch.Tensor  # (n_features, 3) int64: layer, position, index
    activations: torch.Tensor  # (n_features,)
    encoders: torch.Tensor  # (n_features, d_model) what each feature reads along
    reconstruction: torch.Tensor  # (n_layers, n_pos, d_model)
    errors: torch.Tensor  # (n_layers, n_pos, d_model), zero at position 0
    written: list[Written]  # a layer an entry: features and errors
    tokens: torch.Tensor  # (n_pos, d_model) float32

    @property
    def n_features(self) -> int:
        return len(self.active)

    @property
    def first_token(self) -> int:
        """Column of the first token."""
        return self.n_features + self.errors.shape[0] * self.errors.shape[1]

    @property
    def n_columns(self) -> int:
        return self.first_token + len(self.tokens)


def sources_of(model: ReplacementModel, recorded: Recorded) -> Sources:
    """Active features as circuit-tracer finds them: none at position 0, where errors are zero, too."""
    reads, writes = recorded.reads, recorded.writes.float()
    n_layers, n_pos, _ = reads.shape
    parts = _components(model, reads)
    matrix = parts["activation_matrix"]
    layers, positions = parts["decoder_locations"]
    later = torch.arange(1, n_pos, device=reads.device)
    reconstruction, errors = torch.zeros_like(writes), torch.zeros_like(writes)
    written = []
    for layer in range(n_layers):
        here = layers == layer
        features = Written.of(
            parts["decoder_vecs"][here].float(), positions[here], parts["encoder_to_decoder_map"][here], n_pos
        )
        # Summed by place: circuit-tracer's own sum has other last bits every time on a GPU.
        reconstruction[layer, later] = _constant(model, layer, reads[layer, later]) + features.vectors.sum(1)
        errors[layer, later] = writes[layer, later] - reconstruction[layer, later]
        written.append(features.with_one_more(errors[layer, later], matrix._nnz() + layer * n_pos + later))
    return Sources(
        active=matrix.indices().T,
        activations=matrix.values(),
        encoders=parts["encoder_vecs"].float(),
        reconstruction=reconstruction,
        errors=errors,
        written=written,
        tokens=recorded.embedded,
    )


def _constant(model: ReplacementModel, layer: int, reads: torch.Tensor) -> torch.Tensor:
    """What a layer's transcoder writes besides its features: its decoder bias, and what its skip connection carries."""
    transcoders = model.transcoders
    bias = transcoders.b_dec if isinstance(transcoders, CrossLayerTranscoder) else [one.b_dec for one in transcoders]
    skipped = transcoders.compute_skip(layer, reads) if transcoders.skip_connection else torch.zeros_like(reads)
    return (skipped + bias[layer]).float()


def _components(model: ReplacementModel, reads: torch.Tensor) -> dict[str, torch.Tensor]:
    """circuit-tracer's `compute_attribution_components`."""
    transcoders = model.transcoders
    if not isinstance(transcoders, CrossLayerTranscoder):
        found: dict[str, torch.Tensor] = transcoders.compute_attribution_components(reads, FIRST)
        return found
    # Its own function takes the last position with an active feature for the last of all.
    features, encoders = transcoders.encode_sparse(reads, zero_positions=FIRST)
    if features._nnz():
        positions, layers, _, decoders, of = transcoders.select_decoder_vectors(features)
    else:
        positions = layers = of = torch.zeros(0, dtype=torch.int64, device=reads.device)
        decoders = reads.new_zeros(0, reads.shape[2])
    return {
        "activation_matrix": features,
        "encoder_vecs": encoders,
        "decoder_vecs": decoders,
        "encoder_to_decoder_map": of,
        "decoder_locations": torch.stack([layers, positions]),
    }
