"""Stage `texture`: what an HCI lets expect of the fine detail, and the tables of what does not fit.

    semcom train texture --data ../shared/data/photos/train --profile tiny

writes a tensor of the profile's part `stream_tables` from crops of photographs coded at random qualities: the
expectation by least squares; then surprises as the transmitter would choose them, and tables from how often
it chose what, in turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor

from semcom.picture import texture
from semcom.streams import texture as texture_code
from semcom.streams.texture import NUM_CONTEXTS, NUM_SYMBOLS, TABLE_BITS
from semcom.train.data.crops import QUALITIES, CodedCrops, list_photos
from semcom.train.tables import integers, write_tables
from semcom.train.training_run import TrainingRun

_CROPS, _CROP, _SEED = 1200, 256, 77
_ROUNDS = 4
_PRIOR = 0.2  # added to every count


def learn(photos: Sequence[Path], crops: int = _CROPS) -> dict[str, list[float] | list[list[int]]]:
    """`expectation` [4] and `surprises` [contexts,symbols], frequencies that sum to 2**12 in each context."""
    coded = CodedCrops(photos, _CROP, QUALITIES, _SEED)
    clues, levels = zip(*(_clues(coded[i]) for i in track(range(crops), description="crops")), strict=True)
    inputs, wanted = torch.cat(clues), torch.cat(levels)
    weights = torch.linalg.lstsq(inputs.flatten(0, 2).double(), wanted.flatten()[:, None].double()).solution
    expectation = [round(weight, 4) for weight in weights[:, 0].tolist()]
    octaves = (wanted - inputs @ torch.tensor(expectation)).numpy()
    return {"expectation": expectation, "surprises": _tables(octaves)}


def _clues(sample: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """What the expectation is a linear function of [1,rows,columns,4], and the levels [1,rows,columns]."""
    own, around = texture.activities(sample["hci"][None])
    quality = torch.full_like(own, float(sample["quality"]) / 63)
    clues = torch.stack((own, around, quality, torch.ones_like(own)), -1)
    return clues, texture.measure(sample["target"][None], texture.BLOCK)


def _tables(octaves: NDArray[np.float32]) -> list[list[int]]:
    lengths = np.full((NUM_CONTEXTS, NUM_SYMBOLS), np.log2(NUM_SYMBOLS))
    for _ in range(_ROUNDS):
        counts = np.full((NUM_CONTEXTS, NUM_SYMBOLS), _PRIOR)
        for picture in octaves:
            grid = texture_code.choose(picture, lengths).tolist()
            for y, row in enumerate(grid):
                for x, value in enumerate(row):
                    counts[texture_code.context(grid, y, x), value + texture.MAX_SURPRISE] += 1
        tables = np.apply_along_axis(integers, -1, counts)
        lengths = TABLE_BITS - np.log2(tables)
    return tables.tolist()


def train(wanted: TrainingRun) -> None:
    """Writes the tables."""
    learned = learn(list_photos(wanted.data))
    note = {"texture_expectation": learned["expectation"]}
    write_tables(wanted, note, texture=learned["surprises"])
