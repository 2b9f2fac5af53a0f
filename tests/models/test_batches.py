"""Long texts are read at their beginning, and fewer of them at once."""

from dataclasses import replace
from pathlib import Path

import torch

from engine.domain.features import MOST_TOKENS
from engine.models.base import load_base
from engine.models.batches import batches, beginnings, tokenised
from tests.models.test_memory import spec
from tests.tiny import tiny_llama


def test_of_a_long_text_the_beginning_is_taken_and_told(tmp_path: Path) -> None:
    loaded = load_base(spec(tiny_llama(tmp_path)))
    loaded = replace(loaded, n_positions=10**6)
    short = "the cat is happy"
    long = " ".join(["the cat is happy"] * MOST_TOKENS)
    prompts, n_cut = tokenised(loaded, [short, long, short, "zzz zzz"])
    assert n_cut == 1
    n = len(prompts[0])
    assert [len(prompt) for prompt in prompts] == [n, MOST_TOKENS]
    assert prompts[1][:n].tolist() == prompts[0].tolist()
    assert beginnings(n_cut) == " (of 1 long text the beginning)"
    assert beginnings(0) == ""
    few, n_cut = tokenised(replace(loaded, n_positions=3), [short])
    assert (len(few[0]), n_cut) == (3, 1)


def test_batches_hold_few_long_texts_and_all_in_order() -> None:
    prompts = [torch.full((n,), number) for number, n in enumerate((3, 3, 3, 10, 20, 2, 2))]
    found = list(batches(prompts, most=2, most_pairs=199))
    assert [[len(one) for one in batch] for batch in found] == [[3, 3], [3], [10], [20], [2, 2]]
    assert [int(one[0]) for batch in found for one in batch] == list(range(7))
    assert list(batches([], most=2, most_pairs=1)) == []
