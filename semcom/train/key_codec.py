"""Stage `key_codec`: the key transform and its integer tables, learned from AV1's errors.

What AV1 loses of training photographs at random qualities gives the transform's basis; the latents of the
same residuals, and what the texture lacks in a cell, give the tables. Nothing is optimised by gradient, so
this takes minutes, not hours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor

from semcom.models.key_bitstream import LatentTables, packet_cells
from semcom.models.key_transform import CELL_SIDE, CELL_VALUES, KeyTransform, learn_basis
from semcom.train.data import CodedCrops
from semcom.train.tables import fit_tables, mean_bits
from semcom.transmitter import texture
from semcom.transmitter.texture import Levels

_CROP = 256
_QUALITIES = (15, 40)


@dataclass(frozen=True)
class KeyCodec:
    """What the stage learns, and what it measured on the way."""

    transform: KeyTransform
    tables: LatentTables
    energy_kept: float
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
    residuals = torch.stack([sample["thumb"] - sample["hci"] for sample in samples])
    cells = F.pixel_unshuffle(residuals, CELL_SIDE).permute(0, 2, 3, 1).reshape(-1, CELL_VALUES)
    transform = known or KeyTransform()
    if known is None:
        transform.basis.copy_(learn_basis(cells, len(transform.basis)))
    kept = (cells @ transform.basis.T).square().sum() / cells.square().sum()
    shapes = transform.quantise(residuals).numpy().astype(np.int64)
    refinements = np.stack([_refinement(sample) for sample in samples])
    groups = _groups(np.concatenate((shapes, refinements[:, None]), 1))
    tables = fit_tables(groups)
    bits = mean_bits(groups, tables) / np.mean([len(group) for group in groups])
    return KeyCodec(transform, tables, float(kept), float(bits))


def _refinement(sample: dict[str, Tensor]) -> NDArray[np.int64]:
    levels = Levels.of(sample["target"])
    _, known = texture.encode(levels, sample["hci"], int(sample["quality"]))
    return texture.refinement(levels, known)


def _groups(latents: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Latents of cells that share a table set, [cells,C] each."""
    everywhere = np.ones(latents.shape[2:], bool)
    return [
        np.stack([picture[:, y, x] for y, x in cells])
        for picture in latents
        for packet in packet_cells(everywhere, 1)
        for cells in packet
    ]
