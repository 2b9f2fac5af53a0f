"""What the command line says of work on the way, where there is no terminal."""

import time

import pytest

from engine.cli.progress import LINE_EVERY_S, progress


def test_lines_tell_the_time_as_one_says_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with progress("training") as report:
        report(0.0, "")  # at once: nothing is said of what may be over in a moment
        for seconds, fraction, message in ((5, 0.004, ""), (LINE_EVERY_S - 1, 0.01, ""), (600, 0.05, "step 5")):
            now += seconds
            report(fraction, message)
        now += 12_000
        report(1.0, "done")
    assert capsys.readouterr().err.splitlines() == [
        "training: <1% after 5 s",
        "step 5: 5% after 10 min, about 3.2 h left",
        "done: 100% after 3.5 h",
    ]
