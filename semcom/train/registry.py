"""Stages by name: every module of `semcom.train.stages` is one.

A stage's module has `train(wanted)`, which trains it and writes its parts and cards into the profile. Another
package brings stages of its own by entry points of the group `semcom.stages` that name such a function.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from semcom.registry import unknown

if TYPE_CHECKING:
    from semcom.train.training_run import TrainingRun

_GROUP = "semcom.stages"


def stage_names() -> list[str]:
    """Names of all stages, without importing any."""
    shipped = {module.name for module in iter_modules([str(Path(__file__).parent / "stages")])}
    return sorted(shipped | {entry.name for entry in entry_points(group=_GROUP)})


def check_stage(name: str) -> None:
    """Raises `ValueError` with the nearest name where no stage is called that."""
    if name not in stage_names():
        raise ValueError(unknown("stage", name, stage_names()))


def run_stage(name: str, wanted: TrainingRun) -> None:
    """Trains the stage `name`, then writes its parts and cards.

    Raises:
        ValueError: no photos, or a part of an earlier stage is missing from the profile.
    """
    import torch

    from semcom.profile import LATENT_MARKS

    if any((wanted.profile / mark).is_file() for mark in LATENT_MARKS):
        raise ValueError(
            f"{wanted.profile}: the stages train the embedded profiles' networks, not published models; "
            "adapters and a ControlNet trained elsewhere are used as they are (lora:, models.controlnet)"
        )
    torch.set_num_threads(_usable_cores())
    _stage(name)(wanted)


def _stage(name: str) -> Callable[[TrainingRun], None]:
    check_stage(name)
    for entry in entry_points(group=_GROUP):
        if entry.name == name:
            return entry.load()
    return import_module(f"semcom.train.stages.{name}").train


def _usable_cores() -> int:
    """Cores this process may use, hyperthreads included; PyTorch's own default leaves those out."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
