"""Key map in about 15 bytes: every cell coded with a probability that its ten known neighbours set.

         · ■ ■ ■ ·          Template of JBIG's kind (ITU-T T.82). The probability of each of the 1024
         ■ ■ ■ ■ ■          contexts starts from counts on masks of salient objects (stage `keymap`)
         ■ ■ ?              and adapts to the map. Integers only: the same bytes on every machine.

An empty map is the empty string and a full one a single byte.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from semcom.message import Protection
from semcom.streams.coding.arithmetic import BitModel, Decoder, Encoder
from semcom.streams.format import StreamFormat
from semcom.streams.tables import StreamTables

STREAM = StreamFormat("mask", Protection.CRITICAL, "mask", "key detail cannot be placed")
NEIGHBOURS = ((0, -1), (0, -2), (-1, -2), (-1, -1), (-1, 0), (-1, 1), (-1, 2), (-2, -1), (-2, 0), (-2, 1))
"""(row, column) of the neighbours, from the lowest bit of the context; outside the map they are 0."""
COUNT_UNIT = 16
"""What one coded cell adds to a count: the stored counts are sixteenths of a cell."""
_MARGIN = 2
_FULL_BITS = 6  # a full map is announced with probability 1/64


def encode(key_map: Tensor, tables: StreamTables) -> bytes:
    """Bytes of a key map [h,w] bool."""
    encoder = Encoder()
    full = bool(key_map.all())
    _announce(encoder.encode, full)
    if not full:
        models = _models(tables)
        grid = _empty_grid(*key_map.shape)
        for y, row in enumerate(key_map.tolist(), _MARGIN):
            for x, bit in enumerate(row, _MARGIN):
                encoder.encode_bit(bit, models[_context(grid, y, x)])
                grid[y][x] = bit
    return encoder.finish()


def decode(data: bytes, height: int, width: int, tables: StreamTables) -> Tensor:
    """Key map [height,width] bool. Damaged bytes give another map, never an error."""
    decoder = Decoder(data)
    full = decoder.decode_target(_FULL_BITS) == (1 << _FULL_BITS) - 1
    _announce(decoder.advance, full)
    if full:
        return torch.ones(height, width, dtype=torch.bool)
    models = _models(tables)
    grid = _empty_grid(height, width)
    for y in range(_MARGIN, height + _MARGIN):
        for x in range(_MARGIN, width + _MARGIN):
            grid[y][x] = decoder.decode_bit(models[_context(grid, y, x)])
    return torch.tensor(grid)[_MARGIN:, _MARGIN : _MARGIN + width]


def contexts(key_map: Tensor) -> Tensor:
    """Context [h,w] int64 of every cell, for counting."""
    height, width = key_map.shape
    grid = _empty_grid(height, width)
    for y, row in enumerate(key_map.tolist(), _MARGIN):
        grid[y][_MARGIN : _MARGIN + width] = row
    rows, columns = range(_MARGIN, height + _MARGIN), range(_MARGIN, width + _MARGIN)
    return torch.tensor([[_context(grid, y, x) for x in columns] for y in rows])


def _announce(code: Callable[[int, int, int], None], full: bool) -> None:
    last = (1 << _FULL_BITS) - 1
    code(last if full else 0, last + 1 if full else last, _FULL_BITS)


def _empty_grid(height: int, width: int) -> list[list[bool]]:
    return [[False] * (width + 2 * _MARGIN) for _ in range(height + _MARGIN)]


def _context(grid: Sequence[Sequence[bool]], y: int, x: int) -> int:
    context = 0
    for i, (dy, dx) in enumerate(NEIGHBOURS):
        context |= grid[y + dy][x + dx] << i
    return context


def _models(tables: StreamTables) -> list[BitModel]:
    return [BitModel(zeros, ones, COUNT_UNIT) for zeros, ones in tables.mask]
