"""Progress on stderr: a bar with the time left on a terminal, now and then a line elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from engine.cli.output import console, plain
from engine.domain.jobs import Report
from engine.domain.numbers import duration, percent

QUIET_S = 2.0  # nothing is said about work that is over sooner, where there is no terminal
LINE_EVERY_S = 10.0


@contextmanager
def progress(title: str) -> Iterator[Report]:
    """Gives the callback to hand to a workflow: `report(fraction, message)`."""
    if not sys.stderr.isatty():
        yield _Lines(title)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %", markup=False),
        TimeElapsedColumn(),
        TextColumn("left", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(stderr=True)) as bar:
        task = bar.add_task(plain(title), total=1.0)

        def report(fraction: float, message: str) -> None:
            bar.update(task, completed=fraction, description=plain(message or title))

        yield report


class _Lines:
    """For logs and pipes: the first line after QUIET_S, then one every LINE_EVERY_S at most."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.started = time.monotonic()
        self.next_line = self.started + QUIET_S

    def __call__(self, fraction: float, message: str) -> None:
        now = time.monotonic()
        if now < self.next_line:
            return
        self.next_line = now + LINE_EVERY_S
        elapsed = now - self.started
        left = f", about {duration(elapsed * (1 - fraction) / fraction)} left" if 0.01 < fraction < 1 else ""
        sys.stderr.write(f"{plain(message or self.title)}: {percent(fraction)} after {duration(elapsed)}{left}\n")
        sys.stderr.flush()
