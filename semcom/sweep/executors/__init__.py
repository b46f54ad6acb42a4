"""Where tasks run, behind `concurrent.futures.Executor`: here, in local processes, or on a cluster.

A file of this folder that has a line `def make(` is an executor of the file's name; a package of one's own
adds one by an entry point of the group `semcom.executors`, a function from `base.Resources` to an executor
with the attribute `num_workers`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from semcom.registry import Registry

if TYPE_CHECKING:
    from concurrent.futures import Future

    from semcom.sweep.executors.base import Resources


class SweepExecutor(Protocol):
    """A `concurrent.futures.Executor` that says how many tasks it runs at a time."""

    num_workers: int

    def submit(self, function: Any, /, *args: Any) -> Future[Any]:
        """See `concurrent.futures.Executor`."""
        ...

    def shutdown(self, wait: bool = True) -> None:
        """See `concurrent.futures.Executor`."""
        ...


def executor_names() -> list[str]:
    """Every registered executor."""
    return EXECUTORS.names()


def make_executor(kind: str, resources: Resources) -> SweepExecutor:
    """An executor.

    Raises:
        ValueError: unknown kind, or what it needs is not installed or not there.
    """
    made: SweepExecutor = EXECUTORS.load(kind)(resources)
    return made


def _own() -> dict[str, str]:
    files = sorted(Path(__file__).parent.glob("*.py"))
    makers = [f.stem for f in files if f != Path(__file__) and "\ndef make(" in f.read_text("utf-8")]
    return {name: f"{__name__}.{name}:make" for name in makers}


EXECUTORS = Registry("executor", "semcom.executors", _own)
