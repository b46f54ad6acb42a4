"""`semcom train`: one stage of the embedded profile, resumable."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from semcom.cli.errors import one_line_errors


class StageName(enum.StrEnum):
    """Stages of the embedded profile, in training order."""

    KEY_CODEC = "key_codec"
    ENHANCER = "enhancer"
    QUANTISE = "quantise"
    DECODER = "decoder"
    PERCEPTUAL = "perceptual"
    JOINT = "joint"
    CHANNEL = "channel"
    SEGMENTER = "segmenter"
    CAPTIONER = "captioner"
    DEEPJSCC = "deepjscc"


def train(
    stage: Annotated[StageName, typer.Argument(help="Stage to train.")],
    data: Annotated[list[str], typer.Option(help="Folder of photos or quoted pattern; repeatable.")],
    validation: Annotated[list[str], typer.Option(help="The same, for the fixed validation split.")],
    profile: Annotated[Path, typer.Option(help="Profile folder that the result is written to.")],
    minutes: Annotated[float, typer.Option(help="Training time, resumed runs together.", min=0.1)] = 60.0,
    runs: Annotated[Path, typer.Option(help="Folder of checkpoints and logs.")] = Path("runs/train"),
    seed: Annotated[int, typer.Option(help="Of data order and augmentation.")] = 0,
    resume: Annotated[bool, typer.Option(help="Continue from the last checkpoint.")] = True,
    share: Annotated[
        float,
        typer.Option(help="Of trained weights in the result; the rest those at the start.", min=0.01, max=1),
    ] = 1.0,
) -> None:
    """Train one stage and write its weights and card to a profile."""
    from semcom.train.registry import TrainingRun, run_stage

    run = TrainingRun(data, validation, profile, minutes, runs / stage.value, seed, resume, share)
    with one_line_errors():
        run_stage(stage.value, run)
