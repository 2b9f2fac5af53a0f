"""Transcoder sets that others published in circuit-tracer's form, and the models that they were trained on.

The list is that of circuit-tracer 0.5.0 ("Supported Models & Transcoders" in its README), of the families in which
circuits can be found here; its short name `gemma` stands for `mwhanna/gemma-scope-transcoders`. Left out are GPT-OSS,
whose family has no row, and Gemma 3, of which it names a collection and no set for each size.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class PublishedSet:
    """`hub_id`: as a model's `transcoders`. It fits every model of this family and shape, such as tuned ones."""

    hub_id: str
    trained_on: str  # hub id
    family: str  # model_type in config.json
    n_layers: int
    d_model: int
    cross_layer: bool = False


_GEMMA: Final = ("google/gemma-2-2b", "gemma2", 26, 2304)
_LLAMA: Final = ("meta-llama/Llama-3.2-1B", "llama", 16, 2048)
PUBLISHED: Final = (
    PublishedSet("mwhanna/gemma-scope-transcoders", *_GEMMA),
    PublishedSet("mntss/gemma-scope-transcoders", *_GEMMA),
    PublishedSet("mntss/clt-gemma-2-2b-426k", *_GEMMA, cross_layer=True),
    PublishedSet("mntss/clt-gemma-2-2b-2.5M", *_GEMMA, cross_layer=True),
    PublishedSet("mntss/transcoder-Llama-3.2-1B", *_LLAMA),
    PublishedSet("mntss/clt-llama-3.2-1b-524k", *_LLAMA, cross_layer=True),
    PublishedSet("mwhanna/qwen3-0.6b-transcoders-lowl0", "Qwen/Qwen3-0.6B", "qwen3", 28, 1024),
    PublishedSet("mwhanna/qwen3-1.7b-transcoders-lowl0", "Qwen/Qwen3-1.7B", "qwen3", 28, 2048),
    PublishedSet("mwhanna/qwen3-4b-transcoders", "Qwen/Qwen3-4B", "qwen3", 36, 2560),
    PublishedSet("mwhanna/qwen3-8b-transcoders", "Qwen/Qwen3-8B", "qwen3", 36, 4096),
    PublishedSet("mwhanna/qwen3-14b-transcoders-lowl0", "Qwen/Qwen3-14B", "qwen3", 40, 5120),
)


def published_for(family: str, n_layers: int, d_model: int) -> tuple[PublishedSet, ...]:
    """Those that fit a model of this family and shape."""
    return tuple(one for one in PUBLISHED if (one.family, one.n_layers, one.d_model) == (family, n_layers, d_model))
