"""Cyclic redundancy checks of TS 38.212 §5.1, complemented, on arrays of bits of any length.

The remainder is sent inverted. Started at zero, as in §5.1, it would be zero for a block of zeros, which is
what a decoder puts out where nothing but noise arrives: far below the waterfall it would pass for a packet.
(HDLC's frame check sequence, ISO/IEC 13239, is complemented for a like reason.)

Vectorised by linearity: the CRC of a word is the exclusive-or of the remainders of its set positions, so one
table of remainders per polynomial serves every length.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

CrcName = Literal["24A", "24B"]
CRC_BITS = 24
# TS 38.212 §5.1, without the leading x^24
_POLYNOMIALS: dict[CrcName, int] = {"24A": 0x864CFB, "24B": 0x800063}
_remainders: dict[CrcName, NDArray[np.uint32]] = {}


def append_crc(bits: NDArray[np.uint8], name: CrcName) -> NDArray[np.uint8]:
    """Append the 24 CRC bits to the last axis: [..., k] bits to [..., k + 24]."""
    return np.concatenate([bits, _crc(bits, name) ^ 1], axis=-1)


def crc_ok(bits: NDArray[np.uint8], name: CrcName) -> NDArray[np.bool_]:
    """Check words that end in their CRC: [..., k + 24] bits to [...] booleans."""
    return np.asarray((_crc(bits[..., :-CRC_BITS], name) != bits[..., -CRC_BITS:]).all(axis=-1))


def _crc(bits: NDArray[np.uint8], name: CrcName) -> NDArray[np.uint8]:
    table = _remainder_table(bits.shape[-1], name)[: bits.shape[-1]][::-1]
    register = np.bitwise_xor.reduce(np.where(bits.astype(bool), table, np.uint32(0)), axis=-1)
    shifts = np.arange(CRC_BITS - 1, -1, -1, dtype=np.uint32)
    return ((register[..., None] >> shifts) & np.uint32(1)).astype(np.uint8)


def _remainder_table(length: int, name: CrcName) -> NDArray[np.uint32]:
    """Entry i is x^(24 + i) mod g(x)."""
    table = _remainders.get(name)
    if table is None or len(table) < length:
        polynomial, size = _POLYNOMIALS[name], 1 << max(13, (length - 1).bit_length())
        values, register = [], polynomial
        for _ in range(size):
            values.append(register)
            register = ((register << 1) ^ (polynomial if register >> (CRC_BITS - 1) else 0)) & 0xFFFFFF
        table = _remainders[name] = np.array(values, dtype=np.uint32)
    return table
