"""A pool of workers, wherever they are.

A worker that dies takes one task with it: the task is tried again elsewhere, the worker is replaced, and a
task that keeps killing its worker fails on its own. A task that takes too long is ended with its worker.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from semcom.sweep.executors.base import TimeLimit, Worker, WorkerDied

T = TypeVar("T")
_ATTEMPTS, _PATIENCE_SECONDS = 3, 2.0


class PoolExecutor(Executor):
    """A fixed number of workers, one thread of this process per worker handing it tasks.

    Args:
        workers: not yet started.
    """

    def __init__(self, workers: Sequence[Worker]) -> None:
        self.num_workers = len(workers)
        self._tasks: queue.Queue[_Task | None] = queue.Queue()
        self._broken: Exception | None = None
        self._leaving = threading.Lock()
        self._workers = workers
        self._threads = [threading.Thread(target=self._serve, args=(w,), daemon=True) for w in workers]
        for thread in self._threads:
            thread.start()

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """See `concurrent.futures.Executor`."""
        task = _Task(function, args)
        if self._broken is None:
            self._tasks.put(task)
        else:
            task.future.set_exception(self._broken)
        return task.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Ends the workers; with `wait`, gives tasks that are running two seconds."""
        for _ in self._threads:
            self._tasks.put(None)
        for worker in self._workers:
            worker.stop()
        for thread in self._threads if wait else ():
            thread.join(timeout=_PATIENCE_SECONDS)

    def _serve(self, worker: Worker) -> None:
        """A worker's life. It takes a task only when ready, so that none waits for a machine that is gone."""
        ready = False
        while True:
            if not ready:
                try:
                    worker.start()
                except Exception as error:
                    self._leave(error)
                    return
                ready = True
            task = self._tasks.get()
            if task is None:
                return
            ready = self._run(worker, task)

    def _run(self, worker: Worker, task: _Task) -> bool:
        try:
            task.future.set_result(worker.call(task.function, *task.args))
        except WorkerDied as error:
            task.attempts += 1
            if task.attempts < _ATTEMPTS:
                self._tasks.put(task)
            else:
                task.future.set_exception(
                    WorkerDied(f"the worker died {_ATTEMPTS} times on this task (out of memory?): {error}")
                )
            return False
        except BaseException as error:  # a SystemExit of a task must not end this thread
            task.future.set_exception(error)
            return not isinstance(error, TimeLimit)
        return True

    def _leave(self, error: Exception) -> None:
        """The last worker that cannot start refuses what waits and what will come."""
        with self._leaving:
            self.num_workers -= 1
            if self.num_workers:
                return
        self._broken = error
        while not self._tasks.empty():
            task = self._tasks.get()
            if task is not None:
                task.future.set_exception(error)


class _Task:
    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.function, self.args = function, args
        self.future: Future[Any] = Future()
        self.attempts = 0
