"""The peak of memory over a stretch of work."""

import mmap
import threading

from engine.bench.peak import MemorySampler, own_memory_mb


class Memory:
    """Answers with the samples in turn, then with the last one."""

    def __init__(self, *samples: float) -> None:
        self.left = list(samples)
        self.done = threading.Event()

    def read(self) -> float:
        if len(self.left) == 1:
            self.done.set()
            return self.left[0]
        return self.left.pop(0)


def test_the_highest_sample_counts_and_the_rise_is_above_the_first() -> None:
    memory = Memory(100.0, 130.0, 180.0, 90.0)
    with MemorySampler(memory.read, every_s=0.001) as peak:
        assert memory.done.wait(30)
    assert peak.mb == 180
    assert peak.rise_mb == 80


def test_what_was_held_before_is_no_rise() -> None:
    memory = Memory(100.0, 70.0)
    with MemorySampler(memory.read, every_s=0.001) as peak:
        assert memory.done.wait(30)
    assert peak.rise_mb == 0


def test_memory_of_this_process_is_seen_though_it_is_gone_at_the_end() -> None:
    held, seen = threading.Event(), threading.Event()

    def read() -> float:
        is_held = held.is_set()
        sample = own_memory_mb()
        if is_held:
            seen.set()
        return sample

    with MemorySampler(read) as peak:
        # Not an array: a process with as much free memory of its own would take it from there.
        array = mmap.mmap(-1, 320_000_000)
        array[::4096] = bytes(len(range(0, 320_000_000, 4096)))  # a page is held once it is written to
        held.set()
        assert seen.wait(30)
        array.close()
    assert peak.rise_mb > 250
