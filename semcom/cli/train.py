"""`semcom train`: one stage of the embedded profile, resumable."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from semcom.cli.errors import one_line_errors
from semcom.files import check_folder
from semcom.train.registry import check_stage, run_stage, stage_names


def train(
    stage: Annotated[str, typer.Argument(help=f"Stage to train: {', '.join(stage_names())}.")],
    profile: Annotated[Path, typer.Option(help="Profile folder that the result is written to.")],
    data: Annotated[
        list[str] | None, typer.Option(help="Folder of photos or quoted pattern; repeatable.")
    ] = None,
    validation: Annotated[
        list[str] | None, typer.Option(help="The same, for the fixed validation split.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="Training time, resumed runs together.", min=0.1)] = 60.0,
    runs: Annotated[Path, typer.Option(help="Folder of checkpoints and logs.")] = Path("runs/train"),
    seed: Annotated[int, typer.Option(help="Of data order and augmentation.", min=0)] = 0,
    resume: Annotated[bool, typer.Option(help="Continue from the last checkpoint.")] = True,
    share: Annotated[
        float,
        typer.Option(help="Of trained weights in the result; the rest those at the start.", min=0.01, max=1),
    ] = 1.0,
) -> None:
    """Train one stage and write its weights and card to a profile."""
    with one_line_errors():
        for place in (profile, runs):
            check_folder(place)
        check_stage(stage)
        from semcom.train.training_run import TrainingRun

        run = TrainingRun(data or [], validation or [], profile, minutes, runs / stage, seed, resume, share)
        run_stage(stage, run)
