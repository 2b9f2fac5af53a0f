"""What a graph takes is known before its rows are made: it is told, refused where it cannot fit, and can be stopped."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.attribution import trace
from engine.attribution.graph_size import GraphSize
from engine.attribution.trace import trace_graph
from engine.domain.errors import Canceled, InputError
from engine.domain.graphs import NodeKind, TraceSettings
from engine.models.replacement import Replacement
from tests.attribution.parts import key, load, random_transcoders

SIZE = GraphSize(n_features=1000, n_nodes=1000, n_others=100, batch_bytes=0)


@pytest.fixture(scope="module")
def replacement(tmp_path_factory: pytest.TempPathFactory) -> Replacement:
    loaded = load("llama", tmp_path_factory.mktemp("llama"))
    return Replacement(loaded, random_transcoders(loaded))


def test_a_whole_graph_is_one_square_matrix() -> None:
    assert SIZE.n_bytes == 4 * 1100**2


def test_of_some_features_the_rows_that_are_ranked_come_on_top() -> None:
    assert replace(SIZE, n_nodes=10).n_bytes == 4 * (110**2 + 2 * 10 * 1100)


@pytest.mark.parametrize("free", [10**5, 10**6, 4 * 10**6])
def test_the_largest_number_of_features_that_fits(free: int) -> None:
    most = SIZE.most_nodes(free)
    assert replace(SIZE, n_nodes=most).n_bytes <= free < replace(SIZE, n_nodes=most + 1).n_bytes


def test_what_fits_is_not_refused() -> None:
    SIZE.refuse_larger_than(SIZE.n_bytes)


def test_the_number_in_the_refusal_fits(replacement: Replacement, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trace_graph(replacement, key=key())
    n_features = int((whole.kind == NodeKind.FEATURE).sum())
    free = 4 * (whole.n_nodes - 10) ** 2 + 10**5
    monkeypatch.setattr(trace, "free_memory", lambda device, wanted=0: free)
    monkeypatch.setattr("engine.attribution.effects.Effects.batch_bytes", 10**5)
    with pytest.raises(InputError, match=f"wakes {n_features} features") as refused:
        trace_graph(replacement, key=key())
    found = re.search(r"--max-features (\d+)", str(refused.value))
    assert found is not None
    most = int(found.group(1))
    fewer = trace_graph(replacement, key=key(settings=TraceSettings(max_feature_nodes=most)))
    assert 0 < (fewer.kind == NodeKind.FEATURE).sum() == most < n_features


def test_where_not_one_feature_fits_a_shorter_prompt_is_asked_for() -> None:
    with pytest.raises(InputError, match=r"are free\. Trace a shorter prompt"):
        SIZE.refuse_larger_than(100)


@pytest.mark.parametrize("most", [None, 5])
def test_progress_is_told_and_ends_at_one(replacement: Replacement, most: int | None) -> None:
    told: list[tuple[float, str]] = []
    settings = TraceSettings(max_feature_nodes=most, batch_size=1)
    trace_graph(replacement, key=key(settings=settings), report=lambda *one: told.append(one))
    shares = [share for share, _ in told]
    assert shares[0] == 0
    assert np.all(np.diff(shares) >= 0)
    if most is None:
        assert shares[-1] == 1
    assert all("features, 1 MB" in message for _, message in told)


def test_a_report_that_raises_ends_the_trace(replacement: Replacement) -> None:
    def stop(share: float, message: str) -> None:
        raise Canceled

    with pytest.raises(Canceled):
        trace_graph(replacement, key=key(), report=stop)
    assert trace_graph(replacement, key=key()).n_edges > 0  # nothing is left held or hooked


def test_what_is_traced_fits_into_what_is_told(tmp_path: Path) -> None:
    """The matrix that is made is the one that was counted."""
    loaded = load("gemma2", tmp_path)
    told: list[str] = []
    graph = trace_graph(
        Replacement(loaded, random_transcoders(loaded)), key=key(), report=lambda _, message: told.append(message)
    )
    assert told[0].startswith(f"{(graph.kind == NodeKind.FEATURE).sum()} features, ")
