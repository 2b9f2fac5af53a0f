"""What a unit more of a feature does to an output's logit, by the model's own gradients: attention, norms, MLPs react.

An output's logit is that of a graph: minus the mean logit, before any soft cap. Its gradient is taken at what the
transcoders stand for in every layer, and meets what a feature writes there; cross-layer features write in several.
"""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from engine.models.base import encode
from engine.models.low_rank import matrix
from engine.models.replacement import Replacement, ReplacementModel

# Tokens that gradients of several outputs have together on their way down: with what a layer makes of them, some 0.1 GB
# on a model of 135 M parameters.
_PLACES_AT_ONCE = 2048


def feature_gradients(
    replacement: Replacement,
    merged: PreTrainedModel | None,
    prompt: str,
    outputs: Sequence[int],
    features: np.ndarray,
) -> np.ndarray:
    """(n_outputs, n) float32 of token ids and of features (n, 3), active or not, in the checkpoint `merged` (None: the
    base). Safe in threads: it holds the replacement's lock. Raises PromptRefused."""
    tokens = encode(replacement.loaded, prompt)[0]
    with replacement.opened(merged) as model:
        places = torch.as_tensor(features, device=model.device)
        found = along_features(model, places, output_gradients(model, tokens, outputs))
    return found.cpu().numpy()


def output_gradients(model: ReplacementModel, prompt: torch.Tensor, outputs: Sequence[int]) -> torch.Tensor:
    """(n_outputs, n_layers, n_pos, d_model) float32 of each output (token id), at what transcoders stand for.

    The prompt (n_pos,) runs once, and as many outputs at once are followed down as memory allows.
    """
    written: list[torch.Tensor] = []

    def keep(output: torch.Tensor) -> torch.Tensor:
        written.append(output if output.requires_grad else output.requires_grad_())
        return written[-1]

    parts, rows = model.parts, matrix(model.parts.unembedding)
    vectors = rows[list(outputs)] - rows.mean(0)
    with torch.enable_grad(), model.points.hooked(1, {}, dict.fromkeys(range(model.n_layers), keep)):
        mask = parts.causal_mask(1, len(prompt))
        read = parts.body(input_ids=prompt[None], attention_mask=mask, use_cache=False).last_hidden_state[0, -1]
    found = []
    for some in vectors.to(read.dtype).split(max(1, _PLACES_AT_ONCE // len(prompt))):
        gradients = torch.autograd.grad(read, written, some, is_grads_batched=True, retain_graph=True)
        found.append(torch.stack([gradient[:, 0].float() for gradient in gradients], 1))
    return torch.cat(found)


def along_features(model: ReplacementModel, places: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    """(n_gradients, n): gradients (n_gradients, n_layers, n_pos, d_model) along what a unit of each feature (n, 3)
    writes."""
    along = torch.zeros(len(gradients), len(places), device=places.device)
    for layer in places[:, 0].unique().tolist():
        rows = (places[:, 0] == layer).nonzero()[:, 0]
        decoders = model.decoders(layer, places[rows, 2]).float()  # (n, n_written, d_model)
        for number in range(decoders.shape[1]):
            at = gradients[:, layer + number, places[rows, 1]]
            along[:, rows] += torch.einsum("gnd,nd->gn", at, decoders[:, number])
    return along
