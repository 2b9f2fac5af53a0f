"""Rows that go down a stream together, and columns that go up."""

from collections.abc import Iterator

import torch

# Numbers of the vectors that pass an attention together, and how many vectors at least. On a processor few enough that
# they stay in its cache, so many that its cores are busy.
_TOGETHER = {"cpu": 2**18}
_TOGETHER_ELSEWHERE = 2**27
_AT_LEAST = 64


def rows_together(n_places: int, d_model: int, device: torch.device) -> int:
    """How many vectors go together that each have so many places."""
    return max(_AT_LEAST, _numbers(device) // (d_model * max(1, n_places)))


def _numbers(device: torch.device) -> int:
    return _TOGETHER.get(device.type, _TOGETHER_ELSEWHERE)


def batches(n_places: torch.Tensor, n_layers: torch.Tensor, d_model: int) -> Iterator[torch.Tensor]:
    """Which of these vectors go together, each (n,): those with few places first, so that none carries many more than
    it needs; in a batch those that pass the most layers first."""
    order = n_places.argsort(stable=True)
    places, start = n_places[order].tolist(), 0
    together = _numbers(n_places.device) // d_model
    while start < len(places):
        size = _AT_LEAST
        while start + size < len(places) and (size + 1) * places[start + size] <= together:
            size += 1
        some = order[start : start + size]
        yield some[n_layers[some].argsort(descending=True, stable=True)]
        start += size
