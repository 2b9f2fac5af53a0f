"""What is measured with many people at once (tests/many_sessions.py): the slope, the faults in a log, a visitor."""

from pathlib import Path

import pytest

from engine.bench.server import app_server, wait_until_up
from tests.many_sessions import slope, wrong_in
from tests.session_client import Visitor


def test_the_slope_is_of_what_comes_after_the_first_third() -> None:
    warm_up = [(0.0, 100.0), (1.0, 700.0), (2.0, 800.0)]
    assert slope([*warm_up, *((minute, 900 + 2 * minute) for minute in range(3, 10))]) == pytest.approx(2.0)
    assert slope([(0.0, 100.0)]) == 0.0


def test_faults_in_a_log_are_found(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text("You can now view your app\nTraceback (most recent call last):\n  File …\nKeyError: 5\n", "utf-8")
    (fault,) = wrong_in(log)
    assert "KeyError: 5" in fault
    log.write_text("You can now view your app\n", "utf-8")
    assert wrong_in(log) == []


def test_a_visitor_goes_through_pages_and_changes_what_they_show(tmp_path: Path) -> None:
    with app_server(tmp_path / "workspace") as server:
        wait_until_up(server)
        visitor = Visitor(server.url, 1)
        assert {"", "compare", "corpus", "train"} <= visitor.pages.keys()
        visitor.go("corpus")
        (shown,) = (one for one in visitor.elements("button_group") if "Probes" in [o.content for o in one.options])
        before = tables(visitor)
        state = next(one for one in visitor.settable() if one.id == shown.id)
        state.string_array_value.data[:] = ["Counts"]
        visitor.set(state)
        assert tables(visitor) != before
        assert visitor.query == "corpus=demo"
        visitor.go("train", "run=demo-lora")
        assert visitor.query == "run=demo-lora"
        assert "Start training" in visitor.buttons().values()
        assert visitor.errors == []
        visitor.close()
    assert wrong_in(next(tmp_path.glob("server-*.log"))) == []


def tables(visitor: Visitor) -> list[bytes]:
    return [one.SerializeToString() for one in visitor.elements("dataframe")]
