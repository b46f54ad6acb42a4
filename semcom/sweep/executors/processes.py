"""Local worker processes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from semcom.sweep.executors.base import Resources, TimeLimit, WorkerDied, set_up_worker
from semcom.sweep.executors.pool import PoolExecutor

T = TypeVar("T")


class ProcessWorker:
    """A spawned process of its own.

    Args:
        threads: it computes with.
        seconds_per_task: after which it is killed; None for never.
    """

    def __init__(self, threads: int, seconds_per_task: float | None = None) -> None:
        self._threads, self._limit = threads, seconds_per_task
        self._pool: ProcessPoolExecutor | None = None

    def start(self) -> None:
        """See `Worker`; the imports of a new process are no part of its first task's time."""
        self._pool = ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn"), initializer=set_up_worker, initargs=(self._threads,)
        )
        try:
            self._pool.submit(os.getpid).result()
        except BrokenProcessPool as error:
            raise RuntimeError(f"a worker process cannot start: {error}") from error

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """See `Worker`."""
        assert self._pool is not None
        try:
            future = self._pool.submit(function, *args)
        except RuntimeError as error:  # `stop` came first, or the process died between two tasks
            raise WorkerDied(str(error)) from error
        try:
            return future.result(self._limit)
        except BrokenProcessPool as error:
            raise WorkerDied(str(error)) from error
        except TimeoutError:
            if future.done():  # the task's own
                raise
            self._kill()
            raise TimeLimit(self._limit or 0.0) from None

    def stop(self) -> None:
        """See `Worker`."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _kill(self) -> None:
        assert self._pool is not None
        for process in list((self._pool._processes or {}).values()):
            process.kill()
        self._pool.shutdown(wait=False, cancel_futures=True)


def make(resources: Resources) -> PoolExecutor:
    """The executor: one worker per core divided by `threads` unless a number is given."""
    count = resources.workers or max(1, (os.cpu_count() or 1) // resources.threads)
    return PoolExecutor([ProcessWorker(resources.threads, resources.seconds_per_task) for _ in range(count)])
