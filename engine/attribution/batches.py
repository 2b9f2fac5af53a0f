"""Rows that go down a stream together, and columns that go up. No torch: a page tells what they take."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Numbers of the vectors that pass an attention together, and how many vectors at least. On a processor few enough that
# they stay in its cache, so many that its cores are busy.
_TOGETHER = {"cpu": 2**18}
_TOGETHER_ELSEWHERE = 2**27
_AT_LEAST = 64
# Batches of rows that meet the columns together, which come from memory each time: a processor's are small.
_MEETING = {"cpu": 4}
_COPIES = 5  # of the gradients' size, while they pass an attention


def meeting(device: str) -> int:
    """How many batches meet the columns together."""
    return _MEETING.get(device, 1)


def on_the_way_bytes(
    n_rows: int, n_places: int, d_model: int, n_columns: int, *, device: str = "cpu", group: int = 1, threads: int = 1
) -> int:
    """What is on its way at once of `n_rows`, about: gradients, and what attention makes of them; their effects, and a
    copy of these in the order of the matrix. group: batches that go together, in each of `threads`."""

    def together(places: int) -> int:
        return min(n_rows, max(_AT_LEAST, _numbers(device) // (d_model * max(1, places))))

    gradients = max(_COPIES, 2 * group) * together(n_places) * n_places * d_model
    return 4 * threads * (gradients + 2 * group * together(n_places // 2) * n_columns)


def _numbers(device: str) -> int:
    return _TOGETHER.get(device, _TOGETHER_ELSEWHERE)


def batches(n_places: "torch.Tensor", n_layers: "torch.Tensor", d_model: int) -> Iterator["torch.Tensor"]:
    """Which of these vectors go together, each (n,): those with few places first, so that none carries many more than
    it needs; in a batch those that pass the most layers first."""
    order = n_places.argsort(stable=True)
    places, start = n_places[order].tolist(), 0
    together = _numbers(n_places.device.type) // d_model
    while start < len(places):
        size = _AT_LEAST
        while start + size < len(places) and (size + 1) * places[start + size] <= together:
            size += 1
        some = order[start : start + size]
        yield some[n_layers[some].argsort(descending=True, stable=True)]
        start += size
