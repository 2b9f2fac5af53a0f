"""The arithmetic of the rows on the real model. Nothing here asserts a time."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.bench import real
from engine.bench.real import operations, random_transcoders
from engine.models.base import load_base
from tests.attribution.parts import load


def shape(n_layers: int) -> Any:
    """d_model 2, one query head of size 3 and one key/value head."""
    config = SimpleNamespace(head_dim=3, num_attention_heads=1, num_key_value_heads=1)
    return SimpleNamespace(model=SimpleNamespace(config=config), d_model=2, n_layers=n_layers)


def test_operations_of_two_layers_by_hand() -> None:
    """Two positions, ten features a layer at position 1, no logits: W_O 6, W_V 6 a position, pattern 3 a pair.

    They meet where the features of the upper layer read. Its rows are there already; what comes up to them, from
    position 1 on, are ten features and an error of the lower layer, the token there and, from position 0 on, the first.
    """
    written = 11 * (6 + 3 + 6)  # through the upper attention
    later_token = (6 + 3 + 6) + (6 + 6 + 3 / 2) + 10 * 2  # through both; it meets the features of the lower layer
    first_token = (6 + 2 * 3 + 2 * 6) + (2 * 12 + 3 * 2) + 10 * 2 * 2
    met = 10 * (11 * 1 + 1 + 2) * 2  # positions that each row shares with each of them, of two numbers
    assert operations(shape(2), 2, top_k=10, n_logits=0) == 2 * (written + later_token + first_token + met)


def test_operations_of_rows_alone_by_hand() -> None:
    """One layer: there is nowhere to meet. A feature at position 1, and a logit."""
    begin = 6 + 3 * 2 + 2 * 6  # at its own attention: one position through W_O, two through W_V
    met = 2 * 2 * (1 + 1)  # by the logit: a feature and an error at both positions
    assert operations(shape(1), 2, top_k=1, n_logits=1) == 2 * (begin + begin + met)


def test_both_sides_get_the_same_features_of_a_known_number(tmp_path: Path) -> None:
    import torch

    loaded = load("llama", tmp_path)
    one, other = (random_transcoders(loaded, top_k=3) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    active = one.encode_layer(torch.randn(5, loaded.d_model), 0)
    assert ((active > 0).sum(1) == 3).all()


def test_rows_come_from_both_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The measure as a whole, on a tiny model in this process."""
    folder = load("llama", tmp_path / "tiny").folder
    monkeypatch.setattr(real, "_in_child", real._run)
    monkeypatch.setattr(real, "_loaded", lambda _: load_base(load("llama", folder).spec))
    case = real.Case("a few tokens", "the cat feels", 2, {"ours": 1, "theirs": 1}, 0.0, 9.0, compared=True)
    monkeypatch.setattr(real, "SHORT", case)
    rows = real._rows(folder, case, tmp_path)
    assert [row.unit for row in rows] == ["s", "MB", "s", "of the largest", "s"]
    assert rows[0].name == "trace SmolLM2-135M, a few tokens, 12 features"
    assert rows[0].met
    assert rows[1].met
    assert rows[3].met
    assert rows[2].value == rows[0].value
    assert rows[2].reference is not None
    assert rows[2].reference > 0  # seconds; how many times that is depends on the machine
    assert rows[4].reference is not None
    assert 0 < rows[4].reference < 1e3
