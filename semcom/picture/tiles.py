"""A large picture in overlapping tiles that fade into each other: bounds memory and the cost of attention."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

Span = tuple[int, int]


def spans(length: int, tile: int, overlap: int) -> list[Span]:
    """Tiles of one side, as (start, stop)."""
    starts = range(0, max(length - overlap, 1), tile - overlap)
    return [(start, min(start + tile, length)) for start in starts]


def ramp(span: Span, length: int, overlap: int, like: Tensor) -> Tensor:
    """Weights along one side of a tile: rising and falling where a neighbour overlaps."""
    place = torch.arange(span[0], span[1], dtype=torch.float32, device=like.device) + 0.5
    rise = (place - span[0]) / overlap if span[0] > 0 else torch.ones_like(place)
    fall = (span[1] - place) / overlap if span[1] < length else torch.ones_like(place)
    return torch.minimum(rise, fall).clamp_max(1)


def blend(like: Tensor, tile: int, overlap: int, make: Callable[[Span, Span], Tensor]) -> Tensor:
    """What `make(rows, columns)` gives for each tile, as one tensor.

    Args:
        like: [B,C,H,W] of the result's shape and kind.
        tile: largest side.
        overlap: of neighbours.
        make: [B,C,h,w] of the rows and columns, as (start, stop).
    """
    height, width = like.shape[-2:]
    total, weights = torch.zeros_like(like), torch.zeros_like(like[:, :1])
    for rows, columns in itertools.product(spans(height, tile, overlap), spans(width, tile, overlap)):
        fade = ramp(rows, height, overlap, like)[:, None] * ramp(columns, width, overlap, like)
        total[..., slice(*rows), slice(*columns)] += make(rows, columns) * fade
        weights[..., slice(*rows), slice(*columns)] += fade
    return total / weights
