"""Torch's threads, and work that is done side by side."""

import threading
from collections.abc import Callable, Iterator

import pytest
import torch

from engine.domain.errors import Canceled
from engine.models import threads
from engine.models.threads import job, side_by_side, use_share

Tell = Callable[[float], None]


def quiet(_: float, __: int) -> None:
    pass


@pytest.fixture(autouse=True)
def _four_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(threads, "_cores", lambda: 4)
    monkeypatch.setattr(threads, "_LOOK_S", 0.01)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class Meeting:
    """Pieces that wait until `n` of them are there together."""

    def __init__(self, n: int) -> None:
        self._barrier = threading.Barrier(n)

    def __call__(self, _: Tell) -> None:
        self._barrier.wait(timeout=10)


def most_at_once(n_pieces: int) -> int:
    lock, here, most = threading.Lock(), 0, 0
    enough = threading.Event()

    def piece(_: Tell) -> None:
        nonlocal here, most
        with lock:
            here += 1
            most = max(most, here)
        enough.wait(0.02)
        with lock:
            here -= 1

    side_by_side([piece] * n_pieces, quiet)
    return most


def test_every_core_is_used_that_no_job_counts_on() -> None:
    side_by_side([Meeting(4)] * 4, quiet)  # a barrier that fewer than four would never pass
    with job():
        side_by_side([Meeting(4)] * 4, quiet)


def test_a_second_job_leaves_half() -> None:
    begun, ended = threading.Event(), threading.Event()

    def other() -> None:
        with job():
            begun.set()
            ended.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    begun.wait(10)
    assert most_at_once(6) == 2
    with job():
        assert most_at_once(6) == 2
        ended.set()
        thread.join()
        assert most_at_once(8) == 4


def test_each_piece_has_one_thread_of_torch() -> None:
    torch.set_num_threads(2)
    found: list[int] = []
    side_by_side([lambda _: found.append(torch.get_num_threads())] * 3, quiet)
    assert found == [1, 1, 1]


def test_gradients_and_inference_are_as_for_the_caller() -> None:
    def found() -> set[tuple[bool, bool]]:
        seen = set[tuple[bool, bool]]()
        side_by_side([lambda _: seen.add((torch.is_inference_mode_enabled(), torch.is_grad_enabled()))] * 3, quiet)
        return seen

    assert found() == {(False, True)}
    with torch.no_grad():
        assert found() == {(False, False)}
    with torch.inference_mode():
        assert found() == {(True, False)}


@pytest.mark.parametrize(("sizes", "reached"), [(None, 0.75), ([3.0, 1.0], 0.625)])
def test_progress_is_of_all_pieces(sizes: list[float] | None, reached: float) -> None:
    told: list[tuple[float, int]] = []
    half, seen = threading.Event(), threading.Event()

    def piece(tell: Tell) -> None:
        tell(0.5)
        half.set()
        seen.wait(10)

    def report(done: float, n: int) -> None:
        told.append((done, n))
        if n == 1:
            seen.set()

    side_by_side([piece, lambda _: half.wait(10)], report, sizes=sizes)
    assert (reached, 1) in told
    assert told[-1] == (1.0, 2)


def test_what_a_piece_raises_ends_the_others() -> None:
    ended = threading.Event()

    def endless(tell: Tell) -> None:
        try:
            while True:
                tell(0.1)
        except Canceled:
            ended.set()
            raise

    def failing(_: Tell) -> None:
        raise ValueError("this one")

    with job(), pytest.raises(ValueError, match="this one"):
        side_by_side([endless, failing, endless], quiet)
    assert ended.is_set()


def test_a_report_that_raises_ends_all() -> None:
    def endless(tell: Tell) -> None:
        while True:
            tell(0.1)

    def report(_: float, __: int) -> None:
        raise Canceled

    with pytest.raises(Canceled):
        side_by_side([endless] * 3, report)


def test_a_large_model_gets_the_share_of_a_job_and_a_small_one_a_thread() -> None:
    with job():
        use_share(135_000_000)
        assert torch.get_num_threads() == 2
        use_share(1_000_000)
        assert torch.get_num_threads() == 1
    torch.set_num_threads(3)
    use_share(135_000_000)  # nobody's job
    assert torch.get_num_threads() == 3
