"""SAM of any variant behind one call: prompts in pixels of the picture go in, masks of its size come out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy import ndimage
from segment_anything.modeling import Sam
from torch import Tensor

from semcom.networks.sam import TinyImageEncoder
from semcom.transmitter.features import ImageFeatures, frame_size, resized
from semcom.transmitter.prompts import Box, Point

_INSIDE = 0.5


@dataclass(frozen=True)
class View:
    """A picture as SAM sees it: what every prompt on it shares.

    Attributes:
        embedding: [1,C,h,w].
        size: height and width of the resized picture in SAM's frame.
        original: height and width of the picture.
    """

    embedding: Tensor
    size: tuple[int, int]
    original: tuple[int, int]


@dataclass(frozen=True)
class Masks:
    """One mask per prompt.

    Attributes:
        probability: [N,H,W] in [0,1].
        quality: [N] in [0,1], the IoU that SAM expects of each.
    """

    probability: Tensor
    quality: Tensor


class Segmenter:
    """Masks of prompts.

    Args:
        sam: any variant of `semcom.networks.sam`.
    """

    def __init__(self, sam: Sam) -> None:
        self.sam = sam

    @torch.inference_mode()
    def look(self, image: Tensor, features: ImageFeatures | None = None) -> View:
        """Embedding of a picture.

        Args:
            image: [3,H,W] float in [0,1].
            features: of the shared backbone, for the `tiny` variant; computed here when not given.
        """
        height, width = image.shape[-2:]
        encoder = self.sam.image_encoder
        size = frame_size(height, width, encoder.img_size)
        if features is not None and isinstance(encoder, TinyImageEncoder):
            return View(encoder.neck(features.maps), size, (height, width))
        framed = self.sam.preprocess(255 * resized(image, *size))[None]
        return View(encoder(framed), size, (height, width))

    def from_points(self, view: View, points: Sequence[Point]) -> Masks:
        """A mask per point (x, y) in pixels: of three candidates the one that SAM trusts most.

        Of a mask in several pieces only the one under the point is kept.
        """
        where = self._coordinates(view, torch.tensor(points)[:, None])
        masks = self._masks(view, (where, torch.ones(where.shape[:2])), None, best_of_3=True)
        pieces = [_piece(mask, point) for mask, point in zip(masks.probability, points, strict=True)]
        return Masks(torch.stack(pieces), masks.quality)

    def from_boxes(self, view: View, boxes: Sequence[Box]) -> Masks:
        """A mask per box (x0, y0, x1, y1) in pixels; what lies outside the box is cut off."""
        corners = self._coordinates(view, torch.tensor(boxes).view(-1, 2, 2)).view(-1, 4)
        masks = self._masks(view, None, corners, best_of_3=False)
        inside = torch.zeros_like(masks.probability)
        for mask, (x0, y0, x1, y1) in zip(inside, boxes, strict=True):
            mask[math.floor(y0) : math.ceil(y1) + 1, math.floor(x0) : math.ceil(x1) + 1] = 1
        return Masks(masks.probability * inside, masks.quality)

    @torch.inference_mode()
    def _masks(
        self,
        view: View,
        points: tuple[Tensor, Tensor] | None,
        boxes: Tensor | None,
        best_of_3: bool,
    ) -> Masks:
        encoder = self.sam.prompt_encoder
        sparse, dense = encoder(points, boxes, None)
        logits, quality = self.sam.mask_decoder(
            view.embedding, encoder.get_dense_pe(), sparse, dense, multimask_output=best_of_3
        )
        chosen = quality.argmax(1)
        rows = torch.arange(len(chosen))
        full = self.sam.postprocess_masks(logits[rows, chosen][:, None], view.size, view.original)[:, 0]
        return Masks(full.sigmoid(), quality[rows, chosen].clamp(0, 1))

    def _coordinates(self, view: View, places: Tensor) -> Tensor:
        """(x, y) pairs in pixels of the picture, in pixels of SAM's frame."""
        scale = torch.tensor([view.size[1] / view.original[1], view.size[0] / view.original[0]])
        return places * scale


def _piece(probability: Tensor, point: Point) -> Tensor:
    """[H,W] without the pieces of the mask that the point is not on; unchanged where it is on none."""
    height, width = probability.shape
    labels, _ = ndimage.label((probability > _INSIDE).numpy())
    own = labels[min(int(point[1]), height - 1), min(int(point[0]), width - 1)]
    others = (labels != own) & (labels > 0) if own else labels < 0
    return probability.masked_fill(torch.from_numpy(others), 0)
