"""The loop every stage shares: time budget, cosine schedule, weight averaging, checkpoint and resume."""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from rich.console import Console
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

_CHECKPOINT_SECONDS = 240
_WARMUP_STEPS = 50
_GRADIENT_NORM = 1.0
_LOG_STEPS = 20
_SEED_STRIDE = 1 << 32


class Stage(Protocol):
    """What a stage brings: the trainable model, its samples, its loss and its fixed evaluation.

    A stage that has a `device` other than `cpu` keeps its model there; batches are brought to it. Its rate
    rises for `warmup_steps` steps, where it has that.
    """

    name: str
    model: nn.Module
    batch_size: int
    learning_rate: float
    ema_decay: float

    def dataset(self, seed: int) -> Dataset[dict[str, Tensor]]:
        """Samples by index; sample i depends on (seed, i) alone."""
        ...

    def loss(self, batch: Mapping[str, Tensor], progress: float) -> dict[str, Tensor]:
        """Weighted terms that sum to the training loss; `progress` runs from 0 to 1."""
        ...

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Metrics of the averaged model on the fixed validation split."""
        ...


@dataclass
class Progress:
    """Where a run stands."""

    step: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Trained:
    """A finished run: the averaged model, where it stands, and its validation metrics."""

    model: nn.Module
    progress: Progress
    metrics: dict[str, float]


class _StepSampler:
    def __init__(self, first: int) -> None:
        self.first = first

    def __iter__(self) -> Iterator[int]:
        index = self.first
        while True:
            yield index
            index += 1


def run(stage: Stage, folder: Path, minutes: float, seed: int, resume: bool, share: float = 1.0) -> Trained:
    """Trains `stage` until `minutes` of training time are spent, over all resumed runs together.

    The result is the running average of the weights, mixed with those at the start in the ratio
    `share` : 1 − `share` (weight interpolation, arXiv 2109.01903). Writes `checkpoint.pt` (read back by
    `resume` only) and TensorBoard events, where TensorBoard is installed, to `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log, path = _Log(stage, folder), folder / "checkpoint.pt"
    device = getattr(stage, "device", "cpu")
    start = copy.deepcopy(stage.model).requires_grad_(False).eval()
    average = copy.deepcopy(start)
    trainable = [p for p in stage.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        trainable, lr=stage.learning_rate, weight_decay=1e-4, betas=(0.9, 0.99), fused=device == "cuda"
    )
    progress = Progress()
    if resume and path.exists():
        progress = _restore(path, stage.model, average, optimizer)
    try:
        _steps(stage, average, optimizer, progress, path, log, seconds=60 * minutes, seed=seed, device=device)
    finally:  # a run that is interrupted loses nothing
        _save(path, stage.model, average, optimizer, progress)
    _mix(average, start, share)
    metrics = stage.evaluate(average)
    log.validation(progress, metrics)
    return Trained(average, progress, metrics)


def _steps(
    stage: Stage,
    average: nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    path: Path,
    log: _Log,
    *,
    seconds: float,
    seed: int,
    device: str,
) -> None:
    trainable = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    saved = last = time.monotonic()
    for batch in _batches(stage, seed, progress.step, device):
        fraction = progress.seconds / seconds
        if fraction >= 1:
            return
        warm = min(1, (progress.step + 1) / getattr(stage, "warmup_steps", _WARMUP_STEPS))
        _set_rate(optimizer, stage.learning_rate * warm, fraction)
        torch.manual_seed(seed * _SEED_STRIDE + progress.step)  # a resumed run draws the same noise
        terms = stage.loss({name: x.to(device, non_blocking=True) for name, x in batch.items()}, fraction)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(terms.values())).sum().backward()
        nn.utils.clip_grad_norm_(trainable, _GRADIENT_NORM)
        optimizer.step()
        _update_average(average, stage, progress.step)
        now = time.monotonic()
        progress.step, progress.seconds, last = progress.step + 1, progress.seconds + now - last, now
        log.step(progress, terms)
        if now - saved > _CHECKPOINT_SECONDS:
            _save(path, stage.model, average, optimizer, progress)
            saved = now


def _batches(stage: Stage, seed: int, first_step: int, device: str) -> Iterable[Mapping[str, Tensor]]:
    return DataLoader(
        stage.dataset(seed),
        batch_size=stage.batch_size,
        sampler=_StepSampler(first_step * stage.batch_size),
        num_workers=1 if device == "cpu" else os.cpu_count() or 1,  # a GPU leaves the cores to the samples
        prefetch_factor=4,
        pin_memory=device == "cuda",
    )


class _Log:
    """Running means of the loss terms, on stderr and as TensorBoard events where it is installed."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self._name, self._batch_size = stage.name, stage.batch_size
        self._means: dict[str, Tensor] = {}
        self._console = Console(stderr=True, soft_wrap=True)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self._writer: Any = None
        else:
            self._writer = SummaryWriter(str(folder))

    def step(self, progress: Progress, terms: Mapping[str, Tensor]) -> None:
        for name, term in terms.items():
            value = term.detach()
            self._means[name] = torch.lerp(self._means.get(name, value), value, 0.02)
        if progress.step % _LOG_STEPS:
            return
        pace = 1000 * progress.seconds / (progress.step * self._batch_size)
        means = {name: value.item() for name, value in self._means.items()}  # waits for a GPU, so not sooner
        shown = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
        clock = f"step {progress.step}  {progress.seconds / 60:.1f} min  {pace:.0f} ms/sample"
        self._console.print(f"{self._name} {clock}  {shown}")
        self._events("loss", means, progress.step)

    def validation(self, progress: Progress, metrics: Mapping[str, float]) -> None:
        self._console.print(f"{self._name} validation: {metrics}")
        self._events("validation", metrics, progress.step)

    def _events(self, group: str, values: Mapping[str, float], step: int) -> None:
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(f"{group}/{name}", value, step)


def _set_rate(optimizer: torch.optim.Optimizer, base: float, fraction: float) -> None:
    rate = base * (0.02 + 0.49 * (1 + math.cos(math.pi * fraction)))
    for group in optimizer.param_groups:
        group["lr"] = rate


@torch.no_grad()
def _update_average(average: nn.Module, stage: Stage, step: int) -> None:
    decay = min(stage.ema_decay, (1 + step) / (10 + step))  # follows quickly at first
    kept, new = ([p.data for p in model.parameters()] for model in (average, stage.model))
    torch._foreach_lerp_(kept, new, 1 - decay)
    for kept_buffer, new_buffer in zip(average.buffers(), stage.model.buffers(), strict=True):
        kept_buffer.copy_(new_buffer)


@torch.no_grad()
def _mix(average: nn.Module, start: nn.Module, share: float) -> None:
    for kept, first in zip(average.parameters(), start.parameters(), strict=True):
        kept.data.lerp_(first.data, 1 - share)


def _save(
    path: Path, model: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    state = {
        "model": model.state_dict(),
        "average": average.state_dict(),
        "optimizer": optimizer.state_dict(),
        "step": progress.step,
        "seconds": progress.seconds,
    }
    partial = path.with_suffix(".part")
    torch.save(state, partial)
    partial.replace(path)


def _restore(path: Path, model: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer) -> Progress:
    state = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    average.load_state_dict(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    return Progress(step=state["step"], seconds=state["seconds"])
