"""Progress of a run on stderr, so that stdout stays for results."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LINES = 20


@contextmanager
def progress(title: str, total: int, shown: bool) -> Iterator[Callable[[int], object]]:
    """A bar with points done and the time left, or lines where stderr is a file; gives what moves it on."""
    if not shown:
        yield lambda points: None
    elif sys.stderr.isatty():
        with _bar(title, total) as advance:
            yield advance
    else:
        yield Lines(title, total).advance


class Lines:
    """A line with points done and the time left every twentieth of the way, for log files.

    Args:
        title: of the run.
        total: points.
        clock: seconds.
    """

    def __init__(self, title: str, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._title, self._total, self._clock = title, total, clock
        self._done, self._said, self._begun = 0, 0, clock()
        self._every = max(1, total // _LINES)
        self._say("")

    def advance(self, points: int) -> None:
        """So many more points are finished."""
        self._done += points
        if self._done - self._said < self._every and self._done < self._total:
            return
        left = (self._clock() - self._begun) * (self._total - self._done) / max(1, self._done)
        self._say(f", about {_duration(left)} left" if self._done < self._total else "")

    def _say(self, more: str) -> None:
        self._said = self._done
        print(f"{self._title}: {self._done} of {self._total} points{more}", file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    """In the largest unit that leaves more than one."""
    for limit, unit in ((7200, 3600), (120, 60)):
        if seconds >= limit:
            return f"{seconds / unit:.0f} {'h' if unit == 3600 else 'min'}"
    return f"{seconds:.0f} s"


@contextmanager
def _bar(title: str, total: int) -> Iterator[Callable[[int], object]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("points"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), speed_estimate_period=300) as bar:
        task = bar.add_task(title, total=total)
        yield lambda points: bar.advance(task, points)
