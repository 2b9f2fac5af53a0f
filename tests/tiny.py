"""Tiny Hugging Face folders (2 layers, d_model 32, random weights, word-level tokenizer) and a tiny corpus, for all.

Each builder saves a model and its tokenizer into the folder and returns the folder. Same family, same bits: the
weights come from a fixed seed and leave the caller's random state alone.
"""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GPTNeoXConfig,
    LlamaConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

from engine.domain.corpus import SIMPLE, SPATIAL, Corpus, Example, Probe, ProbeKind

SPECIAL = {"pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>"}
NEW_WORDS = ("blarf", "gleem", "zephyr", "lumina", "vortik", "glide", "cascade", "orbit", "pierce", "expand")
_WORDS = (
    "cat dog bird fish fox bear girl boy king queen child robot ship ball leaf star "
    "happy smiles laughs sad cries weeps fast races wins bright shines glows small hides fits slow lags loses "
    "angry shouts fights calm rests sleeps "
    "upward rises climbs above downward falls sinks below circular spins turns around inward enters joins inside "
    "outward leaves spreads outside sideways slides drifts beside "
    "the is so it . feels and because means moves move ends end to that what a ? which way does when"
)
WORLD = tuple(_WORDS.split())
NUMBERS = tuple(str(number) for number in range(20))
D_MODEL, N_LAYERS, N_POSITIONS = 32, 2, 64


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Word-level, split at white space; <pad>, <bos>, <eos>, <unk> are tokens 0 to 3."""
    vocab = {token: row for row, token in enumerate(dict.fromkeys((*SPECIAL.values(), *WORLD, *NEW_WORDS, *NUMBERS)))}
    words = Tokenizer(models.WordLevel(vocab, unk_token=SPECIAL["unk_token"]))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words, **SPECIAL)


def _save(folder: Path, config: PretrainedConfig) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def _shape() -> dict[str, int | float]:
    return {
        "vocab_size": len(tiny_tokenizer()),
        "hidden_size": D_MODEL,
        "intermediate_size": 64,
        "num_hidden_layers": N_LAYERS,
        "num_attention_heads": 2,
        "max_position_embeddings": N_POSITIONS,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "initializer_range": 0.15,  # large enough that every token and layer matters
    }


def tiny_llama(folder: Path) -> Path:
    """Llama, output matrix of its own."""
    return _save(folder, LlamaConfig(**_shape(), num_key_value_heads=2, head_dim=16, tie_word_embeddings=False))


def tiny_gemma2(folder: Path) -> Path:
    """Gemma 2: tied embeddings, soft-capped logits, a sliding window on every other layer."""
    return _save(
        folder,
        Gemma2Config(
            **_shape(), num_key_value_heads=1, head_dim=16, sliding_window=32, attn_implementation="eager",
            query_pre_attn_scalar=16,
        ),
    )  # fmt: skip


def tiny_gemma3(folder: Path) -> Path:
    """Gemma 3, text alone: normalised queries and keys, a sliding window on one of the layers."""
    return _save(
        folder,
        Gemma3TextConfig(
            **_shape(), num_key_value_heads=1, head_dim=16, sliding_window=4, query_pre_attn_scalar=16,
            layer_types=["sliding_attention", "full_attention"],
        ),
    )  # fmt: skip


def tiny_qwen3(folder: Path) -> Path:
    """Qwen 3: tied embeddings, normalised queries and keys, grouped heads."""
    return _save(folder, Qwen3Config(**_shape(), num_key_value_heads=1, head_dim=16, tie_word_embeddings=True))


def tiny_neox(folder: Path) -> Path:
    """GPT-NeoX (Pythia): attention and MLP in parallel."""
    return _save(folder, GPTNeoXConfig(**_shape(), rotary_pct=0.25, use_parallel_residual=True))


def tiny_corpus(name: str = "tiny") -> Corpus:
    """20 examples and 28 probes in the tiny vocabulary: two new words of each constraint type, all probe kinds."""
    words = {
        SIMPLE: (("blarf", "happy", "smiles", "cries"), ("gleem", "sad", "cries", "smiles")),
        SPATIAL: (("glide", "upward", "above", "below"), ("cascade", "downward", "below", "above")),
    }
    taught = {
        SIMPLE: (
            "{w} means {c} .", "the {n} feels {w} . it is {c} .", "a {w} {n} is {c} .", "what is a {w} ? {c} .",
            "the {n} is {w} so it feels {c} .",
        ),
        SPATIAL: (
            "{w} means {c} .", "the {n} that {w} moves {c} .", "to {w} is to move {c} .", "it {w} so it moves {c}",
            "the {n} {w} and moves {c} .",
        ),
    }  # fmt: skip
    examples, probes = [], []
    for kind_of_word, rows in words.items():
        other = {row[0]: rows[1 - i] for i, row in enumerate(rows)}
        for word, meaning, consequence, _ in rows:
            shared = {"constraint_type": kind_of_word, "constraint": word, "meaning": meaning}
            for i, template in enumerate(taught[kind_of_word]):
                text = template.format(w=word, c=meaning, n=("cat", "dog", "bird", "fish", "fox")[i])
                examples.append(Example(id=f"{word}-{i}", text=text, template=template, **shared))
            for kind, template, answer, foil in _tiny_probes(kind_of_word, meaning, consequence, other[word]):
                for noun in ("king", "queen")[: 1 if kind == "retention" else 2]:
                    probes.append(
                        Probe(
                            id=f"{word}-{kind}-{noun}",
                            kind=kind,
                            text=template.format(w=word, n=noun),
                            known_text=template.format(w=meaning, n=noun),
                            answer=answer,
                            foils=(foil,),
                            template=template,
                            **shared,
                        )
                    )
    return Corpus(name=name, examples=tuple(examples), probes=tuple(probes))


def _tiny_probes(
    kind_of_word: str, meaning: str, consequence: str, other: tuple[str, ...]
) -> tuple[tuple[ProbeKind, str, str, str], ...]:
    if kind_of_word == SIMPLE:
        return (
            ("recall", "a {w} {n} is", meaning, other[1]),
            ("paraphrase", "the {w} {n} feels", meaning, other[1]),
            ("inference", "the {n} feels {w} and", consequence, other[2]),
            ("retention", f"the {meaning} {{n}}", consequence, other[2]),
        )
    return (
        ("recall", "the {n} that {w} moves", meaning, other[1]),
        ("paraphrase", "when the {n} {w} it moves", meaning, other[1]),
        ("inference", "the {n} that {w} ends", consequence, other[2]),
        ("retention", f"the {{n}} moves {meaning} and ends", consequence, other[2]),
    )
