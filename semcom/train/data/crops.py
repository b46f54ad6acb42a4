"""Training crops: photographs of any folder, coded as the transmitter codes them.

Sample `index` of a run depends on (seed, index) alone, so an interrupted run resumes with exactly the
crops it would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from semcom.picture import grain, images
from semcom.picture.grid import CELL
from semcom.picture.limits import SUFFIXES
from semcom.picture.pixels import to_tensor
from semcom.streams.coding import av1
from semcom.transmitter import hci

CROP = 128
QUALITIES = (8, 52)
_USUAL_QUALITY = 40  # Kodak at 0.03 bpp is coded at 27–49, at 0.018 at 9–31
_LOSS_RATES = (0.0, 0.0, 0.1, 0.3, 1.0)
_TRAIN_SPEED = 6  # ten times faster than the transmitter's setting, with artefacts of the same kind


def list_photos(sources: Sequence[str]) -> list[Path]:
    """Photos in folders (searched recursively) and glob patterns, sorted.

    Raises:
        ValueError: no source, or one that holds no photo.
    """
    if not sources:
        raise ValueError("this stage needs photos: give --data FOLDER and --validation OTHER_FOLDER")
    photos: list[Path] = []
    for source in sources:
        folder = Path(source)
        found = folder.rglob("*") if folder.is_dir() else _expand(source)
        matches = [path for path in found if path.suffix.lower() in SUFFIXES]
        if not matches:
            raise ValueError(f"no photo in {source}: give a folder of pictures or a quoted pattern")
        photos.extend(matches)
    return sorted(set(photos))


def _expand(pattern: str) -> Iterator[Path]:
    """Files that match a pattern, relative or absolute."""
    path = Path(pattern)
    return Path(path.anchor).glob(str(path.relative_to(path.anchor)))


@dataclass(frozen=True)
class _Coded:
    """A photo and its HCI.

    Attributes:
        pixels: [H,W,3] uint8.
        small, hci: [H/4,W/4,3] uint8, before AV1 and after.
        quality: of AV1.
        noise: standard deviation of the photo's grain in luma, in grey levels.
    """

    pixels: NDArray[np.uint8]
    small: NDArray[np.uint8]
    hci: NDArray[np.uint8]
    quality: int
    noise: float


class CodedCrops(Dataset[dict[str, Tensor]]):
    """Pairs of a crop and the same crop of the AV1-coded quarter-size picture.

    Args:
        photos: files to draw from.
        crop: side of the full-size crop in pixels, a multiple of 4.
        qualities: inclusive range of AV1 qualities; the usual ones are drawn most often.
        seed: of the run.
    """

    def __init__(self, photos: Sequence[Path], crop: int, qualities: tuple[int, int], seed: int) -> None:
        self.photos, self.crop, self.qualities, self.seed = list(photos), crop, qualities, seed

    def __len__(self) -> int:
        return 1 << 40

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """`target` [3,crop,crop], `thumb` and `hci` [3,crop/4,crop/4] before and after AV1, `quality` [].

        `noise` [] is the photo's grain, in grey levels of luma.
        """
        rng = np.random.default_rng([self.seed, index])
        return self._window(self._photo(rng)[0], rng)

    def _window(self, photo: Image.Image, rng: np.random.Generator) -> dict[str, Tensor]:
        return self._cut(self._coded(photo, rng), rng)

    def _coded(self, photo: Image.Image, rng: np.random.Generator) -> _Coded:
        small = photo.resize((photo.width // 4, photo.height // 4), Image.Resampling.LANCZOS)
        low, high = self.qualities
        quality = round(rng.triangular(low, min(_USUAL_QUALITY, high), high))
        payload = hci.encode(np.asarray(small), quality, _TRAIN_SPEED)
        pixels = np.asarray(photo)
        noise = grain.grey_levels(grain.measure(to_tensor(pixels)))
        return _Coded(pixels, np.asarray(small), av1.decode(payload, *small.size), quality, noise)

    def _cut(self, coded: _Coded, rng: np.random.Generator) -> dict[str, Tensor]:
        side = self.crop // 4
        x, y = self._sharpest(coded.small.astype(np.float32).sum(-1), side, rng)
        target = coded.pixels[4 * y : 4 * y + self.crop, 4 * x : 4 * x + self.crop]
        window = (slice(y, y + side), slice(x, x + side))
        return {
            "target": to_tensor(target),
            "thumb": to_tensor(coded.small[window]),
            "hci": to_tensor(coded.hci[window]),
            "quality": torch.tensor(float(coded.quality)),
            "noise": torch.tensor(coded.noise),
        }

    def _sharpest(self, luma: NDArray[np.float32], side: int, rng: np.random.Generator) -> tuple[int, int]:
        """Corner of the window of most contrast among three.

        Photographs of the web have much blurred background; learned as it comes, it teaches the trunk to
        blur whatever AV1 has smoothed.
        """
        height, width = luma.shape
        corners = [
            (int(rng.integers(0, width - side + 1)), int(rng.integers(0, height - side + 1)))
            for _ in range(3)
        ]
        contrast = np.abs(np.diff(luma, axis=0))[:, :-1] + np.abs(np.diff(luma, axis=1))[:-1]
        return max(corners, key=lambda xy: contrast[xy[1] : xy[1] + side, xy[0] : xy[0] + side].mean())

    def _photo(self, rng: np.random.Generator) -> tuple[Image.Image, Path]:
        """A photo, often reduced (finer texture per pixel), at least one crop large, often mirrored."""
        path = self.photos[rng.integers(len(self.photos))]
        photo = images.read(path)
        smallest = self.crop / min(photo.size)
        factor = max(smallest, float(rng.uniform(0.4, 1.0)))
        size = [max(self.crop, round(side * factor)) // 4 * 4 for side in photo.size]
        photo = photo.resize((size[0], size[1]), Image.Resampling.LANCZOS)
        if rng.random() < 0.5:
            photo = photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return photo, path


class KeyCrops(CodedCrops):
    """Coded crops with a random key map and the cells whose packet arrived.

    Args:
        photos: files to draw from.
        seed: of the run.
        crop: side of the full-size crop in pixels, a multiple of 16.
    """

    def __init__(self, photos: Sequence[Path], seed: int, crop: int = CROP) -> None:
        super().__init__(photos, crop, QUALITIES, seed)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """The crop's tensors, `key_map` and `arrived` [1,cells,cells]."""
        return super().__getitem__(index) | self._key_maps(index)

    def _key_maps(self, index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.seed, index, 1])
        cells = self.crop // CELL
        key_map = _random_key_map(rng, cells)
        lost = rng.random(4) < rng.choice(_LOSS_RATES)
        phases = 2 * (np.arange(cells)[:, None] % 2) + np.arange(cells)[None] % 2
        arrived = key_map & ~lost[phases]
        maps = {"key_map": key_map, "arrived": arrived}
        return {name: torch.from_numpy(value[None].astype(np.float32)) for name, value in maps.items()}


def _random_key_map(rng: np.random.Generator, cells: int) -> np.ndarray:
    """Three tenths empty, three tenths full, otherwise a rectangle."""
    key_map = np.zeros((cells, cells), bool)
    kind = rng.random()
    if kind < 0.3:
        key_map[:] = True
    elif kind > 0.6:
        height, width = rng.integers(2, cells + 1, 2)
        y, x = rng.integers(0, cells - height + 1), rng.integers(0, cells - width + 1)
        key_map[y : y + height, x : x + width] = True
    return key_map
