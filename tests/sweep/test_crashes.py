"""Runs that are killed at random moments, and several in one folder: the table of an undisturbed run."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from semcom.sweep import api

Toy = Callable[..., dict[str, Any]]
_CODE = """
import sys
sys.path.insert(0, {here!r})
if __name__ == "__main__":
    import semcom.sweep.writer as writer
    from semcom.sweep import api
    writer._SECONDS_PER_SHARD = 0.0
    print("ready", flush=True)
    sys.stdin.readline()
    api.run({scenario!r}, {out!r}, executor={executor!r}, workers=2, batch=2, allow_imports=True)
"""


def _started(scenario: dict[str, Any], out: Path, executor: str) -> subprocess.Popen[str]:
    """A process that begins the run when told to, with a shard for every task."""
    script = out.parent / f"{out.name}-{executor}.py"
    here = str(Path(__file__).parent)
    script.write_text(_CODE.format(here=here, scenario=scenario, out=str(out), executor=executor))
    pipes: dict[str, Any] = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.DEVNULL,
    }
    process = subprocess.Popen([sys.executable, str(script)], text=True, start_new_session=True, **pipes)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    return process


def _begin(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.close()
    process.stdout.close()


def _table(result: Any) -> bytes:
    return result.to_pandas()[["id", "trials", "lost", "bler", "sweep_toys:mse"]].to_csv(index=False).encode()


def _finished(scenario: dict[str, Any], out: Path) -> bytes:
    return _table(api.run(scenario, out, executor="serial", allow_imports=True))


def test_three_processes_in_one_folder(toy: Toy, tmp_path: Path) -> None:
    scenario = toy(stop={"trials": 6}, options={"seconds": 0.01})
    processes = [_started(scenario, tmp_path / "run", "serial") for _ in range(3)]
    for process in processes:
        _begin(process)
    assert [process.wait(timeout=300) for process in processes] == [0, 0, 0]
    expected = _finished(scenario, tmp_path / "whole")
    assert _table(api.load(tmp_path / "run")) == expected
    assert api.status(tmp_path / "run")["pending"] == 0


def _kill(toy: Toy, place: Path, seeds: range, executor: str) -> int:
    """Kills a run with everything it started, at a moment of each seed; how many shards that left."""
    scenario, out = toy(stop={"trials": 6}, options={"seconds": 0.02}), place / "run"

    def shards() -> int:
        return len(list(out.glob("shards/*.parquet")))

    for seed in seeds:
        process, rng, before = _started(scenario, out, executor), random.Random(seed), shards()
        _begin(process)
        if seed % 2:  # when some shards are there, however long workers take to start
            more = before + rng.randint(1, 4)
            while shards() < more and process.poll() is None:
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.2))
        else:
            time.sleep(rng.uniform(0.2, 3.0))
        with suppress(ProcessLookupError):  # it had finished
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    left = shards()
    assert _finished(scenario, out) == _finished(scenario, place / "whole")
    assert not [path for path in (out / "shards").iterdir() if path.suffix != ".parquet"]
    return left


def test_kills_at_random_moments(toy: Toy, tmp_path: Path) -> None:
    assert _kill(toy, tmp_path, range(3), "serial") > 0


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["serial", "processes"])
def test_twenty_kills_at_random_moments(toy: Toy, tmp_path: Path, executor: str) -> None:
    assert _kill(toy, tmp_path, range(20), executor) > 0
