"""Colour card: 8×6 mean colours of the picture, the fallback when the HCI is lost.

Luma on 8×6 cells with 5 bits, chroma on 4×3 cells with 2 × 4 bits (BT.601 full range), packed: 42 bytes.
The long side of the picture has the eight cells.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_LONG, _SHORT = 8, 6
_LUMA_BITS, _CHROMA_BITS = 5, 4
NUM_BYTES = (_LONG * _SHORT * _LUMA_BITS + 2 * (_LONG // 2) * (_SHORT // 2) * _CHROMA_BITS) // 8
_LUMA_TOP, _CHROMA_TOP = 31, 14  # an even number of chroma steps, so that grey is one of the levels
_TO_YCC = torch.tensor([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
_CHROMA_RANGE = 0.3  # half range: mean colours of photographs are rarely more saturated


def encode(image: Tensor) -> bytes:
    """Card of a picture [3,H,W] in [0,1]."""
    rows, columns = _cells(*image.shape[-2:])
    ycc = torch.einsum("ij,jhw->ihw", _TO_YCC, image)
    luma = F.adaptive_avg_pool2d(ycc[:1], (rows, columns))
    chroma = F.adaptive_avg_pool2d(ycc[1:], (rows // 2, columns // 2)) / (2 * _CHROMA_RANGE) + 0.5
    bits = _to_bits(luma, _LUMA_BITS, _LUMA_TOP) + _to_bits(chroma, _CHROMA_BITS, _CHROMA_TOP)
    return int(bits, 2).to_bytes(NUM_BYTES, "big")


def decode(data: bytes, height: int, width: int, size: tuple[int, int]) -> Tensor:
    """Smooth picture [3,*size] in [0,1] of the card of a height × width picture."""
    rows, columns = _cells(height, width)
    bits = f"{int.from_bytes(data, 'big'):0{8 * NUM_BYTES}b}"
    split = rows * columns * _LUMA_BITS
    luma = _from_bits(bits[:split], _LUMA_BITS, _LUMA_TOP).view(1, 1, rows, columns)
    chroma = _from_bits(bits[split:], _CHROMA_BITS, _CHROMA_TOP).view(1, 2, rows // 2, columns // 2)
    planes = [luma, (chroma - 0.5) * 2 * _CHROMA_RANGE]
    smooth = [F.interpolate(plane, size, mode="bicubic", align_corners=False)[0] for plane in planes]
    return torch.einsum("ij,jhw->ihw", torch.linalg.inv(_TO_YCC), torch.cat(smooth)).clamp(0, 1)


def _cells(height: int, width: int) -> tuple[int, int]:
    return (_SHORT, _LONG) if width >= height else (_LONG, _SHORT)


def _to_bits(values: Tensor, depth: int, top: int) -> str:
    levels = (values * top).round().clamp(0, top).long().flatten().tolist()
    return "".join(f"{level:0{depth}b}" for level in levels)


def _from_bits(bits: str, depth: int, top: int) -> Tensor:
    levels = [int(bits[i : i + depth], 2) for i in range(0, len(bits), depth)]
    return torch.tensor(levels, dtype=torch.float32) / top
