"""Stage `key_codec`: the key transform and its integer tables, learned from AV1's errors.

What AV1 loses of training photographs at random qualities gives the basis that the transform starts from;
the latents of the same photographs, at all finenesses in turn, give the tables. The stage `joint` trains the
transform; then the tables are made anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor

from semcom.networks.key_transform import (
    CELL_SIDE,
    CELL_VALUES,
    FINENESSES,
    LATENTS,
    KeyTransform,
    learn_basis,
    start_from_basis,
)
from semcom.profile import Profile, write_part
from semcom.provenance import provenance
from semcom.streams.key import LatentTables, packet_cells
from semcom.train.data.crops import CodedCrops, list_photos
from semcom.train.tables import fit_tables, mean_bits
from semcom.train.training_run import DATA_TERMS, TrainingRun

_CROP = 256
_QUALITIES = (15, 40)


@dataclass(frozen=True)
class KeyCodec:
    """What the stage learns, and what it measured on the way."""

    transform: KeyTransform
    tables: LatentTables
    bits_per_cell: float


def learn_key_codec(
    photos: Sequence[Path], crops: int, seed: int, known: KeyTransform | None = None
) -> KeyCodec:
    """Transform and tables from so many random crops of 256² pixels.

    Args:
        photos: to cut them from.
        crops: how many.
        seed: of the choice.
        known: a transform that other networks have learned to rely on; only the tables are new.
    """
    coded = CodedCrops(photos, _CROP, _QUALITIES, seed)
    samples = [coded[i] for i in track(range(crops), description="coding photos")]
    transform = known or start_from_basis(_basis(samples))
    with torch.inference_mode():
        latents = [
            transform.quantise(transform(sample["target"][None], sample["hci"][None]), fineness)[0]
            for sample, fineness in zip(samples, cycle(FINENESSES))
        ]
    groups = _groups(torch.stack(latents).numpy().astype(np.int64))
    tables = fit_tables(groups)
    bits = mean_bits(groups, tables) / np.mean([len(group) for group in groups])
    return KeyCodec(transform, tables, float(bits))


def _basis(samples: Sequence[dict[str, Tensor]]) -> Tensor:
    residuals = torch.stack([sample["thumb"] - sample["hci"] for sample in samples])
    cells = F.pixel_unshuffle(residuals, CELL_SIDE).permute(0, 2, 3, 1).reshape(-1, CELL_VALUES)
    return learn_basis(cells, LATENTS)


def _groups(latents: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Latents of cells that share a table set, [cells,C] each."""
    everywhere = np.ones(latents.shape[2:], bool)
    return [
        np.stack([picture[:, y, x] for y, x in cells])
        for picture in latents
        for packet in packet_cells(everywhere, 1)
        for cells in packet
    ]


_KEY_CODEC_CROPS = 600


def train(wanted: TrainingRun) -> None:
    """Learns `key_tables`, and `key_transform` where the profile has none."""
    photos = list_photos(wanted.data)
    profile = Profile.open(wanted.profile)
    known = profile.build("key_transform", KeyTransform) if "key_transform" in profile else None
    learned = learn_key_codec(photos, _KEY_CODEC_CROPS, wanted.seed, known)
    card = {
        "stage": "key_codec",
        "data": list(wanted.data),
        "photos": len(photos),
        "data_terms": DATA_TERMS,
        "crops": _KEY_CODEC_CROPS,
        "seed": wanted.seed,
        "bits_per_cell": round(learned.bits_per_cell, 2),
    } | provenance()
    if known is None:
        write_part(wanted.profile, "key_transform", {}, learned.transform.state_dict(), card)
    tensors = {
        "sets": torch.from_numpy(learned.tables.sets).short(),
        "symbols": torch.from_numpy(learned.tables.symbols).short(),
    }
    write_part(wanted.profile, "key_tables", {}, tensors, card)
