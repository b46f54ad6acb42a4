"""Tasks in this process, one after the other."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

from semcom.sweep.executors.base import NOT_A_TASKS_FAULT, Resources, TimeLimit, torch_threads

T = TypeVar("T")


class SerialExecutor(Executor):
    """Runs each task in `submit`.

    A task is ended at its time limit where Python gets to run; a library that never returns is out of reach,
    and `processes` ends it.

    Args:
        resources: `workers` plays no part.
    """

    num_workers = 1

    def __init__(self, resources: Resources) -> None:
        self._threads, self._limit = resources.threads, resources.seconds_per_task

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """See `concurrent.futures.Executor`."""
        future: Future[T] = Future()
        try:
            with torch_threads(self._threads), _time_limit(self._limit):
                future.set_result(function(*args, **kwargs))
        except NOT_A_TASKS_FAULT:
            raise
        except BaseException as error:
            future.set_exception(error)
        return future


def make(resources: Resources) -> SerialExecutor:
    """The executor."""
    return SerialExecutor(resources)


@contextmanager
def _time_limit(seconds: float | None) -> Iterator[None]:
    """Raises TimeLimit inside the `with` block. Alarms reach the main thread only."""
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise TimeLimit(seconds)

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
