"""Two checkpoints of a model of Gemma 2 2B's shape on a GPU, in bfloat16, with transcoders of 16,384 features a layer.

Weights, adapters and transcoders are random: what is measured is time and memory, and that a second trace has the same
bits. The transcoders lie on disk in circuit-tracer's form and are read as published ones are.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.bench.row import BenchRow, at_most, plain
from engine.bench.setting import Setting
from engine.bench.timing import medians
from engine.domain.errors import ModelUnavailable
from engine.domain.graphs import AttributionGraph, GraphKey, TraceSettings
from engine.domain.models import DEMO_MODEL, ModelSpec

if TYPE_CHECKING:
    from engine.models.base import LoadedModel

PROMPT = "the cat feels happy and it smiles so the king is sad and it cries"  # 16 tokens with BOS
N_FEATURES, ACTIVE, N_NODES, RANK = 16_384, 48, 8_192, 8
ROUNDS = 3
SPEC = ModelSpec(name="gemma-2-2b-shape", source="folder", location="nowhere", dtype="bfloat16", device="cuda")
SHAPE = {
    "vocab_size": 256_000, "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
    "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "max_position_embeddings": 8192,
    "sliding_window": 4096, "query_pre_attn_scalar": 256, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip


def measure(setting: Setting) -> list[BenchRow]:
    """Seconds for both graphs once everything has been loaded, and the peak of the GPU's memory."""
    import torch

    if not torch.cuda.is_available():
        raise ModelUnavailable("There is no GPU here that torch can use.")
    from engine.attribution.trace import trace_graph
    from engine.models.prompts import bos_id
    from engine.models.replacement import Replacement
    from engine.models.sharing import checkpoint_model
    from engine.models.transcoders import load_transcoders

    loaded = random_model(SPEC, SHAPE, setting)
    assert bos_id(loaded.tokenizer) == SHAPE["bos_token_id"]
    write_transcoders(setting.folder / "set", loaded, N_FEATURES, ACTIVE)
    replacement = Replacement(loaded, load_transcoders(setting.folder / "set", loaded))
    sides = [checkpoint_model(loaded, write_adapter(setting.folder / f"adapter-{n}", loaded, seed=n)) for n in (1, 2)]
    settings = TraceSettings(max_feature_nodes=N_NODES, batch_size=512)
    graphs: list[AttributionGraph] = []

    def both() -> None:
        graphs.extend(trace_graph(replacement, key=_key(n, settings), merged=side) for n, side in enumerate(sides))
        torch.cuda.synchronize()

    torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.memory_allocated()
    (seconds,) = medians((both,), rounds=ROUNDS)
    first, again = graphs[0], graphs[2]
    same = np.array_equal(first.weight, again.weight) and np.array_equal(first.source, again.source)
    return [
        at_most("two graphs of Gemma 2 2B's shape on a GPU", seconds, "s", limit=3),
        plain("features that become nodes in each", float(len(first.activation[first.kind == 0])), "features"),
        plain("GPU memory held before", held / 1e9, "GB"),
        plain("GPU memory at the peak", torch.cuda.max_memory_allocated() / 1e9, "GB"),
        at_most("edges that another trace of the same gives other bits", float(not same), "", limit=0),
    ]


def _key(number: int, settings: TraceSettings) -> GraphKey:
    return GraphKey(
        checkpoint=f"random@step{number}", checkpoint_hash=str(number), prompt=PROMPT, transcoders="random",
        transcoders_hash="0", settings=settings,
    )  # fmt: skip


def random_model(spec: ModelSpec, shape: dict[str, int], setting: Setting) -> "LoadedModel":
    """A Gemma 2 of this shape with random weights, made on its device, with the demo's tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, Gemma2Config

    from engine.models.base import BUILDING, LoadedModel, load_tokenizer

    config = Gemma2Config(**shape)
    dtype = getattr(torch, spec.dtype)
    with BUILDING, torch.device(spec.device), torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="eager")
    tokenizer = load_tokenizer(DEMO_MODEL, setting.store.base_folder(DEMO_MODEL))
    return LoadedModel(
        spec=spec,
        folder=Path("nowhere"),
        model=model.eval().requires_grad_(requires_grad=False),
        tokenizer=tokenizer,
        n_layers=config.num_hidden_layers,
        d_model=config.hidden_size,
        n_positions=config.max_position_embeddings,
        n_vocab=config.vocab_size,
        family=config.model_type,
    )


def write_transcoders(folder: Path, loaded: "LoadedModel", n_features: int, active: int) -> None:
    """A JumpReLU set in circuit-tracer's form, of which about `active` features are active on a token."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir()
    (folder / "config.yaml").write_text(
        "model_kind: transcoder_set\nfeature_input_hook: ln2.hook_normalized\nfeature_output_hook: hook_mlp_out\n"
    )
    normal = torch.distributions.Normal(0.0, 1.0)
    threshold = float(normal.icdf(torch.tensor(1 - active / n_features)))
    device, d_model = loaded.model.device, loaded.d_model
    for layer in range(loaded.n_layers):
        generator = torch.Generator(device).manual_seed(layer)
        draw = [torch.randn(n_features, d_model, generator=generator, device=device) for _ in range(2)]
        tensors = {
            "W_enc": draw[0] / d_model**0.5,
            "W_dec": draw[1] / d_model**0.5,
            "b_enc": torch.zeros(n_features),
            "b_dec": torch.zeros(d_model),
            "activation_function.threshold": torch.full((n_features,), threshold),
        }
        as_saved = {name: tensor.to(loaded.model.dtype).cpu() for name, tensor in tensors.items()}
        save_file(as_saved, folder / f"layer_{layer}.safetensors")


def write_adapter(folder: Path, loaded: "LoadedModel", *, seed: int) -> Path:
    """A random LoRA adapter on every linear layer but the output's, as PEFT saves it."""
    import torch
    from peft import LoraConfig
    from safetensors.torch import save_file

    generator = torch.Generator().manual_seed(seed)
    linear = dict(_linear_layers(loaded))
    tensors = {}
    for name, (n_out, n_in) in linear.items():
        prefix = f"base_model.model.{name}"
        tensors[f"{prefix}.lora_A.weight"] = torch.randn(RANK, n_in, generator=generator) / n_in**0.5
        tensors[f"{prefix}.lora_B.weight"] = 0.02 * torch.randn(n_out, RANK, generator=generator)
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    targets = sorted({name.rpartition(".")[2] for name in linear})
    config = LoraConfig(r=RANK, lora_alpha=RANK, target_modules=targets, task_type="CAUSAL_LM")
    config.save_pretrained(str(folder))
    written = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    written["base_model_name_or_path"] = loaded.spec.name
    (folder / "adapter_config.json").write_text(json.dumps(written), encoding="utf-8")
    return folder


def _linear_layers(loaded: "LoadedModel") -> Iterator[tuple[str, tuple[int, int]]]:
    import torch

    output = loaded.model.get_output_embeddings()
    for name, module in loaded.model.named_modules():
        if isinstance(module, torch.nn.Linear) and module is not output:
            yield name, (module.out_features, module.in_features)
