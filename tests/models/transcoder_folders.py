"""Tiny transcoder sets in the layouts in which they are published, and what they compute, by the published formulas."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

N_FEATURES, TOP = 40, 5


@dataclass(frozen=True, eq=False)
class Drawn:
    """One layer's transcoder."""

    w_enc: torch.Tensor  # (n_features, d_model)
    w_dec: torch.Tensor  # (n_features, d_model)
    b_enc: torch.Tensor
    b_dec: torch.Tensor
    threshold: torch.Tensor
    skip: torch.Tensor  # (d_model, d_model): what goes out, what comes in

    @classmethod
    def of(cls, layer: int, d_model: int, n_features: int = N_FEATURES) -> "Drawn":
        generator = torch.Generator().manual_seed(layer)
        sizes = ((n_features, d_model), (n_features, d_model), (n_features,), (d_model,), (n_features,), (d_model,) * 2)
        tensors = [0.3 * torch.randn(size, generator=generator) for size in sizes]
        tensors[4] = tensors[4].abs()
        # On x = 0 the first feature is at its threshold, and the second below 0 and above a threshold that is lower.
        tensors[4][0] = tensors[2][0] = 0.4
        tensors[4][1], tensors[2][1] = -0.2, -0.1
        return cls(*tensors)


def drawn(n_layers: int, d_model: int) -> list[Drawn]:
    return [Drawn.of(layer, d_model) for layer in range(n_layers)]


Activation = Callable[[torch.Tensor, Drawn], torch.Tensor]


def relu(pre: torch.Tensor, _: Drawn) -> torch.Tensor:
    return pre * (pre > 0)


def jump_relu(pre: torch.Tensor, layer: Drawn) -> torch.Tensor:
    return pre * (pre > layer.threshold) * (pre > 0)


def bare_jump_relu(pre: torch.Tensor, layer: Drawn) -> torch.Tensor:
    """circuit-tracer's, which has no ReLU in it."""
    return pre * (pre > layer.threshold)


def top_k(pre: torch.Tensor, _: Drawn) -> torch.Tensor:
    least = pre.sort(dim=-1, descending=True).values[..., TOP - 1 : TOP]
    return pre * (pre >= least)


def relu_top_k(pre: torch.Tensor, layer: Drawn) -> torch.Tensor:
    return top_k(relu(pre, layer), layer)


@dataclass(frozen=True)
class Kind:
    """How a set is written, for which family, and what it computes."""

    write: Callable[[Path, Sequence[Drawn]], None]
    activation: Activation = relu
    family: str = "llama"
    skip: bool = False
    less_b_dec: bool = False  # the encoder reads x - b_dec
    reads: str = "mlp.hook_in"
    writes: str = "mlp.hook_out"

    def encoded(self, layer: Drawn, x: torch.Tensor) -> torch.Tensor:
        read = x - layer.b_dec if self.less_b_dec else x
        return self.activation(read @ layer.w_enc.T + layer.b_enc, layer)

    def output(self, layer: Drawn, x: torch.Tensor) -> torch.Tensor:
        output = self.encoded(layer, x) @ layer.w_dec + layer.b_dec
        return output + x @ layer.skip.T if self.skip else output


def save(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


def save_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


HOOKS = "feature_input_hook: mlp.hook_in\nfeature_output_hook: mlp.hook_out\n"


def tracer(config: str = "", *, thresholds: bool = False, skip: bool = False) -> Callable[..., None]:
    def write(folder: Path, layers: Sequence[Drawn]) -> None:
        (folder / "config.yaml").write_text(f"model_kind: transcoder_set\n{HOOKS}{config}", encoding="utf-8")
        for number, layer in enumerate(layers):
            save(
                folder / f"layer_{number}.safetensors",
                {"W_enc": layer.w_enc, "W_dec": layer.w_dec, "b_enc": layer.b_enc, "b_dec": layer.b_dec}
                | ({"activation_function.threshold": layer.threshold} if thresholds else {})
                | ({"W_skip": layer.skip} if skip else {}),
            )

    return write


def gemma_scope(save_npz: Callable[..., None] = np.savez) -> Callable[..., None]:
    def write(folder: Path, layers: Sequence[Drawn]) -> None:
        for number, layer in enumerate(layers):
            path = folder / f"layer_{number}/width_16k/average_l0_{number + 3}/params.npz"
            path.parent.mkdir(parents=True)
            save_npz(
                path, W_enc=np.ascontiguousarray(layer.w_enc.T.numpy()), W_dec=layer.w_dec.numpy(),
                b_enc=layer.b_enc.numpy(), b_dec=layer.b_dec.numpy(), threshold=layer.threshold.numpy(),
            )  # fmt: skip

    return write


def gemma_scope_2(*, affine: bool = False, **changed: object) -> Callable[..., None]:
    def write(folder: Path, layers: Sequence[Drawn]) -> None:
        for number, layer in enumerate(layers):
            own = folder / f"transcoder_all/layer_{number}_width_16k_l0_small{'_affine' if affine else ''}"
            save(
                own / "params.safetensors",
                {"w_enc": layer.w_enc.T, "w_dec": layer.w_dec, "b_enc": layer.b_enc, "b_dec": layer.b_dec}
                | {"threshold": layer.threshold}
                | ({"affine_skip_connection": layer.skip.T} if affine else {}),
            )
            module = f"model.layers.{number}"
            save_json(
                own / "config.json",
                {"hf_hook_point_in": f"{module}.pre_feedforward_layernorm.output", "width": 16384, "l0": 20,
                 "hf_hook_point_out": f"{module}.post_feedforward_layernorm.output", "type": "transcoder",
                 "architecture": "jump_relu", "model_name": "google/gemma-3-1b-pt", "affine_connection": affine,
                 **changed},
            )  # fmt: skip

    return write


def saelens(architecture: str, **changed: object) -> Callable[..., None]:
    """Version 6."""

    def write(folder: Path, layers: Sequence[Drawn]) -> None:
        for number, layer in enumerate(layers):
            own = folder / f"blocks.{number}"
            _saelens_weights(own, layer, architecture)
            save_json(
                own / "cfg.json",
                {"architecture": architecture, "d_in": 24, "d_out": 24, "d_sae": N_FEATURES, "dtype": "float32",
                 "device": "cpu", "apply_b_dec_to_input": False, "normalize_activations": "none",
                 "reshape_activations": "none", **changed,
                 "metadata": {"sae_lens_version": "6.12.0", "hook_name": f"blocks.{number}.mlp.hook_in",
                              "hook_name_out": f"blocks.{number}.hook_mlp_out", "prepend_bos": True}},
            )  # fmt: skip

    return write


def old_saelens(**changed: object) -> Callable[..., None]:
    """Version 5: everything side by side, and a transcoder saved as an autoencoder with a second hook."""

    def write(folder: Path, layers: Sequence[Drawn]) -> None:
        for number, layer in enumerate(layers):
            own = folder / f"layer {number}"
            _saelens_weights(own, layer, "standard")
            save_json(
                own / "cfg.json",
                {"architecture": "standard", "d_in": 24, "d_sae": N_FEATURES, "dtype": "float32", "device": "cuda",
                 "model_name": "tiny", "hook_name": f"blocks.{number}.ln2.hook_normalized", "hook_layer": number,
                 "hook_name_out": f"blocks.{number}.hook_mlp_out", "hook_head_index": None, "activation_fn_str": "relu",
                 "activation_fn_kwargs": {}, "apply_b_dec_to_input": True, "finetuning_scaling_factor": False,
                 "normalize_activations": False, "prepend_bos": True, **changed},
            )  # fmt: skip

    return write


def _saelens_weights(folder: Path, layer: Drawn, architecture: str) -> None:
    save(
        folder / "sae_weights.safetensors",
        {"W_enc": layer.w_enc.T, "W_dec": layer.w_dec, "b_enc": layer.b_enc, "b_dec": layer.b_dec}
        | ({"threshold": layer.threshold} if "jumprelu" in architecture else {})
        | ({"W_skip": layer.skip} if "skip" in architecture else {}),
    )


def sparsify(hook_point: str = "layers.{}.mlp", **changed: object) -> Callable[..., None]:
    config = {
        "activation": "topk", "expansion_factor": 32, "normalize_decoder": True, "num_latents": N_FEATURES, "k": TOP,
        "multi_topk": False, "skip_connection": False, "transcode": True, "d_in": 24,
    } | changed  # fmt: skip

    def write(folder: Path, layers: Sequence[Drawn]) -> None:
        for number, layer in enumerate(layers):
            own = folder / hook_point.format(number)
            save(
                own / "sae.safetensors",
                {"encoder.weight": layer.w_enc, "encoder.bias": layer.b_enc, "W_dec": layer.w_dec, "b_dec": layer.b_dec}
                | ({"W_skip": layer.skip} if config["skip_connection"] else {}),
            )
            save_json(own / "cfg.json", {name: value for name, value in config.items() if value is not None})

    return write


def old_sparsify(folder: Path, layers: Sequence[Drawn]) -> None:
    """Before February 2025: only the training's config says that these are transcoders."""
    sparsify(transcode=None)(folder, layers)
    save_json(folder / "config.json", {"transcode": True, "sae": {"k": TOP}})


_TOP = f"activation: topk\nk: {TOP}\n"
_LENS = Kind(saelens("transcoder"), writes="hook_mlp_out")
_SCOPE = Kind(gemma_scope(), jump_relu, "gemma2", reads="ln2.hook_normalized", writes="hook_mlp_out")
_SCOPE_2 = Kind(gemma_scope_2(), jump_relu, "gemma3_text", writes="hook_mlp_out")
KINDS = {
    "circuit-tracer": Kind(tracer()),
    "circuit-tracer, JumpReLU": Kind(tracer(thresholds=True), bare_jump_relu),
    "circuit-tracer, TopK": Kind(tracer(_TOP), top_k),
    "circuit-tracer, skip": Kind(tracer(skip=True), skip=True),
    "Gemma Scope": _SCOPE,
    "Gemma Scope, compressed": replace(_SCOPE, write=gemma_scope(np.savez_compressed)),
    "Gemma Scope 2": _SCOPE_2,
    "Gemma Scope 2, affine": replace(_SCOPE_2, write=gemma_scope_2(affine=True), skip=True),
    "SAELens": _LENS,
    "SAELens, skip": replace(_LENS, write=saelens("skip_transcoder"), skip=True),
    "SAELens, JumpReLU": replace(_LENS, write=saelens("jumprelu_transcoder"), activation=jump_relu),
    "SAELens, JumpReLU, skip": replace(
        _LENS, write=saelens("jumprelu_skip_transcoder"), activation=jump_relu, skip=True
    ),
    "SAELens, TopK": replace(_LENS, write=saelens("topk", k=TOP), activation=relu_top_k),
    "SAELens 5": replace(_LENS, write=old_saelens(), reads="ln2.hook_normalized", less_b_dec=True),
    "SAELens 5, TopK": replace(
        _LENS, write=old_saelens(activation_fn_str="topk", activation_fn_kwargs={"k": TOP}), activation=relu_top_k,
        reads="ln2.hook_normalized", less_b_dec=True,
    ),
    "sparsify": Kind(sparsify(), relu_top_k),
    "sparsify, skip": Kind(sparsify("model.layers.{}.mlp", skip_connection=True), relu_top_k, skip=True),
    "sparsify of 2024": Kind(old_sparsify, relu_top_k, less_b_dec=True),
}  # fmt: skip


def cross_layer(config: str = "", *, thresholds: bool = False) -> Callable[..., None]:
    """`w_dec` of a layer stands for the first it writes to; those after it get the same, times 1, 2, …."""

    def write(folder: Path, layers: Sequence[Drawn]) -> None:
        (folder / "config.yaml").write_text(f"model_kind: cross_layer_transcoder\n{HOOKS}{config}", encoding="utf-8")
        for number, layer in enumerate(layers):
            save(
                folder / f"W_enc_{number}.safetensors",
                {f"W_enc_{number}": layer.w_enc, f"b_enc_{number}": layer.b_enc, f"b_dec_{number}": layer.b_dec}
                | ({f"threshold_{number}": layer.threshold} if thresholds else {}),
            )
            save(folder / f"W_dec_{number}.safetensors", {f"W_dec_{number}": written_later(layer, number, len(layers))})

    return write


def written_later(layer: Drawn, number: int, n_layers: int) -> torch.Tensor:
    """(n_features, n_layers - number, d_model)"""
    return torch.stack([layer.w_dec * (1 + later) for later in range(n_layers - number)], dim=1)
