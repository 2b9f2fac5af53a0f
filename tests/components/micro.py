"""Tiny random models of every family, grouped heads where a family has them, and pairs that they can read."""

import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GPTNeoXConfig,
    LlamaConfig,
    PretrainedConfig,
    PreTrainedModel,
    Qwen3Config,
)

from engine.components.pairs import TokenPairs
from tests.families import SHAPE

D_VOCAB = 40
_SHAPE = SHAPE | {"vocab_size": D_VOCAB, "intermediate_size": 40, "num_hidden_layers": 2}
CONFIGS: dict[str, PretrainedConfig] = {
    "llama": LlamaConfig(**_SHAPE, num_key_value_heads=4, head_dim=6, attention_bias=True),
    "llama_grouped": LlamaConfig(**_SHAPE, num_key_value_heads=2, head_dim=8),
    "qwen3": Qwen3Config(**_SHAPE, num_key_value_heads=2, head_dim=8),
    "gemma2": Gemma2Config(
        **_SHAPE, num_key_value_heads=2, head_dim=8, sliding_window=4, query_pre_attn_scalar=8,
        attn_implementation="eager",
    ),
    "gpt_neox": GPTNeoXConfig(**_SHAPE, rotary_pct=0.5, use_parallel_residual=True),
    "gpt_neox_in_turn": GPTNeoXConfig(**_SHAPE, rotary_pct=0.5, use_parallel_residual=False),
}  # fmt: skip


def made(config: PretrainedConfig, *, seed: int = 0) -> PreTrainedModel:
    """With norms and biases that are not trivial; in training mode, and with weights that want gradients."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config)
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.data += 0.2 * torch.randn_like(parameter)
    return model.train()


def some_pairs(n: int, *, seed: int = 0, lengths: tuple[int, ...] = (5, 8)) -> TokenPairs:
    """Random tokens; prompts of a pair differ in two places."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*size: int) -> torch.Tensor:
        return torch.randint(3, D_VOCAB, size, generator=generator)

    clean = draw(n, max(lengths))
    clean[:, 0] = 1
    corrupted = clean.clone()
    corrupted[:, 2:4] = draw(n, 2)
    long = torch.tensor([lengths[row % len(lengths)] for row in range(n)])
    padding = torch.arange(max(lengths)) >= long[:, None]
    answers = draw(n)
    return TokenPairs(
        ids=tuple(f"pair-{row}" for row in range(n)),
        types=tuple("ab"[row % 3 == 0] for row in range(n)),
        clean=clean.masked_fill(padding, 0),
        corrupted=corrupted.masked_fill(padding, 0),
        lengths=long,
        answers=answers,
        corrupted_answers=3 + (answers - 3 + 1) % (D_VOCAB - 3),
    )
