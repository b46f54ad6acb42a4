"""What a worker is, and what every worker process does first.

Every worker computes with the same number of threads, because a sum of floats depends on how threads split
it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


class WorkerDied(RuntimeError):  # noqa: N818  # an event, as in BrokenProcessPool
    """A worker process ended in the middle of a task."""


class Abort(KeyboardInterrupt):  # not an error
    """The user wants to leave at once; a `KeyboardInterrupt` that a system raises is the system's fault."""


class TimeLimit(BaseException):  # code that catches every Exception must not catch it
    """A task took longer than it may."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"took longer than the {seconds:g} s of stop.seconds_per_task")


NOT_A_TASKS_FAULT = (Abort,)


@dataclass(frozen=True)
class Resources:
    """What an executor may use.

    Attributes:
        workers: None for one per core (of the cluster).
        threads: per worker.
        address: of a cluster, None where there is none yet.
        seconds_per_task: after which a task is ended, None for never.
    """

    workers: int | None = None
    threads: int = 1
    address: str | None = None
    seconds_per_task: float | None = None


class Worker(Protocol):
    """A place that runs one task at a time."""

    def start(self) -> None:
        """Makes it ready; again after it died. Raises RuntimeError."""
        ...

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Runs a task. Raises WorkerDied, TimeLimit (it must be started again), and what the task raises."""
        ...

    def stop(self) -> None:
        """Ends it."""
        ...


def set_up_worker(threads: int) -> None:
    """First thing in a worker process: threads, no Ctrl-C of its own, and no life after its parent's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_threads(threads)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def set_threads(threads: int) -> None:
    """Threads of every numerical library of this process, before it is imported where possible."""
    os.environ |= dict.fromkeys(_THREAD_VARIABLES, str(threads))
    import torch

    torch.set_num_threads(threads)


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Torch with that many threads, inside the `with` block."""
    torch = sys.modules.get("torch") or __import__("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
