"""Bytes of the key latents: independent packets, integer tables chosen by the sender.

    grid of cells ─► 4 phases (y mod 2, x mod 2) × strips of rows ─► one packet each

A packet holds every fourth cell of its strip, so that a lost packet leaves the neighbours of each of
its cells to lean on. Within a packet, cells that share a 4×4 block form a group; the sender signals for
each group the table set that codes it in the fewest bits. Set 0 means that the whole group is zero.
Tables are integers: a different processor cannot desynchronise.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from semcom.limits import MAX_LATENT
from semcom.message import Protection
from semcom.streams.coding.arithmetic import Decoder, Encoder
from semcom.streams.format import StreamFormat

STREAM = StreamFormat("key", Protection.DETAIL, "key")
PHASES = 4
NUM_SYMBOLS = 2 * MAX_LATENT + 1
TABLE_BITS = 12
_BLOCK = 4
_PACKET_TARGET_BYTES = 110
_MAX_STRIPS = 255 // PHASES  # the header counts packets in one byte

Cells = list[tuple[int, int]]


@dataclass(frozen=True)
class LatentTables:
    """Integer frequency tables of the key latents.

    Attributes:
        sets: [S] frequencies of the table sets themselves, summing to 2**12; set 0 is "all zero".
        symbols: [S−1, C, 15] frequencies per set and channel, each summing to 2**12.
    """

    sets: NDArray[np.int64]
    symbols: NDArray[np.int64]
    set_edges: list[int] = field(init=False, repr=False)
    symbol_edges: list[list[list[int]]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "set_edges", _edges(self.sets))
        object.__setattr__(self, "symbol_edges", [[_edges(table) for table in each] for each in self.symbols])

    @property
    def channels(self) -> int:
        """C, latents per cell."""
        return self.symbols.shape[1]

    def code_lengths(self) -> NDArray[np.float64]:
        """Bits per symbol, [S−1, C, 15]."""
        return TABLE_BITS - np.log2(self.symbols)


def packet_cells(key_map: NDArray[np.bool_], strips: int) -> list[list[Cells]]:
    """Groups of key cells of every packet, in packet order (strip by strip, phase by phase)."""
    rows, columns = key_map.shape
    blocks = -(-rows // _BLOCK)
    packets = []
    for strip in range(strips):
        first, last = strip * blocks // strips, (strip + 1) * blocks // strips
        for phase in range(PHASES):
            packets.append(list(_groups(key_map, first, last, -(-columns // _BLOCK), phase)))
    return packets


def _groups(key_map: NDArray[np.bool_], first: int, last: int, columns: int, phase: int) -> Iterator[Cells]:
    dy, dx = divmod(phase, 2)
    for block_row in range(first, last):
        for block_column in range(columns):
            cells = [
                (y, x)
                for y in range(block_row * _BLOCK + dy, min((block_row + 1) * _BLOCK, key_map.shape[0]), 2)
                for x in range(
                    block_column * _BLOCK + dx, min((block_column + 1) * _BLOCK, key_map.shape[1]), 2
                )
                if key_map[y, x]
            ]
            if cells:
                yield cells


def encode(latents: NDArray[np.int64], key_map: NDArray[np.bool_], tables: LatentTables) -> list[bytes]:
    """Packets of the latents in key cells; a multiple of four of them, none for an empty key map.

    Args:
        latents: [C,rows,columns] integers within ±7.
        key_map: [rows,columns].
        tables: of the profile.
    """
    if not key_map.any():
        return []
    whole = [_encode_packet(latents, groups, tables) for groups in packet_cells(key_map, 1)]
    strips = max(1, round(sum(map(len, whole)) / (PHASES * _PACKET_TARGET_BYTES)))
    strips = min(strips, -(-key_map.shape[0] // _BLOCK), _MAX_STRIPS)
    if strips == 1:
        return whole
    return [_encode_packet(latents, groups, tables) for groups in packet_cells(key_map, strips)]


def decode(
    packets: Sequence[bytes | None], key_map: NDArray[np.bool_], tables: LatentTables
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Latents [C,rows,columns], zero where nothing arrived, and the cells that arrived [rows,columns]."""
    latents = np.zeros((tables.channels, *key_map.shape), np.int64)
    arrived = np.zeros(key_map.shape, bool)
    if not packets:
        return latents, arrived
    for data, groups in zip(packets, packet_cells(key_map, len(packets) // PHASES), strict=True):
        if data is not None:
            _decode_packet(data, groups, tables, latents, arrived)
    return latents, arrived


def choose_sets(
    values: NDArray[np.int64], set_bits: NDArray[np.float64], lengths: NDArray[np.float64]
) -> int:
    """Table set that codes one group [cells,C] in the fewest bits."""
    if not values.any():
        return 0
    channels = np.arange(values.shape[1])
    costs = lengths[:, channels, values + MAX_LATENT].sum((1, 2)) + set_bits[1:]
    return int(costs.argmin()) + 1


def _encode_packet(latents: NDArray[np.int64], groups: Sequence[Cells], tables: LatentTables) -> bytes:
    encoder = Encoder()
    set_bits, lengths = TABLE_BITS - np.log2(tables.sets), tables.code_lengths()
    for cells in groups:
        values = np.stack([latents[:, y, x] for y, x in cells])
        chosen = choose_sets(values, set_bits, lengths)
        _put(encoder, tables.set_edges, chosen)
        if chosen:
            for cell in values:
                for edges, symbol in zip(tables.symbol_edges[chosen - 1], cell.tolist(), strict=True):
                    _put(encoder, edges, symbol + MAX_LATENT)
    return encoder.finish() or b"\x00"  # zeros follow anyway, and every chunk has a byte


def _decode_packet(
    data: bytes,
    groups: Sequence[Cells],
    tables: LatentTables,
    latents: NDArray[np.int64],
    arrived: NDArray[np.bool_],
) -> None:
    decoder = Decoder(data)
    for cells in groups:
        chosen = _get(decoder, tables.set_edges)
        for y, x in cells:
            arrived[y, x] = True
            if chosen:
                latents[:, y, x] = [
                    _get(decoder, edges) - MAX_LATENT for edges in tables.symbol_edges[chosen - 1]
                ]


def _edges(table: NDArray[np.int64]) -> list[int]:
    return [0, *np.cumsum(table).tolist()]


def _put(encoder: Encoder, edges: Sequence[int], symbol: int) -> None:
    encoder.encode(edges[symbol], edges[symbol + 1], TABLE_BITS)


def _get(decoder: Decoder, edges: Sequence[int]) -> int:
    symbol = bisect_right(edges, decoder.decode_target(TABLE_BITS)) - 1
    decoder.advance(edges[symbol], edges[symbol + 1], TABLE_BITS)
    return symbol
