"""circuit-tracer's graph through its nnsight backend; a program of its own, since nnsight bears no other threads.

Argument: JSON with `folders` (family -> merged model with layer_N.safetensors), `prompt`, `targets` (token ids).
Writes oracle.npz into each folder.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from circuit_tracer import ReplacementModel, attribute
from circuit_tracer.transcoder import TranscoderSet
from circuit_tracer.transcoder.activation_functions import TopK
from circuit_tracer.transcoder.single_layer_transcoder import SingleLayerTranscoder
from safetensors.torch import load_file

# Written out again here: the oracle shares no code with what it checks.
HOOKS = {
    "llama": ("mlp.hook_in", "mlp.hook_out"),
    "qwen3": ("mlp.hook_in", "mlp.hook_out"),
    "gemma3_text": ("mlp.hook_in", "hook_mlp_out"),
    "gemma2": ("ln2.hook_normalized", "hook_mlp_out"),
}
TOP_K = 6


class ReluTopK(torch.nn.Module):
    def forward(self, pre: torch.Tensor) -> torch.Tensor:
        return torch.relu(TopK(TOP_K)(pre))


def transcoders(folder: Path, family: str) -> TranscoderSet:
    layers = {}
    for layer, path in enumerate(sorted(folder.glob("layer_*.safetensors"))):
        tensors = load_file(path)
        n_features, d_model = tensors["W_enc"].shape
        layers[layer] = SingleLayerTranscoder(
            d_model, n_features, ReluTopK(), layer, device=torch.device("cpu"), dtype=torch.float32
        )
        layers[layer].load_state_dict(tensors)
    return TranscoderSet(layers, *HOOKS[family], scan="oracle")


def main() -> None:
    given = json.loads(sys.argv[1])
    for family, name in given["folders"].items():
        folder = Path(name)
        model = ReplacementModel.from_pretrained_and_transcoders(
            str(folder), transcoders(folder, family), backend="nnsight", device=torch.device("cpu"),
            dtype=torch.float32, attn_implementation="eager",
        )  # fmt: skip
        targets = torch.tensor(given["targets"])
        graph = attribute("<bos> " + given["prompt"], model, attribution_targets=targets, batch_size=64)
        np.savez(
            folder / "oracle.npz",
            adjacency=graph.adjacency_matrix.numpy(),
            features=graph.active_features[graph.selected_features].numpy(),
            activations=graph.activation_values[graph.selected_features].detach().numpy(),
            probabilities=graph.logit_probabilities.detach().numpy(),
        )


if __name__ == "__main__":
    main()
