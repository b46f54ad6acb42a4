"""Workers on a Ray cluster: actors that keep the models between tasks."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

from semcom.sweep.executors.base import Worker, WorkerDied, set_threads

T = TypeVar("T")
_STARTS, _POLL_SECONDS = 5, 0.5


class RayWorker:
    """One actor; the cluster decides where it lives.

    Args:
        threads: it computes with, and CPUs it asks the cluster for.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
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
        from ray.exceptions import ObjectLostError, RayActorError, RayTaskError

        try:
            result: T = ray.get(self._actor.call.remote(function, *args))
            return result
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


def ray_workers(workers: int | None, threads: int, address: str | None) -> list[Worker]:
    """Workers on a cluster, one per `threads` CPUs unless a number is given.

    Raises:
        ValueError: Ray is not installed, or no cluster answers at the address.
    """
    try:
        import ray
    except ImportError as error:
        raise ValueError("the executor 'ray' needs Ray: pip install 'semcom[cluster]'") from error
    if not ray.is_initialized():
        try:
            ray.init(
                address=address, log_to_driver=False, include_dashboard=False if address is None else None
            )
        except ConnectionError as error:
            raise ValueError(f"no Ray cluster at {address!r}: start one with `ray start --head`") from error
    count = workers or max(1, int(ray.cluster_resources().get("CPU", 1)) // threads)
    return [RayWorker(threads) for _ in range(count)]


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
