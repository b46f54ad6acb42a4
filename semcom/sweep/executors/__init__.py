"""Where tasks run, behind `concurrent.futures.Executor`: here, in local processes, or on a Ray cluster."""

from __future__ import annotations

import os

from semcom.sweep.executors.local import PoolExecutor, ProcessWorker, SerialExecutor

SweepExecutor = SerialExecutor | PoolExecutor


def make_executor(kind: str, workers: int | None, threads: int, address: str | None) -> SweepExecutor:
    """An executor.

    Args:
        kind: `serial`, `processes` or `ray`.
        workers: default one per core (of the cluster).
        threads: per worker.
        address: of the Ray cluster; `auto` for a running one, None to start one here.

    Raises:
        ValueError: unknown kind, or Ray is not installed or not there.
    """
    if kind == "serial":
        return SerialExecutor(threads)
    if kind == "processes":
        count = workers or max(1, (os.cpu_count() or 1) // threads)
        return PoolExecutor([ProcessWorker(threads) for _ in range(count)])
    if kind == "ray":
        from semcom.sweep.executors.ray import ray_workers

        return PoolExecutor(list(ray_workers(workers, threads, address)))
    raise ValueError(f"unknown executor {kind!r}; known: serial, processes, ray")
