"""Key regions: which 16×16-pixel cells of a photo get detail latents.

nothing said       saliency ─► salient blobs ─► SAM draws each again ─┐
points, boxes      ─► SAM, a mask each ───────────────────────────────┼─► importance ─► cells, the best
a class            ─► where the classifier sees it ─► SAM ────────────┤                 `key_area` of them
face, text, …      ─► a detector ─► boxes with a margin ──────────────┘
a drawn mask       ─► cells, as drawn
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from semcom.picture.class_names import GROUPS, classes_of
from semcom.picture.grid import CELL, key_grid
from semcom.transmitter import detectors
from semcom.transmitter.class_map import class_map
from semcom.transmitter.features import FeatureExtractor, ImageFeatures
from semcom.transmitter.importance import Importance, of_masks, refined
from semcom.transmitter.prompts import Box, PromptError, Prompts
from semcom.transmitter.segmenter import Masks, Segmenter, View

_SALIENT = 0.5
_CORE_CELLS = 7  # window of the average that finds the middle of an object
NO_PROMPTS = Prompts()


class SaliencyNetwork(Protocol):
    """What tells the important pixels from the others."""

    def saliency(self, image: Tensor) -> Tensor:
        """[H,W] float in [0,1] of a picture [3,H,W] in [0,1]."""
        ...


class RegionSelector:
    """Chooses the key cells of a photo.

    Args:
        net: finds the salient objects; not asked when the user gives a prompt or a mask.
        extractor, segmenter: draw the objects' outlines; without them the saliency decides alone and
            prompts are refused.
    """

    def __init__(
        self,
        net: SaliencyNetwork,
        extractor: FeatureExtractor | None = None,
        segmenter: Segmenter | None = None,
    ) -> None:
        self._net, self._extractor, self._segmenter = net, extractor, segmenter

    def select(
        self,
        image: Tensor,
        key_area: float | None = 0.3,
        user_mask: Tensor | None = None,
        prompts: Prompts = NO_PROMPTS,
        features: ImageFeatures | None = None,
        found: Mapping[str, Sequence[Box]] | None = None,
    ) -> Tensor:
        """Key map of a photo.

        Args:
            image: [3,H,W] float in [0,1].
            key_area: largest share of the cells that may be key, 0 to 1; None for no limit. Where the
                objects are larger, the middle of the best ones is kept.
            user_mask: [H,W] bool, taken as it is: a cell is key when any of its pixels is. Replaces
                everything else and the limit. An empty one sends no key stream, a full one makes every
                cell key.
            prompts: what the user points at; replaces the saliency.
            features: of the picture, where they are known already.
            found: boxes by key class that has a detector, where they are known already.

        Returns:
            [ceil(H/16), ceil(W/16)] bool. Empty where nothing is salient, or where the classifier does not
            find the class that was asked for.

        Raises:
            PromptError: a prompt lies outside the picture, or the profile has no segmenter to follow it.
            ValueError: the user's mask is not of the picture's size, or `key_area` is not a share.
        """
        self.check(image, key_area, user_mask, prompts)
        if user_mask is not None:
            return F.max_pool2d(user_mask.float()[None], CELL, ceil_mode=True)[0] > 0
        if key_area == 0:
            return torch.zeros(key_grid(image.shape[2], image.shape[1]), dtype=torch.bool)
        importance = self.importance(image, prompts, features, found)
        membership, rank = cell_means(importance.membership), cell_means(importance.rank)
        if prompts and not bool((membership >= _SALIENT).any()):  # an object smaller than a cell
            membership = torch.where(membership == membership.max().clamp(min=1e-3), 1.0, membership)
        return key_cells(membership, key_area, rank)

    def check(
        self, image: Tensor, key_area: float | None, user_mask: Tensor | None, prompts: Prompts
    ) -> None:
        """Raises what `select` raises of the same wishes, before any work."""
        if key_area is not None and not 0 <= key_area <= 1:
            raise ValueError(f"key_area is a share from 0 to 1, not {key_area}")
        if user_mask is not None:
            if user_mask.shape != image.shape[1:]:
                size, expected = tuple(user_mask.shape[::-1]), tuple(image.shape[:0:-1])
                raise ValueError(
                    f"the mask is {size} pixels, the picture {expected}: give one of the same size"
                )
            return
        prompts.check(image.shape[2], image.shape[1])
        if prompts and self._segmenter is None:
            raise PromptError(
                "this profile has no segmenter, so that it cannot follow points, boxes or a class"
            )

    def importance(
        self,
        image: Tensor,
        prompts: Prompts = NO_PROMPTS,
        features: ImageFeatures | None = None,
        found: Mapping[str, Sequence[Box]] | None = None,
    ) -> Importance:
        """What matters in a photo, pixel by pixel; see `select` for arguments and errors."""
        height, width = image.shape[1:]
        self.check(image, None, None, prompts)
        if self._extractor is None or self._segmenter is None:
            saliency = self._net.saliency(image)
            return Importance(saliency, saliency)
        features = features or self._extractor(image)
        view = self._segmenter.look(image, features)
        if not prompts:
            return refined(self._net.saliency(image), self._segmenter, view)
        detected = detections(image, prompts) if found is None else found
        boxes = [box for each in detected.values() for box in each]
        # Without a detector, or a class as well of which the detector finds none (a fox is an animal).
        classes = [w for w in prompts.words if not detected.get(w) and (w not in detected or w in GROUPS)]
        masks = [
            *([_filled(boxes, height, width)] if boxes else []),
            *([self._segmenter.from_points(view, prompts.points)] if prompts.points else []),
            *([self._segmenter.from_boxes(view, prompts.boxes)] if prompts.boxes else []),
            *self._class_masks(classes, self._extractor, features, view),
        ]
        if not masks:
            nothing = torch.zeros(height, width)
            return Importance(nothing, nothing)
        return of_masks(Masks(*(torch.cat(parts) for parts in zip(*map(_pair, masks), strict=True))))

    def _class_masks(
        self, words: Sequence[str], extractor: FeatureExtractor, features: ImageFeatures, view: View
    ) -> list[Masks]:
        if self._segmenter is None:
            return []
        maps = [class_map(extractor, features, classes_of(word), *view.original) for word in words]
        return [self._segmenter.from_points(view, seen.peaks) for seen in maps if seen.present]


def detections(image: Tensor, prompts: Prompts) -> dict[str, list[Box]]:
    """Boxes by key class that has a detector. Raises `ValueError` where one cannot be had."""
    return {word: detectors.detect(word, image) for word in prompts.words if word in detectors.names()}


def _filled(boxes: Sequence[Box], height: int, width: int) -> Masks:
    """Boxes as masks, whole cells of them, at least one each: SAM's mask of a small face is hardly a cell."""
    filled = torch.zeros(len(boxes), height, width)
    for mask, (x0, y0, x1, y1) in zip(filled, boxes, strict=True):
        rows, columns = (
            slice(
                first := min(round(low / CELL), (side - 1) // CELL) * CELL,
                max(round(high / CELL) * CELL, first + CELL),
            )
            for low, high, side in ((y0, y1, height), (x0, x1, width))
        )
        mask[rows, columns] = 1
    return Masks(filled, torch.ones(len(boxes)))


def cell_means(values: Tensor, cell: int = CELL) -> Tensor:
    """Mean over each cell of [H,W]; cells at the right and lower border may be smaller."""
    return F.avg_pool2d(values[None], cell, ceil_mode=True)[0]


def key_cells(membership: Tensor, key_area: float | None, rank: Tensor | None = None) -> Tensor:
    """Key map [h,w] of the membership [h,w] of cells.

    Cells above one half are key. When they are more than `key_area`, those win that have the surroundings
    of the highest rank (of the membership, where none is given): the middle of an object, in one piece
    and so cheap to describe.
    """
    key = membership >= _SALIENT
    limit = key.numel() if key_area is None else int(key_area * key.numel())
    if int(key.sum()) <= limit:
        return key
    ranked = membership if rank is None else rank
    surroundings = F.avg_pool2d(ranked[None], _CORE_CELLS, 1, _CORE_CELLS // 2, count_include_pad=False)[0]
    order = torch.where(key, surroundings, -1.0).flatten().argsort(descending=True, stable=True)
    kept = torch.zeros(key.numel(), dtype=torch.bool)
    kept[order[:limit]] = True
    return kept.view_as(key)


def _pair(masks: Masks) -> tuple[Tensor, Tensor]:
    return masks.probability, masks.quality
