"""Stage `card`: how often a level of the colour card differs by how much from its neighbours.

    semcom train card --data ../shared/data/photos/train --profile tiny

writes two tensors of the profile's part `stream_tables`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.progress import track

from semcom.picture import images
from semcom.picture.pixels import to_tensor
from semcom.streams import card
from semcom.train.data.crops import list_photos
from semcom.train.tables import integers, write_tables
from semcom.train.training_run import TrainingRun

_PRIOR = 0.5  # added to every count


def count(photos: Sequence[Path]) -> dict[str, list[int]]:
    """Frequencies of luma and chroma differences that sum to 2**12 each."""
    counts = {name: np.full(2 * top + 1, _PRIOR) for name, top in card.TOPS.items()}
    for path in track(photos, description="photos"):
        steps = card.differences(to_tensor(np.asarray(images.read(path))))
        for (name, top), values in zip(card.TOPS.items(), steps, strict=True):
            counts[name] += np.bincount(np.array(values) + top, minlength=2 * top + 1)
    return {name: integers(weights).tolist() for name, weights in counts.items()}


def train(wanted: TrainingRun) -> None:
    """Writes the tables."""
    learned = count(list_photos(wanted.data))
    write_tables(wanted, card_luma=learned["luma"], card_chroma=learned["chroma"])
