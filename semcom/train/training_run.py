"""What the user asked of a stage, and the card that says how its result came to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semcom.provenance import provenance
from semcom.train.loop import Stage, Trained, run

DATA_TERMS = "research use; sets and terms in DATA.md"


@dataclass(frozen=True)
class TrainingRun:
    """What the user asked for.

    Attributes:
        data, validation: folders or patterns of photos.
        profile: folder that receives the result and holds the parts of earlier stages.
        minutes: training time, resumed runs together.
        folder: of checkpoints and logs.
        seed: of data order and augmentation.
        resume: continue from the last checkpoint.
        share: of the trained weights in the result, above 0; the rest are those that training started from.
    """

    data: Sequence[str]
    validation: Sequence[str]
    profile: Path
    minutes: float
    folder: Path
    seed: int
    resume: bool
    share: float = 1.0


def train_stage(stage: Stage, wanted: TrainingRun) -> Trained:
    """Runs the training loop as it was asked for."""
    return run(stage, wanted.folder, wanted.minutes, wanted.seed, wanted.resume, wanted.share)


def card_of(stage: Stage, trained: Trained, wanted: TrainingRun, photos: int) -> dict[str, Any]:
    """How the part came to be: data, time, losses, validation metrics, versions."""
    progress = trained.progress
    return {
        "stage": stage.name,
        "data": [Path(source).as_posix() for source in wanted.data],
        "photos": photos,
        "data_terms": DATA_TERMS,
        "minutes": round(progress.seconds / 60, 1),
        "steps": progress.step,
        "batch_size": stage.batch_size,
        "ms_per_sample": round(1000 * progress.seconds / (progress.step * stage.batch_size)),
        "learning_rate": stage.learning_rate,
        "seed": wanted.seed,
        "share_of_trained_weights": wanted.share,
        "validation": trained.metrics,
    } | provenance()
