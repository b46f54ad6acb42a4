"""Sweeps: grids of link simulations that resume, repeat exactly, and never compute a thing twice.

    scenario (YAML) ─► plan (points) ─► engine ─► store (additive shards) ─► result (tables, plots, report)
                                          │
                     transmit: encode once, send a batch of SNR points
                     reconstruct: decode each distinct received message once, measure it

The package is callable: `semcom.sweep("scenarios/quick.yaml")` is `semcom.sweep.run(...)`. A submodule's name
always wins over an attribute of its parent, so the module itself has to be the callable.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semcom.sweep.api import load, run
    from semcom.sweep.result import SweepResult
    from semcom.sweep.scenario import Scenario, ScenarioError

_EXPORTS = {
    "Scenario": "semcom.sweep.scenario",
    "ScenarioError": "semcom.sweep.problems",
    "SweepResult": "semcom.sweep.result",
    "load": "semcom.sweep.api",
    "run": "semcom.sweep.api",
}
__all__ = ["Scenario", "ScenarioError", "SweepResult", "load", "run"]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'semcom.sweep' has no attribute {name!r}")


class _CallableModule(ModuleType):
    def __call__(self, *args: Any, **options: Any) -> SweepResult:
        from semcom.sweep.api import run

        return run(*args, **options)


sys.modules[__name__].__class__ = _CallableModule
