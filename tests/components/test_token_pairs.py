import numpy as np
import pytest
import torch

from engine.components.pairs import drawn, grouped, perturbed, prepare_pairs
from engine.domain.components import ScoreSettings
from engine.domain.corpus import Pair
from engine.domain.errors import InputError
from tests.components.micro import some_pairs
from tests.tiny import tiny_tokenizer


def _pair(name: str, clean: str, corrupted: str, answer: str = "happy", other: str = "sad") -> Pair:
    return Pair(
        id=name, clean=clean, corrupted=corrupted, answer=answer, corrupted_answer=other, constraint_type="simple"
    )


def test_pairs_become_tokens_padded_on_the_right() -> None:
    tokenizer = tiny_tokenizer()
    pairs = prepare_pairs(
        tokenizer, [_pair("one", "the blarf cat is", "the gleem cat is"), _pair("two", "a cat", "a dog")], limit=9
    )
    assert pairs.lengths.tolist() == [5, 3]
    assert tokenizer.convert_ids_to_tokens(pairs.corrupted[0]) == ["<bos>", "the", "gleem", "cat", "is"]
    assert pairs.clean[1, 3:].tolist() == [0, 0]
    assert tokenizer.convert_ids_to_tokens(pairs.answers) == ["happy", "happy"]
    assert pairs.part([1]).clean.shape == (1, 3)


def test_bad_pairs_are_left_out_and_named_with_the_reason_where_there_are_no_others() -> None:
    bad = [
        _pair("long", "the cat is", "the cat"),
        _pair("unknown", "the xyz", "the cat"),
        _pair("same", "the cat", "the dog", "sad", "sad"),
        _pair("two-words", "the cat", "the dog", "very sad"),
        _pair("over", "the cat " * 5, "the dog " * 5),
    ]
    assert prepare_pairs(tiny_tokenizer(), [bad[0], _pair("good", "the cat", "the dog"), *bad], limit=9).ids == (
        "good",
    )
    with pytest.raises(InputError) as caught:
        prepare_pairs(tiny_tokenizer(), bad, limit=9)
    said = str(caught.value)
    assert said.startswith("None of the 5 pairs can be used")
    assert all(f"“{pair.id}”" in said for pair in bad)
    assert "“clean” has 3 tokens and “corrupted” 2" in said
    with pytest.raises(InputError, match="no prompt pairs"):
        prepare_pairs(tiny_tokenizer(), [], limit=9)


def test_the_draw_is_the_seeds_and_even_over_types() -> None:
    pairs = some_pairs(60)  # 20 of one type, 40 of the other
    settings = ScoreSettings(n_pairs=30, n_groups=4, seed=3)
    part = drawn(pairs, settings)
    assert part.types.count("a") == part.types.count("b") == 15
    assert drawn(pairs, settings).ids == part.ids == drawn(part, settings).ids
    assert drawn(pairs, settings.model_copy(update={"seed": 4})).ids != part.ids
    groups = grouped(part, settings)
    assert sorted(np.bincount(groups)) == [7, 7, 8, 8]
    for kind in "ab":
        assert np.ptp(np.bincount(groups[[other == kind for other in part.types]])) <= 1
    assert set(grouped(pairs.part([0, 1]), settings)) == {0, 1}


def test_a_perturbed_pair_keeps_what_it_is_about() -> None:
    pairs = some_pairs(40)
    noisy = perturbed(pairs, 1.0, seed=0)
    about = pairs.clean != pairs.corrupted
    assert torch.equal(noisy.clean != noisy.corrupted, about)
    assert torch.equal(noisy.clean[about], pairs.clean[about])
    rows = torch.arange(40)
    assert torch.equal(noisy.clean[:, 0], pairs.clean[:, 0])
    assert torch.equal(noisy.clean[rows, pairs.lengths - 1], pairs.clean[rows, pairs.lengths - 1])
    assert torch.equal(noisy.answers, pairs.answers)
    others = (noisy.clean != pairs.clean).float().mean()
    assert 0 < (perturbed(pairs, 0.3, seed=0).clean != pairs.clean).float().mean() < 0.5 * others
    assert torch.equal(perturbed(pairs, 0.0, seed=0).clean, pairs.clean)
    assert torch.equal(perturbed(pairs, 1.0, seed=0).clean, noisy.clean)
    for row, position in torch.nonzero(noisy.clean != pairs.clean).tolist():
        of_length = pairs.lengths == pairs.lengths[row]
        assert noisy.clean[row, position] in pairs.clean[of_length, position]
    with pytest.raises(InputError, match="0 to 1"):
        perturbed(pairs, 1.5, seed=0)
