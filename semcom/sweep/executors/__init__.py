"""Where tasks run, behind `concurrent.futures.Executor`: here, in local processes, or on a cluster.

A file of this folder that has a line `def make(` is an executor of the file's name; a package of one's own
adds one by an entry point of the group `semcom.executors`, a function from `base.Resources` to an executor
with the attribute `num_workers`.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

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
    return [*_own(), *(name for name in _registered() if name not in _own())]


def make_executor(kind: str, resources: Resources) -> SweepExecutor:
    """An executor.

    Raises:
        ValueError: unknown kind, or what it needs is not installed or not there.
    """
    if kind in _own():
        made: SweepExecutor = import_module(f"{__name__}.{kind}").make(resources)
        return made
    if kind not in _registered():
        raise ValueError(f"unknown executor {kind!r}; known: {', '.join(executor_names())}")
    registered: SweepExecutor = _registered()[kind].load()(resources)
    return registered


@cache
def _own() -> tuple[str, ...]:
    files = sorted(Path(__file__).parent.glob("*.py"))
    return tuple(f.stem for f in files if f != Path(__file__) and "\ndef make(" in f.read_text("utf-8"))


@cache
def _registered() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group="semcom.executors")}
