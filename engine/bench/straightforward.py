"""EAP-IG as it is written first: the other side of `component_scores`.

A Llama whose heads each get q, k and v inputs of their own (n, n_pos, n_heads, d_model) and write results of their own,
activation differences of all sources side by side (n, n_pos, n_sources, d_model), and a hook at every input that
multiplies its gradient with all differences before it, at every step.
"""

from collections.abc import Callable

import numpy as np
import torch
from transformers import PreTrainedModel
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from engine.components.pairs import TokenPairs
from engine.domain.components import ComponentShape

Hook = Callable[[int, int, torch.Tensor], torch.Tensor]  # first input (or source), how many, tensor -> the same tensor


class SplitLlama:
    """The forward pass of a Llama without grouped heads. `read` sees all inputs of nodes, `write` all their outputs."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        config = model.config
        self.shape = ComponentShape(n_layers=config.num_hidden_layers, n_heads=config.num_attention_heads)
        self.d_model, self.d_head = config.hidden_size, config.head_dim
        self.layers = model.model.layers
        n_heads = self.shape.n_heads
        attentions = [layer.self_attn for layer in self.layers]
        self.weights = [
            [p.weight.view(n_heads, self.d_head, self.d_model) for p in (a.q_proj, a.k_proj, a.v_proj)]
            for a in attentions
        ]
        self.outputs = [a.o_proj.weight.T.reshape(n_heads, self.d_head, self.d_model) for a in attentions]

    def embedded(self, ids: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.model.model.embed_tokens(ids)
        return found

    def logits(self, stream: torch.Tensor, read: Hook, write: Hook) -> torch.Tensor:
        """(n, n_pos, d_vocab) of what enters layer 0, (n, n_pos, d_model)."""
        shape, n_pos = self.shape, stream.shape[1]
        rotary = self.model.model.rotary_emb(stream, torch.arange(n_pos)[None])
        causal = torch.full((n_pos, n_pos), -torch.inf).triu(1)
        write(0, 1, stream[:, :, None])
        for number, layer in enumerate(self.layers):
            heads = []
            for which, weight in enumerate(self.weights[number]):
                own = stream[:, :, None].repeat(1, 1, shape.n_heads, 1)  # (n, n_pos, n_heads, d_model)
                own = read(shape.head_input(number, 0, which), shape.n_heads, own)  # type: ignore[arg-type]
                normed = layer.input_layernorm(own)
                heads.append(torch.einsum("nphd,hed->nhpe", normed, weight))
            q, k = apply_rotary_pos_emb(heads[0], heads[1], *rotary)
            pattern = (q @ k.transpose(2, 3) * self.d_head**-0.5 + causal).softmax(-1)
            results = torch.einsum("nhpe,hed->nphd", pattern @ heads[2], self.outputs[number])
            results = write(shape.head_source(number, 0), shape.n_heads, results)
            stream = stream + results.sum(2)
            own = read(shape.mlp_input(number), 1, stream[:, :, None].clone())[:, :, 0]
            output = layer.mlp(layer.post_attention_layernorm(own))
            stream = stream + write(shape.mlp_source(number), 1, output[:, :, None])[:, :, 0]
        own = read(shape.logits_input, 1, stream[:, :, None].clone())[:, :, 0]
        logits: torch.Tensor = self.model.lm_head(self.model.model.norm(own))
        return logits


def straightforward_scores(model: PreTrainedModel, pairs: TokenPairs, *, n_steps: int, batch: int) -> np.ndarray:
    """(n_inputs, n_sources) float32 for the logit difference, mean over pairs."""
    split = SplitLlama(model)
    total = torch.zeros(split.shape.n_inputs, split.shape.n_sources)
    for start in range(0, len(pairs), batch):
        _add_batch(split, pairs.part(range(start, min(start + batch, len(pairs)))), n_steps, total)
    scores: np.ndarray = (total / (len(pairs) * n_steps)).numpy()
    return scores


def _add_batch(split: SplitLlama, pairs: TokenPairs, n_steps: int, total: torch.Tensor) -> None:
    shape = split.shape
    difference = torch.zeros(*pairs.clean.shape, shape.n_sources, split.d_model)

    def adding(sign: float) -> Hook:
        def hook(first: int, n: int, written: torch.Tensor) -> torch.Tensor:
            difference[:, :, first : first + n] += sign * written
            return written

        return hook

    def keep(first: int, n: int, tensor: torch.Tensor) -> torch.Tensor:
        return tensor

    def scoring(first: int, n: int, own: torch.Tensor) -> torch.Tensor:
        before = sources_before(shape, first)

        def multiply(gradient: torch.Tensor) -> None:
            product = torch.einsum("npfd,npbd->bf", difference[:, :, :before], gradient)
            total[first : first + n, :before] += product

        own.register_hook(multiply)
        return own

    with torch.no_grad():
        clean, corrupted = split.embedded(pairs.clean), split.embedded(pairs.corrupted)
        split.logits(corrupted, keep, adding(1.0))
        split.logits(clean, keep, adding(-1.0))
    rows = torch.arange(len(pairs))
    for step in range(1, n_steps + 1):
        start = torch.lerp(corrupted, clean, step / n_steps).requires_grad_(True)
        logits = split.logits(start, scoring, keep)[rows, pairs.lengths - 1]
        metric = logits[rows, pairs.answers] - logits[rows, pairs.corrupted_answers]
        torch.autograd.grad(metric.sum(), start)


def sources_before(shape: ComponentShape, row: int) -> int:
    """How many sources may feed this input."""
    layer, place = divmod(row, 3 * shape.n_heads + 1)
    return shape.n_before(layer, mlp=place == 3 * shape.n_heads)
