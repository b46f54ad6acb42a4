"""Captioned photographs for training: words, token ids, and the frozen backbone's features, computed once.

captions.jsonl      {"image": "a.webp", "captions": ["…", "…"]} a line; pictures lie in the folder of
                    the same name beside it, or next to the file
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor

from semcom.networks.captioner import GRID
from semcom.networks.efficientnet import FEATURE_CHANNELS
from semcom.picture import images
from semcom.picture.pixels import to_tensor
from semcom.transmitter.features import FeatureExtractor


@dataclass(frozen=True)
class CaptionedPhotos:
    """Photos and what people said about them.

    Attributes:
        photos: files.
        captions: per photo, in normal form (`plain`).
    """

    photos: list[Path]
    captions: list[list[str]]


def read_captions(sources: Sequence[str | Path]) -> CaptionedPhotos:
    """Photos and captions of `.jsonl` files.

    Raises:
        ValueError: a picture that it names is missing, or
        ValueError: a line is not as described above.
    """
    parts = [_read_file(Path(source)) for source in sources]
    return CaptionedPhotos(
        [photo for part in parts for photo in part.photos],
        [texts for part in parts for texts in part.captions],
    )


def _read_file(path: Path) -> CaptionedPhotos:
    folder = path.with_suffix("") if path.with_suffix("").is_dir() else path.parent
    photos, captions = [], []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            entry = json.loads(line)
            photos.append(folder / entry["image"])
            captions.append([plain(text) for text in entry["captions"]])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}, line {number}: needs image and captions ({error})") from error
    missing = next((photo for photo in photos if not photo.is_file()), None)
    if missing is not None:
        raise ValueError(f"{path} names {missing}, which is not there")
    return CaptionedPhotos(photos, captions)


def plain(text: str) -> str:
    """Normal form of a caption: lower case, one space between words, no full stop at the end.

    A comma or an apostrophe that was set off by spaces goes back to its word.
    """
    words = text.lower().replace('"', " ").split()
    joined = " ".join(words).rstrip(" .!;,")
    for mark in (",", "'s", "n't", ".", ";", ":", "!"):
        joined = joined.replace(f" {mark}", mark)
    return joined


def cached_features(extractor: FeatureExtractor, photos: Sequence[Path], folder: Path) -> NDArray[np.float16]:
    """[N,49,320] float16, memory-mapped: the transmitter's shared features of every photo as 7×7 cells.

    Computed on first use, then read from `folder`; other photos are another file.
    """
    digest = sha256("\n".join(str(photo.resolve()) for photo in photos).encode()).hexdigest()[:12]
    path = folder / f"features-{digest}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        shape = (len(photos), GRID * GRID, FEATURE_CHANNELS[-1])
        values = np.lib.format.open_memmap(partial, "w+", np.float16, shape)
        for index, photo in enumerate(track(photos, description="backbone features")):
            cells = extractor(_picture(photo)).grid(GRID, GRID)[0]
            values[index] = cells.flatten(1).T.half().numpy()
        values.flush()
        partial.rename(path)
    return np.load(path, mmap_mode="r")


def _picture(path: Path) -> Tensor:
    return to_tensor(np.asarray(images.read(path)))
