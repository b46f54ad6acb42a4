"""Importance of every pixel: saliency or masks, with the objects weighed by mask quality and size."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy import ndimage
from torch import Tensor

from semcom.transmitter.prompts import Box
from semcom.transmitter.segmenter import Masks, Segmenter, View

_SALIENT = 0.5
_MOST_BLOBS = 4
_SMALLEST_BLOB = 0.002  # share of the picture; what is smaller is left as saliency sees it
_TRUSTED_QUALITY = 0.7
_MASK_SHARE = 0.4  # of a trusted mask against the saliency
_SIZES = (0.002, 0.02, 0.5, 1.0)  # shares of the picture between which the size prior rises and falls


@dataclass(frozen=True)
class Importance:
    """Which pixels matter, and which of them most.

    Attributes:
        membership: [H,W] in [0,1], the probability to belong to an object that matters.
        rank: [H,W] in [0,1], the same weighed by the quality of the object's mask and by its size:
            what decides when not everything may be key.
    """

    membership: Tensor
    rank: Tensor


@dataclass(frozen=True)
class Blobs:
    """Connected regions of a map in [0,1].

    Attributes:
        boxes: around each.
        maps: [N,H,W], the map inside the region and zero elsewhere.
    """

    boxes: list[Box]
    maps: Tensor


def size_prior(share: Tensor) -> Tensor:
    """Weight in [0.5,1] of an object by its share of the picture: specks and backgrounds matter less."""
    tiny, small, large, whole = _SIZES
    rising = ((share - tiny) / (small - tiny)).clamp(0, 1)
    falling = ((whole - share) / (whole - large)).clamp(0, 1)
    return 0.5 + 0.5 * torch.minimum(rising, falling)


def blobs_of(values: Tensor, threshold: float = _SALIENT) -> Blobs:
    """The largest connected regions of [H,W] where it reaches the threshold, at most four."""
    labels, _ = ndimage.label((values >= threshold).numpy())
    areas = torch.bincount(torch.from_numpy(labels).flatten().long())[1:]
    order = areas.argsort(descending=True, stable=True)[:_MOST_BLOBS]
    kept = [int(i) for i in order if areas[i] >= _SMALLEST_BLOB * values.numel()]
    slices = ndimage.find_objects(labels)
    boxes = [(s[1].start, s[0].start, s[1].stop, s[0].stop) for s in (slices[i] for i in kept)]
    inside = [torch.from_numpy(labels == i + 1) for i in kept]
    maps = torch.stack([values * mask for mask in inside]) if kept else values.new_zeros(0, *values.shape)
    return Blobs(boxes, maps)


def of_masks(masks: Masks) -> Importance:
    """Importance of the union of masks."""
    weight = masks.quality * size_prior((masks.probability >= 0.5).float().mean((1, 2)))
    return Importance(masks.probability.amax(0), (masks.probability * weight[:, None, None]).amax(0))


def refined(saliency: Tensor, segmenter: Segmenter, view: View) -> Importance:
    """Saliency [H,W] with each salient blob drawn again by SAM, where SAM trusts its mask.

    Only a blob's box prompts SAM, so that its mask errs independently of the saliency. In the
    neighbourhood of the box the result is a mean of mask and saliency; elsewhere, and where the mask is
    not trusted, the saliency stays.
    """
    blobs = blobs_of(saliency)
    if not blobs.boxes:
        return Importance(saliency, saliency)
    masks = segmenter.from_boxes(view, blobs.boxes)
    result, weight = saliency.clone(), torch.full_like(saliency, 0.5)
    sizes = size_prior((blobs.maps > 0).float().mean((1, 2)))
    for box, mask, quality, size in zip(blobs.boxes, masks.probability, masks.quality, sizes, strict=True):
        near = _window(box, saliency.shape[0], saliency.shape[1])
        weight[near] = torch.maximum(weight[near], quality * size)
        if quality >= _TRUSTED_QUALITY:
            result[near] = torch.lerp(result[near], mask[near], _MASK_SHARE)
    return Importance(result, result * weight)


def _window(box: Box, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of a box grown by a tenth of its sides."""
    x0, y0, x1, y1 = map(int, box)
    dx, dy = (x1 - x0) // 10, (y1 - y0) // 10
    return slice(max(0, y0 - dy), min(height, y1 + dy)), slice(max(0, x0 - dx), min(width, x1 + dx))
