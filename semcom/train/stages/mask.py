"""Stage `mask`: counts the contexts of the key-map coder on masks of salient objects.

    semcom train mask --data ../shared/data/masks/ecssd/train --profile tiny

writes a tensor of the profile's part `stream_tables`. Every mask counts at two cell sizes, with and without
the limit on the key area, and mirrored.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from semcom.picture import images
from semcom.picture.grid import CELL
from semcom.streams import mask as keymap
from semcom.train.tables import write_tables
from semcom.train.training_run import TrainingRun
from semcom.transmitter.regions import cell_means, key_cells

_STRENGTH = 250  # cells that the starting counts of one context weigh at most
_PRIOR = 0.4  # added to both counts, as Krichevsky and Trofimov add 1/2


def key_maps(folder: Path) -> Iterator[Tensor]:
    """Key maps [h,w] bool of the masks (PNG, white is salient) in a folder."""
    for path in sorted(folder.glob("*.png")):
        mask = torch.from_numpy(np.array(images.read(path).convert("L")) > 127).float()
        for cell in (CELL // 2, CELL):
            for key_area in (None, 0.3):
                key_map = key_cells(cell_means(mask, cell), key_area)
                yield key_map
                yield key_map.flip(1)


def count(maps: Iterator[Tensor]) -> list[tuple[int, int]]:
    """(zeros, ones) per context in units of 1/16 cell, at least 1."""
    totals = torch.zeros(2, 1 << len(keymap.NEIGHBOURS), dtype=torch.float64)
    for key_map in maps:
        contexts = keymap.contexts(key_map)
        for bit in (0, 1):
            totals[bit] += torch.bincount(contexts[key_map == bool(bit)], minlength=totals.shape[1])
    totals += _PRIOR
    totals *= keymap.COUNT_UNIT * (_STRENGTH / totals.sum(0)).clamp(max=1)
    zeros, ones = totals.round().clamp(min=1).long().tolist()
    return list(zip(zeros, ones, strict=True))


def train(wanted: TrainingRun) -> None:
    """Writes the tables."""
    maps = chain.from_iterable(key_maps(Path(source)) for source in wanted.data)
    write_tables(wanted, mask=[list(pair) for pair in count(maps)])
