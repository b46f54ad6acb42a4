"""Executors: order, errors, and workers that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from semcom.sweep import api
from semcom.sweep.executors import make_executor
from semcom.sweep.executors.base import Resources, Worker, WorkerDied
from semcom.sweep.executors.pool import PoolExecutor
from semcom.sweep.executors.serial import SerialExecutor

WAIT = 300
"""Seconds after which a pool counts as stuck."""


class Fragile:
    """A worker in a thread; a task named in `deadly` kills it."""

    def __init__(self, deadly: set[int]) -> None:
        self.deadly, self.starts, self.calls = deadly, 0, 0

    def start(self) -> None:
        self.starts += 1

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        self.calls += 1
        if args[0] in self.deadly:
            raise WorkerDied("gone")
        return function(*args)

    def stop(self) -> None:
        pass


def _pool(*workers: Worker) -> PoolExecutor:
    return PoolExecutor(list(workers))


def test_serial_executor_keeps_errors_in_the_future_and_restores_threads() -> None:
    import torch

    before = torch.get_num_threads()
    executor = SerialExecutor(Resources(threads=before + 1))
    assert executor.submit(torch.get_num_threads).result() == before + 1
    assert isinstance(executor.submit(int, "x").exception(), ValueError)
    assert torch.get_num_threads() == before


def test_a_task_that_kills_its_worker_fails_alone() -> None:
    workers = [Fragile({13}), Fragile({13})]
    pool = _pool(*workers)
    futures = [pool.submit(lambda n: n * n, n) for n in range(20)]
    with pytest.raises(WorkerDied, match="3 times"):
        futures[13].result(timeout=WAIT)
    assert [f.result(timeout=WAIT) for i, f in enumerate(futures) if i != 13] == [
        n * n for n in range(20) if n != 13
    ]
    pool.shutdown()
    assert sum(worker.calls for worker in workers) == 19 + 3


def test_a_dead_worker_is_replaced_and_the_task_done_again() -> None:
    class DiesOnce(Fragile):
        def call(self, function: Callable[..., Any], *args: Any) -> Any:
            try:
                return super().call(function, *args)
            finally:
                self.deadly.clear()

    worker = DiesOnce({5})
    pool = _pool(worker)
    assert pool.submit(lambda n: n, 5).result(timeout=WAIT) == 5
    assert (worker.starts, worker.calls) == (2, 2)
    pool.shutdown()


def test_workers_that_cannot_start_fail_what_waits() -> None:
    class Broken(Fragile):
        def start(self) -> None:
            raise RuntimeError("no such machine")

    pool = _pool(Broken(set()), Broken(set()))
    with pytest.raises(RuntimeError, match="no such machine"):
        pool.submit(int).result(timeout=WAIT)


def test_unknown_executor_is_named() -> None:
    with pytest.raises(ValueError, match=r"'threads'.*processes, ray, serial"):
        make_executor("threads", Resources())


def test_a_process_that_is_killed_costs_nothing(toy: Callable[..., Any], tmp_path: Path) -> None:
    """The first decode ends its process; the table is that of an undisturbed run."""
    whole = api.run(toy(), tmp_path / "whole", executor="serial", allow_imports=True).to_pandas()
    options = {"kill_once": str(tmp_path / "killed")}
    result = api.run(
        toy(options=options), tmp_path / "run", executor="processes", allow_imports=True, workers=1
    )
    assert (tmp_path / "killed").exists() and result.failures() == {}
    counts = ["trials", "packets"]
    assert result.to_pandas()[counts].equals(whole[counts])


@pytest.mark.slow
def test_a_message_that_kills_every_worker_fails_its_points_only(
    toy: Callable[..., Any], tmp_path: Path
) -> None:
    scenario = toy(options={"poison": True}, stop={"trials": 1}, grid={"snr_db": [-5, 40]})
    result = api.run(scenario, tmp_path / "run", executor="processes", allow_imports=True, workers=2)
    assert set(result.to_pandas()["snr_db"]) == {40.0}
    assert {f["point"]["snr_db"] for f in result.failures().values()} == {-5.0}
    assert all("died 3 times" in f["reason"] for f in result.failures().values())


@pytest.mark.slow
def test_workers_end_with_a_killed_parent(toy: Callable[..., Any], tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = (
        "import sys; sys.path[:0] = [{here!r}]\n"
        "if __name__ == '__main__':\n"
        "    from semcom.sweep import api\n"
        "    api.run({scenario!r}, {out!r}, executor='processes', workers=2, allow_imports=True)\n"
    ).format(
        here=str(Path(__file__).parent),
        scenario=toy(options={"log": str(log), "seconds": 0.2}, stop={"trials": 500}),
        out=str(tmp_path / "run"),
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    driver = subprocess.Popen([sys.executable, str(script)])
    while not log.exists() or log.read_text().count("decode") < 3:
        assert driver.poll() is None
        time.sleep(0.2)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    for _ in range(30):  # until the workers have noticed
        lines = log.read_text()
        time.sleep(2.0)
        if log.read_text() == lines:
            return
    raise AssertionError("the workers go on without their parent")
