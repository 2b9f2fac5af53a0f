"""Pre-training of the bundled base model: a Llama of 1.1 million parameters that knows the made-up world."""

import logging
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.corpus.world import SPECIAL_TOKENS, vocabulary, world_sentence
from engine.domain.jobs import Report

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

_log = logging.getLogger(__name__)
_REPORT_EVERY = 20  # steps


@dataclass(frozen=True)
class Pretraining:
    """Sizes and settings of the base model; together with the seed they decide its weights."""

    d_model: int = 128
    d_mlp: int = 512
    n_layers: int = 4
    n_heads: int = 4
    n_positions: int = 64  # tokens, with BOS
    n_steps: int = 900
    batch_size: int = 64  # sentences
    learning_rate: float = 2e-3  # the highest; linear warm-up over a tenth of the steps, then half a cosine to 0
    max_grad_norm: float = 1.0


PRETRAINING = Pretraining()  # of the bundled model


def pretrain(folder: Path, seed: int, report: Report, *, settings: Pretraining = PRETRAINING) -> float:
    """Train the base model and save it with its tokenizer as a Hugging Face folder; returns the last step's loss.

    The same seed gives the same files on the same machine with the same number of torch threads.
    """
    import torch

    tokenizer = make_tokenizer()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = _new_model(len(tokenizer), settings)
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, settings.n_steps))
    rng = random.Random(seed)
    loss = math.nan
    for step in range(settings.n_steps):
        sentences = [world_sentence(rng) for _ in range(settings.batch_size)]
        batch_loss = model(**_batch(tokenizer, sentences)).loss
        optimizer.zero_grad()
        batch_loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
        optimizer.step()
        schedule.step()
        if step % _REPORT_EVERY == 0 or step == settings.n_steps - 1:
            loss = batch_loss.item()
            report((step + 1) / settings.n_steps, f"Pre-training: step {step + 1}, loss {loss:.2f}")
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _log.info("Base model of %d parameters, last loss %.3f, saved in %s", model.num_parameters(), loss, folder)
    return loss


def make_tokenizer() -> "PreTrainedTokenizerFast":
    """One token a word, split at blanks; ids are positions in `vocabulary()`. No BOS is added by itself."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pad, bos, eos, unk = SPECIAL_TOKENS
    ids = {token: number for number, token in enumerate(vocabulary())}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=unk))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=pad, bos_token=bos, eos_token=eos, unk_token=unk
    )


def _new_model(n_vocabulary: int, settings: Pretraining) -> "PreTrainedModel":
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig(
        vocab_size=n_vocabulary,
        hidden_size=settings.d_model,
        intermediate_size=settings.d_mlp,
        num_hidden_layers=settings.n_layers,
        num_attention_heads=settings.n_heads,
        num_key_value_heads=settings.n_heads,
        head_dim=settings.d_model // settings.n_heads,
        max_position_embeddings=settings.n_positions,
        # Untied: what a new word's embedding learns must not change what the model says.
        tie_word_embeddings=False,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    return AutoModelForCausalLM.from_config(config)


def _batch(tokenizer: "PreTrainedTokenizerFast", sentences: Sequence[str]) -> dict[str, "torch.Tensor"]:
    """Token ids, mask and labels, each (n_sentences, n_pos); padding is not learned."""
    encoded = tokenizer([f"<bos> {s} <eos>" for s in sentences], return_tensors="pt", padding=True)
    ids, mask = encoded["input_ids"], encoded["attention_mask"]
    return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, -100)}


def _rate(step: int, n_steps: int) -> float:
    """The share of the highest learning rate at a step."""
    warm_up = max(1, n_steps // 10)
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, n_steps - warm_up)))
