"""Colour card: 8×6 mean colours of the picture, the fallback when the HCI is lost.

Luma on 8×6 cells in 32 levels, chroma on 4×3 cells in 2 × 15 (BT.601 full range). The long side of the
picture has the eight cells. A level is coded as its difference from the mean of its left and upper
neighbours, with integer tables learned from photographs (stage `card`): 27 bytes on Kodak instead of the 42
of fixed lengths.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from semcom.message import Protection
from semcom.streams.coding.arithmetic import Table, decode_symbols_in_turn, encode_symbols
from semcom.streams.format import StreamFormat
from semcom.streams.tables import StreamTables

STREAM = StreamFormat("card", Protection.CRITICAL, "colour card")
TABLE_BITS = 12
_LONG, _SHORT = 8, 6
TOPS = {"luma": 31, "chroma": 14}  # an even number of chroma steps, so that grey is one of the levels
_LUMA_TOP, _CHROMA_TOP = TOPS.values()
_TO_YCC = torch.tensor([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
_CHROMA_RANGE = 0.3  # half range: mean colours of photographs are rarely more saturated


def encode(image: Tensor, tables: StreamTables) -> bytes:
    """Card of a picture [3,H,W] in [0,1]."""
    steps = differences(image)
    edges = [table for values, table in zip(steps, tables.card_edges, strict=True) for _ in values]
    symbols = [value + top for values, top in zip(steps, TOPS.values(), strict=True) for value in values]
    return encode_symbols(symbols, edges, TABLE_BITS)


def differences(image: Tensor) -> tuple[list[int], list[int]]:
    """What is coded of a picture [3,H,W] in [0,1]: differences of luma levels, then of chroma levels."""
    light, colours = _all_levels(image)
    return _differences(light, _LUMA_TOP), [d for plane in colours for d in _differences(plane, _CHROMA_TOP)]


def sketch(image: Tensor, size: tuple[int, int]) -> Tensor:
    """What `decode` makes of the card of a picture [3,H,W] in [0,1]: the same levels without the bytes."""
    light, colours = _all_levels(image)
    planes = [torch.tensor(light) / _LUMA_TOP, *(torch.tensor(plane) / _CHROMA_TOP for plane in colours)]
    return _smooth(planes[0], planes[1:], size)


def _all_levels(image: Tensor) -> tuple[list[list[int]], list[list[list[int]]]]:
    """Of luma, and of the two planes of chroma."""
    rows, columns = _cells(*image.shape[-2:])
    ycc = torch.einsum("ij,jhw->ihw", _TO_YCC, image)
    luma = F.adaptive_avg_pool2d(ycc[:1], (rows, columns))
    chroma = F.adaptive_avg_pool2d(ycc[1:], (rows // 2, columns // 2)) / (2 * _CHROMA_RANGE) + 0.5
    (light,), colours = _levels(luma, _LUMA_TOP), _levels(chroma, _CHROMA_TOP)
    return light, colours


def decode(data: bytes, height: int, width: int, size: tuple[int, int], tables: StreamTables) -> Tensor:
    """Smooth picture [3,*size] in [0,1] of the card of a height × width picture."""
    rows, columns = _cells(height, width)
    read, (luma_table, chroma_table) = decode_symbols_in_turn(data, TABLE_BITS), tables.card_edges
    luma = _plane(read, luma_table, rows, columns, _LUMA_TOP)
    chroma = [_plane(read, chroma_table, rows // 2, columns // 2, _CHROMA_TOP) for _ in range(2)]
    return _smooth(luma, chroma, size)


def _smooth(luma: Tensor, chroma: list[Tensor], size: tuple[int, int]) -> Tensor:
    planes = [luma[None, None], (torch.stack(chroma)[None] - 0.5) * 2 * _CHROMA_RANGE]
    smooth = [F.interpolate(plane, size, mode="bicubic", align_corners=False)[0] for plane in planes]
    return torch.einsum("ij,jhw->ihw", torch.linalg.inv(_TO_YCC), torch.cat(smooth)).clamp(0, 1)


def _cells(height: int, width: int) -> tuple[int, int]:
    return (_SHORT, _LONG) if width >= height else (_LONG, _SHORT)


def _levels(values: Tensor, top: int) -> list[list[list[int]]]:
    return (values * top).round().clamp(0, top).long().tolist()


def _differences(plane: list[list[int]], top: int) -> list[int]:
    return [value - _guess(plane, y, x, top) for y, row in enumerate(plane) for x, value in enumerate(row)]


def _guess(plane: list[list[int]], y: int, x: int, top: int) -> int:
    """Mean of the left and the upper neighbour, the one there is, or the middle level."""
    known = ([plane[y][x - 1]] if x else []) + ([plane[y - 1][x]] if y else [])
    return sum(known) // len(known) if known else top // 2


def _plane(read: Callable[[Table], int], table: Table, rows: int, columns: int, top: int) -> Tensor:
    """[rows,columns] in [0,1]; levels that damaged bytes lead beyond are clipped."""
    plane: list[list[int]] = [[] for _ in range(rows)]
    for y in range(rows):
        for x in range(columns):
            level = _guess(plane, y, x, top) + read(table) - top
            plane[y].append(max(0, min(top, level)))
    return torch.tensor(plane, dtype=torch.float32) / top
