"""Bytes of the texture stream: surprises of 32×32-pixel blocks, each coded in the light of two neighbours.

            up           The integer table of a surprise follows from left + up, which both ends know.
      left   ?           Nothing is read with a table that depends on the decoded picture, so that another
                         processor cannot desynchronise.

The transmitter may choose: a surprise that is cheaper to send and nearly as near is the better one
(rate–distortion-optimised quantisation).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from semcom.message import Protection
from semcom.picture.texture import MAX_SURPRISE
from semcom.streams.coding.arithmetic import decode_symbols_in_turn, encode_symbols
from semcom.streams.format import StreamFormat
from semcom.streams.tables import StreamTables

STREAM = StreamFormat("texture", Protection.BASE, "texture")
NUM_SYMBOLS = 2 * MAX_SURPRISE + 1
NUM_CONTEXTS = 2 * MAX_SURPRISE + 1
TABLE_BITS = 12
LAMBDA = 0.07  # squared octaves a bit
_REACH = 2  # whole octaves tried on either side

Grid = list[list[int]]


def choose(octaves: NDArray[np.float32], lengths: NDArray[np.float64]) -> NDArray[np.int64]:
    """Surprises [rows,columns] within ±4 to send for octaves [rows,columns], block by block.

    Args:
        octaves: levels less what is expected of them.
        lengths: [contexts,symbols] bits, such as `code_lengths`.
    """
    bits = lengths.tolist()
    chosen: Grid = []
    for y, row in enumerate(octaves.tolist()):
        chosen.append([])
        for x, wanted in enumerate(row):
            costs = bits[context(chosen, y, x)]
            near = math.floor(wanted)
            tried = {_clipped(near + step) for step in range(1 - _REACH, 1 + _REACH)}
            best = min(sorted(tried), key=lambda s: (wanted - s) ** 2 + LAMBDA * costs[s + MAX_SURPRISE])
            chosen[y].append(best)
    return np.array(chosen)


def encode(surprises: NDArray[np.int64], tables: StreamTables) -> bytes:
    """Bytes of surprises [rows,columns] within ±4."""
    grid = surprises.tolist()
    places = [(y, x) for y, row in enumerate(grid) for x in range(len(row))]
    edges = (tables.texture_edges[context(grid, y, x)] for y, x in places)
    return encode_symbols((grid[y][x] + MAX_SURPRISE for y, x in places), edges, TABLE_BITS)


def decode(data: bytes, rows: int, columns: int, tables: StreamTables) -> NDArray[np.int64]:
    """Surprises [rows,columns]. Damaged bytes give other surprises, never an error."""
    grid: Grid = [[] for _ in range(rows)]
    symbols = decode_symbols_in_turn(data, TABLE_BITS)
    for y in range(rows):
        for x in range(columns):
            grid[y].append(symbols(tables.texture_edges[context(grid, y, x)]) - MAX_SURPRISE)
    return np.array(grid)


def context(grid: Sequence[Sequence[int]], y: int, x: int) -> int:
    """Number of the table for the next block; a neighbour outside the picture is like the other one."""
    left = grid[y][x - 1] if x else None
    up = grid[y - 1][x] if y else None
    if left is None or up is None:
        left = up = (left if up is None else up) or 0
    return _clipped(left + up) + MAX_SURPRISE


def _clipped(octaves: int) -> int:
    return max(-MAX_SURPRISE, min(MAX_SURPRISE, octaves))


def code_lengths(tables: StreamTables) -> NDArray[np.float64]:
    """[contexts,symbols] bits."""
    return TABLE_BITS - np.log2(np.array(tables.texture, np.float64))
