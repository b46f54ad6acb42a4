"""Workers on a Ray cluster: actors that keep the models between tasks."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

from semcom.sweep.executors.base import Resources, TimeLimit, WorkerDied, set_threads
from semcom.sweep.executors.pool import PoolExecutor

T = TypeVar("T")
_STARTS, _POLL_SECONDS = 5, 0.5


class RayWorker:
    """One actor; the cluster decides where it lives.

    Args:
        threads: it computes with, and CPUs it asks the cluster for.
        seconds_per_task: after which it is killed; None for never.
    """

    def __init__(self, threads: int, seconds_per_task: float | None = None) -> None:
        self._threads, self._limit = threads, seconds_per_task
        self._actor: Any = None
        self._stopped = False

    def start(self) -> None:
        """See `Worker`; waits until the cluster has room."""
        import ray
        from ray.exceptions import RayActorError

        if self._stopped:
            raise WorkerDied("the run has ended")
        actor = ray.remote(num_cpus=self._threads, max_restarts=0)(_Actor)
        for attempt in range(1, _STARTS + 1):
            self._actor = actor.remote(self._threads, sys.path)
            ready = self._actor.ready.remote()
            while not self._stopped and not ray.wait([ready], timeout=_POLL_SECONDS)[0]:
                continue  # the cluster has no room yet
            if self._stopped:
                raise WorkerDied("the run has ended")
            try:
                ray.get(ready)
                return
            except RayActorError:  # the node may have died in the meantime
                if attempt == _STARTS:
                    raise

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """See `Worker`."""
        import ray
        from ray.exceptions import GetTimeoutError, ObjectLostError, RayActorError, RayTaskError

        try:
            result: T = ray.get(self._actor.call.remote(function, *args), timeout=self._limit)
            return result
        except GetTimeoutError:
            ray.kill(self._actor)
            raise TimeLimit(self._limit or 0.0) from None
        except RayTaskError as error:
            raise error.cause from error
        except (RayActorError, ObjectLostError) as error:
            raise WorkerDied(str(error).splitlines()[0]) from error

    def stop(self) -> None:
        """See `Worker`."""
        import ray

        self._stopped = True
        if self._actor is not None and ray.is_initialized():
            ray.kill(self._actor)


def make(resources: Resources) -> PoolExecutor:
    """The executor: a worker per `threads` CPUs of the cluster unless a number is given.

    Raises:
        ValueError: Ray is not installed, or no cluster answers at the address.
    """
    try:
        import ray
    except ImportError as error:
        raise ValueError("the executor 'ray' needs Ray: pip install 'semcom[cluster]'") from error
    address, threads = resources.address, resources.threads
    if not ray.is_initialized():
        try:
            ray.init(
                address=address, log_to_driver=False, include_dashboard=False if address is None else None
            )
        except ConnectionError as error:
            raise ValueError(f"no Ray cluster at {address!r}: start one with `ray start --head`") from error
    count = resources.workers or max(1, int(ray.cluster_resources().get("CPU", 1)) // threads)
    return PoolExecutor([RayWorker(threads, resources.seconds_per_task) for _ in range(count)])


class _Actor:
    """Runs tasks one after the other; what `semcom.sweep.worker` keeps lives here."""

    def __init__(self, threads: int, path: list[str]) -> None:
        sys.path[:] = [*sys.path, *(entry for entry in path if entry not in sys.path)]
        set_threads(threads)

    def ready(self) -> bool:
        """Answers once the actor lives."""
        return True

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """One task."""
        return function(*args)
