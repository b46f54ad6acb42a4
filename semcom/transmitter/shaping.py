"""The sender shapes the thumbnail and the texture levels of one picture for the receiver it knows.

    thumbnail ─► AV1 ─► message ─► what the receiver reads of it ─► enhancer ─► loss ─┐
        ▲ levels ─► rounding ─┘                                                       │
        └───────── straight through AV1 and the rounding ◄─── gradient ◄──────────────┘

Every step codes for real, at the finest quality that fits the budget, so every step is a candidate at equal
cost. The price of bits in the gradient comes from a block-DCT stand-in scaled to the real bytes. Measured
(`benchmarks/effort.py`) against the plain thumbnail; the idea is the sandwich of arXiv 2402.05887 with the
search in place of the learned pre-processor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from semcom.message import Message
from semcom.networks.enhancer import Enhancer, pad_reflect
from semcom.picture.pixels import to_pixels, to_tensor
from semcom.transmitter.objective import BIT_PRICE, Objective, Reference

RATE = 0.008
"""First step of the thumbnail, in its units of [0,1] at typical gradients, at most."""
_OF_QUANTISER = 0.5
"""And at most so much of AV1's quantiser step: below that bits are cheap, above it every step is coded."""
_LEVELS_RATE = 12.0  # octaves of texture a step, over the thumbnail's
_LAST = 0.15  # of the rate at the end
_MOMENTUM, _MEMORY = 0.85, 0.9
_PATIENCE = 4
_TILE_AREA = 192 * 128  # HCI pixels: a 768×512 picture in one piece; 4 GB
_CONTEXT = 8  # HCI pixels around a tile
_RIM = 2  # as `Enhancer.restore` reflects


@dataclass(frozen=True)
class View:
    """What a receiver reads of a message whose packets all arrive.

    Attributes:
        source: [3,h,w] the HCI with key latents.
        quality: of it.
        detail: [9,h,w] planes of the key latents.
        texture: planes [3,h,w] of surprises [rows,columns], as a function for the gradient's sake.
        surprises: [rows,columns] sent; None where no texture was.
    """

    source: Tensor
    quality: int
    detail: Tensor
    texture: Callable[[Tensor], Tensor]
    surprises: Tensor | None


@dataclass(frozen=True)
class Candidate:
    """A message and its loss; lower is better."""

    loss: float
    message: Message


Make = Callable[[NDArray[np.uint8], Tensor | None], Message]
"""Message of a thumbnail [h,w,3] uint8 and texture levels [1,rows,columns], within the budget."""


@torch.enable_grad()
def shape(
    thumb: NDArray[np.uint8],
    levels: Tensor | None,
    original: Tensor,
    make: Make,
    view: Callable[[Message], View],
    enhancer: Enhancer,
    objective: Objective,
    steps: int,
    announce: Callable[[str], object],
) -> list[Candidate]:
    """Candidates, best first.

    Args:
        thumb: [h,w,3] uint8 to start from.
        levels: [1,rows,columns] measured texture; None sends none.
        original: [3,H,W] in [0,1], whole key cells.
        make: codes within the budget.
        view: reads what was made.
        enhancer: the receiver's, differentiable.
        objective: what to descend.
        steps: how many.
        announce: told each step.
    """
    device = enhancer.trunk.conv_first.weight.device.type
    size = (original.shape[1] // 4, original.shape[2] // 4)
    tiles = [(box, objective.reference(_cut(original, box).to(device)[None])) for box in tiles_of(*size)]
    picture = _Descent(to_tensor(thumb), 1.0)
    texture = None if levels is None else _Descent(levels.clone(), _LEVELS_RATE)
    found: list[Candidate] = []
    scale = 1.0
    for step in range(steps):
        announce(f"shaping, step {step + 1} of {steps}")
        message = make(to_pixels(picture.value), None if texture is None else texture.value)
        seen = view(message)
        loss, wanted, wanted_levels = _gradient(seen, tiles, enhancer, objective)
        found.append(Candidate(loss, message))
        if step % _PATIENCE == 0 and step >= _PATIENCE and _is_worse([c.loss for c in found]):
            scale /= 2
        first = min(RATE, _OF_QUANTISER * quantiser_step(seen.quality) / 255)
        rate = scale * first * (_LAST + (1 - _LAST) * (1 + math.cos(math.pi * step / steps)) / 2)
        num_bits = 8 * message["hci"].num_bytes
        priced = _bits_gradient(picture.value, seen.quality, num_bits)
        picture.step(wanted + BIT_PRICE / original[0].numel() * priced, rate)
        picture.value.clamp_(0, 1)
        if texture is not None and wanted_levels is not None:
            texture.step(wanted_levels[None], rate)
    return sorted(found, key=lambda candidate: candidate.loss)


def _is_worse(losses: list[float]) -> bool:
    """Whether the last steps went up on average: one alone says little, AV1's decisions jump."""
    last, before = losses[-_PATIENCE:], losses[-2 * _PATIENCE : -_PATIENCE]
    return sum(last) / len(last) > sum(before) / len(before)


def tiles_of(height: int, width: int) -> Iterator[tuple[int, int, int, int]]:
    """Top, left, height, width of equal tiles, in HCI pixels; multiples of 4 where the sides are."""
    rows = columns = 1
    while math.ceil(height / rows) * math.ceil(width / columns) > _TILE_AREA:
        if height / rows > width / columns:
            rows += 1
        else:
            columns += 1
    ys, xs = (
        [side // 4 * i // n * 4 for i in range(n)] + [side] for side, n in ((height, rows), (width, columns))
    )
    for (top, bottom), (left, right) in product(pairwise(ys), pairwise(xs)):
        yield top, left, bottom - top, right - left


class _Descent:
    """Steps against a gradient whose size is judged by its neighbourhood, not by each value alone.

    Adam (arXiv 1412.6980) gives every value the same step, also where nothing is to be gained: that costs
    bits, and is where hatching begins.
    """

    def __init__(self, value: Tensor, rate: float) -> None:
        self.value, self._rate = value, rate
        self._mean = self._square = torch.zeros_like(value)
        self._count = 0

    def step(self, gradient: Tensor, rate: float) -> None:
        self._count += 1
        self._mean = _MOMENTUM * self._mean + (1 - _MOMENTUM) * gradient
        self._square = _MEMORY * self._square + (1 - _MEMORY) * gradient.square()
        around = pooled(self._square) / (1 - _MEMORY**self._count)
        mean = self._mean / (1 - _MOMENTUM**self._count)
        self.value = self.value - rate * self._rate * mean / (around.sqrt() + 1e-12)


def pooled(squares: Tensor) -> Tensor:
    """[C,h,w] means of the neighbourhood and of everything, half and half."""
    near = F.avg_pool2d(squares[None], 5, stride=1, padding=2, count_include_pad=False)[0]
    return (near + squares.mean()) / 2


def _gradient(
    seen: View,
    tiles: list[tuple[tuple[int, int, int, int], Reference]],
    enhancer: Enhancer,
    objective: Objective,
) -> tuple[float, Tensor, Tensor | None]:
    """Loss, and its gradients in the thumbnail [3,h,w] and in the surprises."""
    weight = enhancer.trunk.conv_first.weight
    source = seen.source.clone().requires_grad_()
    surprises = None if seen.surprises is None else seen.surprises.clone().requires_grad_()
    height, width = source.shape[-2:]
    level = torch.tensor([float(seen.quality)], device=weight.device)
    total = 0.0
    for (top, left, h, w), original in tiles:
        texture = source.new_zeros(3, height, width) if surprises is None else seen.texture(surprises)
        planes = pad_reflect(torch.cat((source, seen.detail, texture))[None], _RIM)
        y, x = max(0, top + _RIM - _CONTEXT), max(0, left + _RIM - _CONTEXT)
        window = planes[:, :, y : top + _RIM + h + _CONTEXT, x : left + _RIM + w + _CONTEXT].to(weight.device)
        parts = window.split((3, len(seen.detail), 3), 1)
        dy, dx = 4 * (top + _RIM - y), 4 * (left + _RIM - x)
        output = enhancer(parts[0], level, *parts[1:])[:, :, dy : dy + 4 * h, dx : dx + 4 * w]
        loss = objective.loss(output, original) * (h * w / (height * width))
        loss.backward()
        total += loss.item()
    assert source.grad is not None
    return total, source.grad, None if surprises is None else surprises.grad


def quantiser_step(quality: int) -> float:
    """In grey levels, about: AV1's at a quality."""
    return float(4 * 2 ** ((50 - quality) / 8))


def _bits_gradient(thumb: Tensor, quality: int, num_bits: int) -> Tensor:
    """Gradient [3,h,w] of the bits that AV1 spends, by a stand-in: log of DCT coefficients over the step."""
    value = thumb.clone().requires_grad_()
    luma = 255 * (value * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(0, keepdim=True)
    chroma = F.avg_pool2d(255 * (value[::2] - luma / 255) / 2, 2, ceil_mode=True)
    step = quantiser_step(quality)
    counted = sum(torch.log2(1 + (_dct(plane) / step).abs()).sum() for plane in (*luma, *chroma))
    assert isinstance(counted, Tensor)
    counted.backward()
    assert value.grad is not None
    return value.grad * (num_bits / max(counted.item(), 1.0))


def _dct(plane: Tensor) -> Tensor:
    """[n,m,8,8] coefficients of blocks of [h,w], the border repeated up to whole blocks."""
    height, width = plane.shape
    padded = F.pad(plane[None, None], (0, -width % 8, 0, -height % 8), mode="replicate")[0, 0]
    k = torch.arange(8.0)
    basis = torch.cos((2 * k[None] + 1) * k[:, None] * math.pi / 16) / 2
    basis[0] /= math.sqrt(2)
    return basis @ padded.unfold(0, 8, 8).unfold(1, 8, 8) @ basis.T


def _cut(image: Tensor, box: tuple[int, int, int, int]) -> Tensor:
    top, left, height, width = (4 * side for side in box)
    return image[:, top : top + height, left : left + width]
