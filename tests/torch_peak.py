"""How much memory torch asks for on a processor. tracemalloc does not see it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


class TorchPeak:
    """Filled when the block ends."""

    n_bytes = 0


@contextmanager
def torch_peak() -> Iterator[TorchPeak]:
    """Of all that is asked for inside and held at once, temporary tensors of kernels too; the same at every run."""
    found = TorchPeak()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        yield found
    held = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            found.n_bytes = max(found.n_bytes, held)
