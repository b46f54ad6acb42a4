"""Photographs with segment masks: found in folders, cropped, and turned into prompts with their answers.

    x.webp (or .jpg)      the photo
    x.png, x_0.png …      its label maps: 0 is unlabelled, every other value one segment

Sample `index` of a run depends on (seed, index) alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.utils.data import Dataset

from semcom.networks.sam import TINY_IMAGE_SIZE
from semcom.picture import images
from semcom.picture.limits import SUFFIXES
from semcom.picture.pixels import to_tensor

POINTS, BOXES = 3, 3
"""Prompts of a sample: points, and boxes of which the last comes with a coarse mask."""
MASK_STRIDE = 4
_PHOTO_SUFFIXES = SUFFIXES - {".png"}  # which is what label maps are
_SMALLEST = 0.004  # share of a crop that a segment covers to be asked for
_JITTER = 0.08  # deviation of a box side, as a share of the box
_TRIES = 8
_SECOND_POINT = 0.3


@dataclass(frozen=True)
class MaskedPhoto:
    """A photo and its label maps, which may disagree: one per annotator."""

    photo: Path
    labels: tuple[Path, ...]


def list_masked(source: str | Path) -> list[MaskedPhoto]:
    """Photos with label maps in a folder, sorted.

    Raises:
        ValueError: there are none.
    """
    found = []
    for photo in sorted(p for p in Path(source).glob("*") if p.suffix.lower() in _PHOTO_SUFFIXES):
        whole = photo.with_suffix(".png")
        labels = [whole] if whole.is_file() else sorted(photo.parent.glob(f"{photo.stem}_[0-9].png"))
        if labels:
            found.append(MaskedPhoto(photo, tuple(labels)))
    if not found:
        raise ValueError(f"no photo with a mask in {source}: expected x.webp beside x.png or x_0.png")
    return found


def segments(labels: NDArray[np.uint8], smallest: float) -> Iterator[NDArray[np.bool_]]:
    """Masks [H,W] of the segments that cover at least `smallest` of the picture."""
    values, counts = np.unique(labels, return_counts=True)
    for value, count in zip(values, counts, strict=True):
        if value and count >= smallest * labels.size:
            yield labels == value


def innermost_point(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """(x, y) farthest from the border of a mask [H,W] and of the picture: the centre point of SAM's paper."""
    depth = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), mask.shape)
    return int(x), int(y)


def bounding_box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """(x0, y0, x1, y1), inclusive, of a mask [H,W] that is not empty."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def read_labels(path: Path) -> NDArray[np.uint8]:
    """[H,W] uint8. Raises `ImageError`."""
    return images.read_indices(path)


class PromptedCrops(Dataset[dict[str, Tensor]]):
    """Crops with prompts for segments in them.

    Args:
        groups: photos per data set. A set is drawn in proportion to the square root of its size.
        seed: of the run.
    """

    def __init__(self, groups: Sequence[Sequence[MaskedPhoto]], seed: int) -> None:
        self.groups, self.seed = groups, seed
        weights = np.sqrt([len(group) for group in groups])
        self._weights = weights / weights.sum()

    def __len__(self) -> int:
        return 1 << 40

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One crop, with P = `POINTS` + `BOXES` prompts.

        Returns:
            `image` [3,384,384] in [0,1], padded with black at the right and lower side; `points`
            [POINTS,2,2] (x, y) and their `labels` [POINTS,2] (1 inside, 0 outside, −1 none), the second
            one present for all or none; `boxes` [BOXES,4]; `coarse` [1,1,96,96], logits of a coarse mask
            for the last box; `masks` [P,96,96], the answers, in [0,1].
        """
        rng = np.random.default_rng([self.seed, index])
        for _ in range(_TRIES):
            image, labels = self._crop(rng)
            masks = list(segments(labels, _SMALLEST))
            if masks:
                break
        else:
            raise ValueError("no photo with a segment that is large enough")
        chosen = [masks[rng.integers(len(masks))] for _ in range(POINTS + BOXES)]
        second = rng.random() < _SECOND_POINT
        points = [_point_prompt(mask, second, rng) for mask in chosen[:POINTS]]
        boxes = [_loose_box(mask, rng) for mask in chosen[POINTS:]]
        answers = torch.stack([_answer(mask) for mask in chosen])
        return {
            "image": _pad(to_tensor(image)),
            "points": torch.tensor([coords for coords, _ in points], dtype=torch.float32),
            "labels": torch.tensor([label for _, label in points]),
            "boxes": torch.tensor(boxes, dtype=torch.float32),
            "coarse": _coarse(answers[-1], rng),
            "masks": answers,
        }

    def _crop(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Part of a photo [h,w,3] with its labels [h,w], long side 384, often mirrored."""
        group = self.groups[int(rng.choice(len(self.groups), p=self._weights))]
        entry = group[int(rng.integers(len(group)))]
        labels = Image.fromarray(read_labels(entry.labels[int(rng.integers(len(entry.labels)))]))
        photo = images.read(entry.photo)
        share = rng.uniform(0.5, 1, 2) ** 0.5 if rng.random() < 0.7 else np.ones(2)
        width, height = (share * photo.size).astype(int)
        x, y = rng.integers(0, photo.width - width + 1), rng.integers(0, photo.height - height + 1)
        box = (int(x), int(y), int(x + width), int(y + height))
        scale = TINY_IMAGE_SIZE / max(width, height)
        size = (math.floor(width * scale + 0.5), math.floor(height * scale + 0.5))
        pixels = _recoloured(np.asarray(photo.resize(size, Image.Resampling.BILINEAR, box=box)), rng)
        values = np.asarray(labels.crop(box).resize(size, Image.Resampling.NEAREST))
        return (pixels[:, ::-1], values[:, ::-1]) if rng.random() < 0.5 else (pixels, values)


def _recoloured(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Other contrast and brightness, sometimes another tint."""
    shift = rng.uniform(-25, 25, 3 if rng.random() < 0.3 else 1)
    changed = (pixels.astype(np.float32) - 128) * rng.uniform(0.75, 1.25) + 128 + shift
    return changed.clip(0, 255).astype(np.uint8)


def _point_prompt(
    mask: NDArray[np.bool_], second: bool, rng: np.random.Generator
) -> tuple[list[tuple[int, int]], list[int]]:
    first = _rough_centre(mask) if rng.random() < 0.5 else _random_point(mask, rng)
    if not second:
        return [first, (0, 0)], [1, -1]
    inside = rng.random() < 0.5 or bool(mask.all())
    return [first, _random_point(mask if inside else ~mask, rng)], [1, int(inside)]


def _rough_centre(mask: NDArray[np.bool_]) -> tuple[int, int]:
    x, y = innermost_point(mask[::2, ::2])
    return 2 * x, 2 * y


def _random_point(mask: NDArray[np.bool_], rng: np.random.Generator) -> tuple[int, int]:
    places = mask.ravel().nonzero()[0]
    y, x = divmod(int(places[rng.integers(len(places))]), mask.shape[1])
    return x, y


def _loose_box(mask: NDArray[np.bool_], rng: np.random.Generator) -> list[float]:
    x0, y0, x1, y1 = bounding_box(mask)
    spread = _JITTER * np.array([x1 - x0 + 1, y1 - y0 + 1] * 2)
    loose = np.array([x0, y0, x1, y1]) + np.clip(rng.normal(size=4), -2, 2) * spread * rng.random()
    limits = np.array(mask.shape[::-1] * 2) - 1
    return [float(v) for v in loose.clip(0, limits)]


def _answer(mask: NDArray[np.bool_]) -> Tensor:
    """Share of each 4×4 pixels that belongs to the segment, [96,96] with the padding."""
    padded = _pad(torch.from_numpy(mask.astype(np.float32))[None])
    return F.avg_pool2d(padded, MASK_STRIDE)[0]


def _coarse(answer: Tensor, rng: np.random.Generator) -> Tensor:
    """Logits [1,1,96,96] of what a saliency network might say of the segment: blurred, with holes."""
    grid = int(rng.choice([8, 12, 16, 24]))
    small = F.interpolate(answer[None, None], (grid, grid), mode="area")
    noise = torch.from_numpy(rng.normal(size=(1, 1, 6, 6)).astype(np.float32))
    noise = F.interpolate(noise, (grid, grid), mode="bilinear")
    guess = (6 * (small - rng.uniform(0.3, 0.7)) + rng.uniform(0, 1.5) * noise).clamp(-4, 4)
    return F.interpolate(guess, answer.shape, mode="bilinear")


def _pad(values: Tensor) -> Tensor:
    height, width = values.shape[-2:]
    return F.pad(values, (0, TINY_IMAGE_SIZE - width, 0, TINY_IMAGE_SIZE - height))
